import FoundationEssentials
import HTTPTypes
import Hummingbird
import NIOCore

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

    func router() -> Router<SandboxContext> {
        let router = Router(context: SandboxContext.self)
        router.post("/torq/v1/auth/token") { try await token(.torq, $0, $1) }
        router.post("/qa/oauth2/token/") { try await token(.qa, $0, $1) }
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
        addAdministration(to: router)
        return router
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
            json(#"{"requests": \#(await state.requests), "granted": \#(await state.granted)}"#)
        }
    }

    // MARK: Tokens

    private func token(_ imitation: Imitation, _ request: Request, _ context: SandboxContext) async throws -> Response {
        let fault = await state.nextFault()
        if let delay = fault?.delay { try await Task.sleep(for: .milliseconds(delay)) }
        if fault?.drop == true { return try await cut(context) }
        if let fault, let response = answer(fault) { return response }
        let form = try await Form(request)
        guard form["grant_type"] == "client_credentials" else { return refusal("unsupported_grant_type") }
        guard try await authenticate(request, form) == imitation else { return invalidClient() }
        let lifetime = fault?.expiresIn ?? imitation.lifetime
        let token = await state.grant(imitation, lifetime: lifetime)
        if fault?.loseAnswer == true { return try await cut(context) }
        let scope = form["scope"].map { #", "scope": "\#($0)""# } ?? ""
        return json(
            #"{"access_token": "\#(token)", "token_type": "Bearer", "expires_in": \#(lifetime)\#(scope)}"#)
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
