import FoundationEssentials
public import Sodium

/// A request that a person's browser takes to the server (RFC 6749 section 4.1.1, RFC 7636 section 4.3).
public struct AuthorizationRequest: Sendable {
    /// Where the browser goes.
    public private(set) var url: String
    /// What it says there, under the server's own names.
    let parameters: [Parameter]
    public let redirectURI: String
    /// What must come back, so that nobody else's answer is taken for ours.
    public let state: String
    /// What proves to the token endpoint that the code is ours (RFC 7636 section 4.1).
    public let verifier: Secret
    /// What must come back from a server that names itself (RFC 9207).
    public let issuer: String?
    /// What an ID token must say, where one was asked for (OpenID Connect Core 1.0 section 3.1.2.1).
    public let nonce: String?
}

extension ClientSettings {
    /// - Parameters:
    ///   - redirectURI: where the server sends the browser afterwards.
    ///   - keyThumbprint: of the key that the tokens are to be bound to (RFC 9449 section 10); nil for none.
    /// - Returns: nil where the settings name no authorization endpoint.
    /// - Throws: `lockedMemoryExhausted`.
    public func authorizationRequest(
        clientID: String, redirectURI: String, keyThumbprint: String? = nil
    ) throws(SodiumError) -> AuthorizationRequest? {
        guard let authorizationURL else { return nil }
        let state = Base64URL.encode(Random.bytes(24))
        let verifier = Base64URL.encode(Random.bytes(32))
        var parameters = [
            Parameter("response_type", "code"), Parameter("client_id", clientID), Parameter("redirect_uri", redirectURI),
            Parameter("state", state),
        ]
        if pkce != false {
            parameters.append(Parameter("code_challenge", PKCE.challenge(verifier: verifier)))
            parameters.append(Parameter("code_challenge_method", "S256"))
        }
        if !scopes.isEmpty { parameters.append(Parameter("scope", joined(scopes))) }
        let nonce = scopes.contains("openid") && self.nonce != false ? Base64URL.encode(Random.bytes(24)) : nil
        if let nonce { parameters.append(Parameter("nonce", nonce)) }
        if let keyThumbprint { parameters.append(Parameter("dpop_jkt", keyThumbprint)) }
        parameters += audiences.map { Parameter("audience", $0) } + resources.map { Parameter("resource", $0) }
        // What the address says itself is not said twice.
        let there = Set(FormEncoding.decode(authorizationURL.query ?? "").map(\.name))
        let further = (authorizationParameters ?? []).filter { !there.contains($0.name) }
        let fixed = Set(further.map(\.name))
        parameters = format(to: authorizationURL).named(parameters).filter { !fixed.contains($0.name) } + further
        let query = [authorizationURL.query, FormEncoding.query(parameters)].compactMap { $0 }.joined(separator: "&")
        return AuthorizationRequest(
            url: "\(authorizationURL.scheme)://\(authorizationURL.authority)\(authorizationURL.path)?\(query)",
            parameters: parameters, redirectURI: redirectURI, state: state, verifier: try Secret(utf8: verifier), issuer: issuer,
            nonce: nonce)
    }
}

extension ClientSettings {
    /// Hands an authorization request to the server directly, so that nobody can read or change it in the browser (RFC 9126
    /// section 2.1); nil where the server has no endpoint for that.
    /// - Parameter fields: the values of the settings' secret headers.
    public func pushedAuthorizationRequest(
        _ request: AuthorizationRequest, _ client: ClientCredentials, fields: SecretFields = SecretFields(),
        clientAssertion: Secret? = nil
    ) -> EndpointRequest? {
        pushedAuthorizationURL.map { url in
            var format = format(to: url)
            // The request is written already, but for what authenticates the client.
            format.parameters = request.parameters.filter { $0.name != "client_id" }
            let hasID = [.basic, .basicRaw, .bearerJWT].contains(clientAuthentication)
            let id = hasID ? [Parameter("client_id", client.id)] : []
            return self.request(format, id, client, fields, clientAssertion: clientAssertion)
        }
    }
}

extension AuthorizationRequest {
    /// The request as the browser takes it to the server once it was pushed (RFC 9126 section 4): the client's id, and what the
    /// server calls it.
    /// - Parameter answer: of the server (section 2.2).
    /// - Throws: `TokenRefusal` if that names no request.
    public func pushed(
        _ answer: JSONValue, clientID: String, to endpoint: EndpointURL
    ) throws(TokenRefusal) -> AuthorizationRequest {
        guard let uri = answer.member("request_uri")?.string, (1...4096).contains(uri.utf8.count),
            uri.utf8.allSatisfy({ (0x21...0x7E).contains($0) })
        else { throw .unusable(reason: "no request_uri") }
        let parameters = [Parameter("client_id", clientID), Parameter("request_uri", uri)]
        var request = self
        let query = [endpoint.query, FormEncoding.query(parameters)].compactMap { $0 }.joined(separator: "&")
        request.url = "\(endpoint.scheme)://\(endpoint.authority)\(endpoint.path)?\(query)"
        return request
    }
}

/// RFC 7636 section 4.2.
public enum PKCE {
    public static func challenge(verifier: String) -> String {
        Base64URL.encode(SHA256.hash(Array(verifier.utf8)))
    }
}

/// base64url without padding (RFC 4648 section 5).
public enum Base64URL {
    public static func encode(_ bytes: [UInt8]) -> String {
        Data(bytes).base64EncodedString().replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }
}

