import Foundation
import FoundationEssentials
import HTTPTypes
import Hummingbird
import NIOCore
import OAuth

/// A request's context that knows its connection, so that a fault can cut it.
struct SandboxContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    let channel: any Channel

    init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
        channel = source.channel
    }
}

struct SandboxRoutes {
    let state: SandboxState
    /// Milliseconds.
    let latency: Int

    func router() -> Router<SandboxContext> {
        let router = Router(context: SandboxContext.self)
        router.post("/torq/v1/auth/token") { try await token(.torq, $0, $1) }
        router.post("/qa/oauth2/token/") { try await token(.qa, $0, $1) }
        router.post("/logins/token") { try await loginToken($0, $1) }
        router.get("/logins/authorize") { request, _ in await authorize(request) }
        router.post("/logins/device") { request, _ in
            let codes = await state.newDeviceCode()
            return json(
                #"{"device_code": "\#(codes.device)", "user_code": "\#(codes.user)", "verification_uri": "https://example.com/device", "verification_uri_complete": "https://example.com/device?user_code=\#(codes.user)", "expires_in": 60, "interval": 1}"#
            )
        }
        router.post("/query") { request, context in
            _ = await state.nextFault()
            let query = request.uri.queryParameters
            guard query["username"] == "made-up-user", query["password"] == "made-up-password", query["grant_type"] == nil else {
                return Response(status: .unauthorized)
            }
            let token = await state.grant(.torq, lifetime: 899)
            return json(#"{"access_token": "\#(token)", "token_type": "access", "expires_in": "899"}"#)
        }
        router.post("/revoke") { request, _ in
            let form = try await Form(request)
            guard try await authenticate(request, form) != nil else { return invalidClient() }
            await state.revoke(form["token"] ?? "")
            return Response(status: .ok)
        }
        router.post("/introspect") { request, _ in
            let active = await state.isActive(try await Form(request)["token"] ?? "")
            return json(#"{"active": \#(active)}"#)
        }
        router.get("/api") { request, _ in
            let header = request.headers[.authorization] ?? ""
            let active = header.hasPrefix("Bearer ") ? await state.isActive(String(header.dropFirst(7))) : false
            return active ? json(#"{"welcome": true}"#) : Response(status: .unauthorized)
        }
        router.get("/.well-known/oauth-authorization-server") { request, _ in metadata(request) }
        addAdministration(to: router)
        return router
    }

    private func metadata(_ request: Request) -> Response {
        let issuer = "http://" + (request.head.authority ?? "")
        return json(
            #"{"issuer": "\#(issuer)", "token_endpoint": "\#(issuer)/qa/oauth2/token/", "revocation_endpoint": "\#(issuer)/revoke", "grant_types_supported": ["client_credentials"], "token_endpoint_auth_methods_supported": ["client_secret_post"]}"#
        )
    }

    private func addAdministration(to router: Router<SandboxContext>) {
        router.post("/admin/keys/:provider") { _, context in
            guard let imitation = Imitation(rawValue: try context.parameters.require("provider")) else {
                return Response(status: .notFound)
            }
            let pair = await state.newPair(imitation)
            return json(#"{"client_id": "\#(pair.id)", "client_secret": "\#(pair.secret)"}"#)
        }
        router.post("/admin/faults") { request, _ in
            let body = try await request.body.collect(upTo: 1 << 20)
            await state.add(try JSONDecoder().decode([Fault].self, from: Data(body.readableBytesView)))
            return Response(status: .noContent)
        }
        router.post("/admin/expire") { _, _ in
            await state.expireAll()
            return Response(status: .noContent)
        }
        router.get("/admin/requests") { _, _ in
            json(
                #"{"requests": \#(await state.requests), "granted": \#(await state.granted), "reuses": \#(await state.reuses)}"#)
        }
        router.post("/admin/grace/:ms") { _, context in
            await state.setGrace(milliseconds: try context.parameters.require("ms", as: Int.self))
            return Response(status: .noContent)
        }
        router.get("/admin/logins") { _, _ in
            let tokens = await state.refreshTokens.map { #""\#($0)""# }.joined(separator: ", ")
            return json(#"{"refresh_tokens": [\#(tokens)]}"#)
        }
        router.post("/admin/login") { _, _ in json(#"{"refresh_token": "\#(await state.newLogin())"}"#) }
        router.post("/admin/device/:code") { request, context in
            await state.decide(
                userCode: try context.parameters.require("code"), approve: request.uri.queryParameters["approve"] == "1")
            return Response(status: .noContent)
        }
    }

    // MARK: Tokens

    private func token(_ imitation: Imitation, _ request: Request, _ context: SandboxContext) async throws -> Response {
        let fault = await state.nextFault()
        if latency > 0 { try await Task.sleep(for: .milliseconds(latency)) }
        if let delay = fault?.delay { try await Task.sleep(for: .milliseconds(delay)) }
        if fault?.drop == true { return try await cut(context) }
        if let fault, let response = answer(fault) { return response }
        let form = try await Form(request)
        guard try await authenticate(request, form) == imitation else { return invalidClient() }
        switch form["grant_type"] {
        case "client_credentials": break
        case "urn:ietf:params:oauth:grant-type:token-exchange":
            // RFC 8693 section 2.2.2: a subject that is not good is an invalid request.
            guard await state.isActive(form["subject_token"] ?? ""),
                form["subject_token_type"] == "urn:ietf:params:oauth:token-type:access_token"
            else { return refusal("invalid_request") }
        default: return refusal("unsupported_grant_type")
        }
        let lifetime = fault?.expiresIn ?? imitation.lifetime
        let token = await state.grant(imitation, lifetime: lifetime)
        if fault?.loseAnswer == true { return try await cut(context) }
        let scope = form["scope"].map { #", "scope": "\#($0)""# } ?? ""
        return json(
            #"{"access_token": "\#(token)", "token_type": "Bearer", \#(life(lifetime))\#(scope)}"#)
    }

    private func loginToken(_ request: Request, _ context: SandboxContext) async throws -> Response {
        let fault = await state.nextFault()
        if let delay = fault?.delay { try await Task.sleep(for: .milliseconds(delay)) }
        if fault?.drop == true { return try await cut(context) }
        if let fault, let response = answer(fault) { return response }
        let form = try await Form(request)
        guard await state.accepts(.logins, id: form["client_id"] ?? "", secret: form["client_secret"] ?? "") else {
            return invalidClient()
        }
        let refreshToken: String
        switch form["grant_type"] {
        case "refresh_token":
            guard let next = await state.rotate(form["refresh_token"] ?? "") else { return refusal("invalid_grant") }
            refreshToken = next
        case "authorization_code":
            let challenge = PKCE.challenge(verifier: form["code_verifier"] ?? "")
            guard await state.spend(code: form["code"] ?? "") == challenge else { return refusal("invalid_grant") }
            refreshToken = await state.newLogin()
        case "urn:ietf:params:oauth:grant-type:device_code":
            if let error = await state.ask(deviceCode: form["device_code"] ?? "") { return refusal(error) }
            refreshToken = await state.newLogin()
        default:
            return refusal("unsupported_grant_type")
        }
        let lifetime = fault?.expiresIn ?? Imitation.logins.lifetime
        let token = await state.grant(.logins, lifetime: lifetime)
        if fault?.loseAnswer == true { return try await cut(context) }
        return json(
            #"{"access_token": "\#(token)", "token_type": "Bearer", \#(life(lifetime)), "refresh_token": "\#(refreshToken)"}"#
        )
    }

    /// How a server says it: a lifetime of 0 would mean that it does not say.
    private func life(_ seconds: Int) -> String {
        seconds > 0 ? #""expires_in": \#(seconds)"# : #""expires_at": \#(Int(Date().timeIntervalSince1970) - 60)"#
    }

    /// Sends the browser back at once, with a code or a refusal.
    private func authorize(_ request: Request) async -> Response {
        let query = request.uri.queryParameters
        guard let redirect = query["redirect_uri"], let state = query["state"], let challenge = query["code_challenge"],
            query["code_challenge_method"] == "S256"
        else { return Response(status: .badRequest) }
        let answer =
            query["deny"] == nil ? "code=\(await self.state.newCode(challenge: String(challenge)))" : "error=access_denied"
        return Response(
            status: .found, headers: [.location: "\(redirect)\(redirect.contains("?") ? "&" : "?")\(answer)&state=\(state)"])
    }

    private func answer(_ fault: Fault) -> Response? {
        var response: Response
        if let status = fault.status {
            response = Response(status: .init(code: status), body: .init(byteBuffer: ByteBuffer(string: fault.body ?? "")))
        } else if let size = fault.hugeBody {
            response = json(#"{"access_token": "\#(String(repeating: "a", count: size))"}"#)
        } else if let body = fault.body {
            response = json(body)
        } else {
            return nil
        }
        for (name, value) in fault.headers ?? [:] {
            if let name = HTTPField.Name(name) { response.headers[name] = value }
        }
        return response
    }

    private func cut(_ context: SandboxContext) async throws -> Response {
        try await context.channel.close()
        return Response(status: .internalServerError)
    }

    /// Torq takes HTTP Basic (form-encoded first), QA the form body; each refuses the other's way.
    private func authenticate(_ request: Request, _ form: Form) async throws -> Imitation? {
        if let header = request.headers[.authorization], header.hasPrefix("Basic "),
            let data = Data(base64Encoded: String(header.dropFirst(6)))
        {
            let parts = String(decoding: data, as: UTF8.self).split(
                separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else { return nil }
            let (id, secret) = (Form.decode(parts[0]), Form.decode(parts[1]))
            return await state.accepts(.torq, id: id, secret: secret) ? .torq : nil
        }
        guard let id = form["client_id"], let secret = form["client_secret"] else { return nil }
        if await state.accepts(.logins, id: id, secret: secret) { return .logins }
        return await state.accepts(.qa, id: id, secret: secret) ? .qa : nil
    }

    private func invalidClient() -> Response {
        json(#"{"error": "invalid_client", "error_description": "who are you?"}"#, status: .unauthorized)
    }

    private func refusal(_ code: String) -> Response {
        json(#"{"error": "\#(code)"}"#, status: .badRequest)
    }

    private func json(_ text: String, status: HTTPResponse.Status = .ok) -> Response {
        Response(
            status: status, headers: [.contentType: "application/json"],
            body: .init(byteBuffer: ByteBuffer(string: text)))
    }
}

/// A form body.
struct Form {
    private var values: [String: String] = [:]

    init(_ request: Request) async throws {
        let text = String(buffer: try await request.body.collect(upTo: 1 << 20))
        for pair in text.split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            values[Self.decode(parts[0])] = parts.count > 1 ? Self.decode(parts[1]) : ""
        }
    }

    subscript(name: String) -> String? { values[name] }

    static func decode(_ text: Substring) -> String {
        text.replacing("+", with: " ").removingPercentEncoding ?? ""
    }
}
