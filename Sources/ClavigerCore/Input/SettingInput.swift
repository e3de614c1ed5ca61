import AgentProtocol
import OAuth

/// One setting each, as it is written on the command line.
enum SettingInput {
    static func address(_ option: String, _ text: String) throws -> EndpointURL {
        do throws(EndpointURL.Refusal) {
            return try EndpointURL(text)
        } catch {
            throw Problem.address(option, error)
        }
    }

    static func apiAddress(_ text: String) throws -> EndpointURL {
        let url = try address("--api-url", text)
        guard url.query == nil else { throw Problem("the address of --api-url can't have a query", .usage) }
        return url
    }

    /// A redirect address may be of any scheme (RFC 8252 section 7.1); it only has to be one.
    static func redirect(_ text: String) throws -> String {
        guard text.contains(":"), text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }), !text.contains("#") else {
            throw Problem("the address of --redirect-uri is not an address", .usage)
        }
        return text
    }

    /// `--scope "a b"` is `--scope a --scope b`. What a scope may hold is in RFC 6749 section 3.3.
    static func scopes(_ text: String) throws -> [String] {
        let scopes = text.split(separator: " ").map(String.init)
        guard !scopes.isEmpty, scopes.allSatisfy(ScopeNames.isName) else {
            throw Problem("a scope is empty or has characters that none may have", .usage)
        }
        for scope in scopes where scope.contains(",") {
            Terminal.note(
                "the scope \(Problem.quoted(scope)) has a comma in it, which is kept: for several scopes, repeat --scope")
        }
        return scopes
    }

    static func parameter(_ text: String) throws -> Parameter {
        guard let equals = text.firstIndex(of: "="), equals > text.startIndex else {
            throw Problem("a parameter is given as key=value", .usage)
        }
        return Parameter(String(text[..<equals]), String(text[text.index(after: equals)...]))
    }

    /// Those that a login is recognised by are new each time, and nobody else's to give.
    static func authorizationParameter(_ text: String) throws -> Parameter {
        let parameter = try parameter(text)
        let own = ["response_type", "client_id", "redirect_uri", "state", "nonce", "code_challenge", "code_challenge_method"]
        guard !own.contains(parameter.name) else {
            throw Problem(
                "--authorization-param \(parameter.name) is written by claviger itself, for each login",
                hint: parameter.name == "redirect_uri" ? "use --redirect-uri" : nil, .usage)
        }
        return parameter
    }

    /// A format from its members, each given as member=value.
    static func format<Format>(
        _ option: String, _ members: [String], _ read: ([Parameter]) throws(CatalogueError) -> Format
    ) throws -> Format {
        let members = try members.map(parameter)
        do throws(CatalogueError) {
            return try read(members)
        } catch {
            throw Problem("\(option): \(Terminal.plain(error.reason))", hint: "see claviger-providers(5)", .usage)
        }
    }

    static func headerField(_ text: String) throws -> Parameter {
        guard let colon = text.firstIndex(of: ":") else { throw Problem("--header takes 'name: value'", .usage) }
        let name = String(text[..<colon])
        let value = String(text[text.index(after: colon)...].drop { $0 == " " })
        guard HeaderRules.isName(name), HeaderRules.isValue(value) else {
            throw Problem("--header has characters that no header may have", .usage)
        }
        return Parameter(name, value)
    }

    static func certificates(_ path: String) throws -> String {
        let bytes = try SecretInput.contents(path, limit: 1 << 20, what: "certificates", isSecret: false)
        guard let text = String(validating: bytes, as: UTF8.self), text.contains("-----BEGIN CERTIFICATE-----") else {
            throw Problem("\(path) holds no certificate in PEM", .usage)
        }
        return text
    }
}

/// What HTTP allows in a header (RFC 9110 sections 5.1 and 5.5).
enum HeaderRules {
    static func isName(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && !Array("\"(),/:;<=>?@[\\]{}".utf8).contains($0) }
    }

    static func isValue(_ text: String) -> Bool {
        text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
    }
}