/// Why what the browser brought back is no login.
public enum AuthorizationRefusal: Error, Equatable, Sendable {
    /// The person, or the server for them, said no.
    case denied(OAuthErrorCode)
    /// The answer to another request: an old tab, or somebody else's.
    case wrongState
    /// The answer of another server (RFC 9207 section 2.4).
    case wrongIssuer
    case noCode
    /// An address that was pasted without the part that says which login it is of.
    case noState
    case memory
}

extension AuthorizationRequest {
    /// Reads the query of the redirected address (RFC 6749 section 4.1.2).
    /// - Parameter query: percent-encoded, without the question mark.
    /// - Returns: the code.
    public func code(fromQuery query: String) throws(AuthorizationRefusal) -> Secret {
        let parameters = FormEncoding.decode(query)
        func value(_ name: String) -> String? {
            let values = parameters.filter { $0.name == name }
            return values.count == 1 ? values[0].value : nil
        }
        guard value("state") == state else {
            // Some servers say no without it. Whoever else on this machine says so ends a login, and gains nothing.
            guard !parameters.contains(where: { $0.name == "state" || $0.name == "code" }), let error = value("error"),
                !error.isEmpty
            else { throw .wrongState }
            throw .denied(OAuthErrorCode(error, status: 302))
        }
        // Two of them are none that could be believed.
        if let issuer, parameters.contains(where: { $0.name == "iss" }), value("iss") != issuer { throw .wrongIssuer }
        if parameters.contains(where: { $0.name == "error" }) { throw .denied(OAuthErrorCode(value("error"), status: 302)) }
        return try Self.code(value("code"))
    }

    /// Reads what a person pasted: the whole redirected address, its query or the end of that, what some pages show as
    /// `code#state`, or the code alone, also as it stands in the address. Marks around it are dropped.
    public func code(fromPasted text: String) throws(AuthorizationRefusal) -> Secret {
        let text = Self.unwrapped(text)
        if let mark = text.firstIndex(of: "?") {
            let parts = text[text.index(after: mark)...].split(separator: "#", maxSplits: 1).map(String.init)
            // Some servers answer in the fragment.
            return try code(inPastedQuery: parts.first { $0.contains("code=") || $0.contains("error=") } ?? parts.first ?? "")
        }
        guard !text.contains("://") else { throw .noCode }
        if text.hasPrefix("code=") || text.contains("&code=") || text.hasPrefix("error=") || text.hasPrefix("state=") {
            return try code(inPastedQuery: text)
        }
        if text.contains("&state=") { return try code(inPastedQuery: "code=" + text) }
        if let mark = text.firstIndex(of: "#") {
            guard text[text.index(after: mark)...] == state else { throw .wrongState }
            return try Self.code(FormEncoding.decode("code=" + text[..<mark].replacing("+", with: "%2B")).first?.value)
        }
        return try Self.code(FormEncoding.decode("code=" + text.replacing("+", with: "%2B")).first?.value)
    }

    /// The query of an address, with the state that it must have; of a code alone, nobody demands one.
    private func code(inPastedQuery query: String) throws(AuthorizationRefusal) -> Secret {
        let parameters = FormEncoding.decode(query)
        guard !parameters.contains(where: { $0.name == "state" }) else { return try code(fromQuery: query) }
        if let error = parameters.first(where: { $0.name == "error" })?.value, !error.isEmpty {
            throw .denied(OAuthErrorCode(error, status: 302))
        }
        let codes = parameters.filter { $0.name == "code" }
        guard codes.count == 1 else { throw .noCode }
        guard parameters.count == 1 else { throw .noState }
        return try Self.code(codes[0].value)
    }

    /// Without white space, the marks of a bracketed paste, and quotes or brackets around it.
    private static func unwrapped(_ text: String) -> String {
        var text = text.replacing("\u{1B}[200~", with: "").replacing("\u{1B}[201~", with: "").filter { !$0.isWhitespace }[...]
        let marks: [(Character, Character)] = [
            ("\"", "\""), ("'", "'"), ("`", "`"), ("<", ">"), ("(", ")"), ("\u{201C}", "\u{201D}"),
        ]
        while let (_, closing) = marks.first(where: { $0.0 == text.first }), text.count >= 2, text.last == closing {
            text = text.dropFirst().dropLast()
        }
        return String(text)
    }

    private static func code(_ text: String?) throws(AuthorizationRefusal) -> Secret {
        guard let text, !text.isEmpty, text.utf8.allSatisfy({ (0x20...0x7E).contains($0) }) else { throw .noCode }
        return try secret(text)
    }

    private static func secret(_ text: String) throws(AuthorizationRefusal) -> Secret {
        do throws(SodiumError) {
            return try Secret(utf8: text)
        } catch {
            throw .memory
        }
    }

    /// What the token endpoint is given for the code.
    public func grant(code: Secret) -> AuthorizationGrant {
        .authorizationCode(code, redirectURI: redirectURI, verifier: verifier, nonce: nonce)
    }
}

extension FormEncoding {
    /// Pairs in their order; what is not valid percent-encoding stays as it is.
    public static func decode(_ query: String) -> [Parameter] {
        query.split(separator: "&").map { pair in
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return Parameter(decode(one: parts[0]), parts.count > 1 ? decode(one: parts[1]) : "")
        }
    }

    /// One name or value.
    private static func decode(one text: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            let digits = rest.prefix(2)
            if byte == UInt8(ascii: "%"), digits.count == 2, let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 16)
            {
                bytes.append(value)
                rest.removeFirst(2)
            } else {
                bytes.append(byte == UInt8(ascii: "+") ? UInt8(ascii: " ") : byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
