import AsyncHTTPClient
public import Credentials
import FoundationEssentials
public import HTTP
import HTTPTypes
import HummingbirdCore
import NIOCore
import OAuth
import Sodium
import TokenEngine

/// An API on a loopback port, with the token added here: whoever calls it never holds one.
///
/// Each credential has a path of its own that nobody can guess; what stands behind that path goes to the credential's API
/// address, over TLS, and nowhere else. The path alone lets nobody in: only the connections of admitted users are answered.
public final class CredentialProxy: Sendable {
    /// A credential, and where its token may go.
    struct Target: Sendable {
        let name: String
        let api: EndpointURL
        let certificateAuthority: String?
        let secret: [UInt8]
        let token: TokenHolder
    }

    private let targets: [Target]
    private let admission: Admission
    private let upstream: StreamingClient
    private let describe: @Sendable (any Error) -> (status: Int, title: String)

    /// A body up to this size in bytes is kept until its answer is there, so that it can be sent again.
    static let replayLimit = 1 << 20

    /// - Parameters:
    ///   - credentials: each with an API address, or it is left out.
    ///   - minimumLifetime: of the tokens, in seconds.
    ///   - admission: whom it answers.
    ///   - describe: puts an error in words, with the status (RFC 9110) of the answer that says so.
    /// - Throws: `SodiumError` if there is no memory.
    public init(
        _ credentials: [ListedCredential], minimumLifetime: Int?, agent: any TokenSource, admission: Admission,
        upstream: StreamingClient,
        describe: @escaping @Sendable (any Error) -> (status: Int, title: String)
    ) throws {
        targets = try credentials.compactMap { credential -> Target? in
            guard let api = credential.apiURL else { return nil }
            let secret = try Secret(SecretBytes.random(count: 32)).withBytes { Array(Hex.encode($0).utf8) }
            return Target(
                name: credential.name, api: api, certificateAuthority: credential.certificateAuthority, secret: secret,
                token: TokenHolder(credential.name, minimumLifetime: minimumLifetime, agent: agent))
        }
        self.admission = admission
        self.upstream = upstream
        self.describe = describe
    }

    /// Serves until the task is cancelled.
    /// - Parameter onReady: is given the base address of each credential, by name, once there is one.
    /// - Throws: what the agent throws if there is no token for one of them, and `FileError` if it can't listen.
    public func run(onReady: @Sendable ([String: String]) throws -> Void) async throws {
        for target in targets { _ = try await target.token.current() }
        var limits = HTTPServer.Limits()
        limits.header = 64 << 10
        let (ports, continuation) = AsyncStream<Int>.makeStream()
        let server = HTTPServer(limits: limits, admission: admission) { request, writer, channel in
            try await self.respond(to: request, writer, at: channel.localAddress?.port ?? 0)
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                defer { continuation.finish() }
                try await server.run(on: .loopback("127.0.0.1", port: 0)) { continuation.yield($0 ?? 0) }
            }
            for await port in ports {
                try onReady(Dictionary(targets.map { ($0.name, base(of: $0, port)) }) { $1 })
                break
            }
            try await group.waitForAll()
        }
    }

    private func base(of target: Target, _ port: Int) -> String {
        "http://127.0.0.1:\(port)/" + String(decoding: target.secret, as: UTF8.self)
    }

    // MARK: One request

    private func respond(to request: Request, _ writer: consuming ResponseWriter, at port: Int) async throws {
        let sent = request.head.path ?? ""
        let split = sent.utf8.dropFirst().prefix { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") }
        guard sent.hasPrefix("/"), let target = target(Array(split)) else {
            return try await refuse(404, "there is nothing here", writer)
        }
        guard ProxyRules.isTarget(sent) else {
            return try await refuse(400, "this path or query has a character that must be percent-encoded", writer)
        }
        let rest = String(sent.dropFirst(1 + split.count))
        guard let url = ProxyRules.upstream(rest, below: target.api) else {
            return try await refuse(400, "this path does not stay below the API's address", writer)
        }
        guard request.method != .connect, request.method != .trace else {
            return try await refuse(405, "the method \(request.method) is not passed on", writer)
        }
        let upgrades = ProxyRules.upgrades(request.headers)
        guard upgrades.isEmpty else {
            let title = "an upgrade of the connection, such as to WebSocket, is not passed on"
            return try await refuse(501, title, writer)
        }
        let base = base(of: target, port)
        // Who waits to be told to send the body (RFC 9110 section 10.1.1) is told.
        if request.headers[.expect]?.lowercased() == "100-continue" {
            try await writer.writeInformationalHead(HTTPResponse(status: .continue))
        }
        let answer: StreamedAnswer
        let token: TokenHolder.Held
        do {
            (answer, token) = try await exchange(request, target, url)
        } catch {
            let (status, title) = describe(error)
            return try await refuse(status, "\(target.name): \(title)", writer)
        }
        try await pass(answer, token, writer, url, target, base)
    }

    /// In the same time for every path.
    private func target(_ secret: [UInt8]) -> Target? {
        targets.filter { target in
            target.secret.count == secret.count && zip(target.secret, secret).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
        }.first
    }

    private func exchange(
        _ request: Request, _ target: Target, _ url: EndpointURL
    ) async throws -> (StreamedAnswer, TokenHolder.Held) {
        let body = try await body(of: request)
        let method = request.method.rawValue
        func send(_ token: TokenHolder.Held) async throws -> StreamedAnswer {
            var fields = ProxyRules.passedOn(request.headers, droppingLength: true)
            var url = url
            token.present(in: &fields, &url)
            return try await upstream.stream(
                StreamedRequest(
                    method: request.method, url: url, headerFields: fields, body: body,
                    certificateAuthority: target.certificateAuthority))
        }
        var token = try await target.token.current(for: method, url)
        var answer = try await send(token)
        if await target.token.learnNonce(from: answer), case .whole = body {
            token = try await target.token.current(for: method, url)
            answer = try await send(token)
            _ = await target.token.learnNonce(from: answer)
        }
        guard answer.status == 401 else { return (answer, token) }
        // The next request has another token in any case; this one can have it only if its body is still here.
        let replacement = try? await target.token.replacement(for: token)
        guard let replacement, case .whole = body else { return (answer, token) }
        let proven = try await target.token.proven(replacement, method, url)
        let second = try await send(proven)
        if second.status == 401 { await target.token.refusedAgain() }
        return (second, proven)
    }

    private func body(of request: Request) async throws -> StreamedRequest.Body {
        let length = request.headers[.contentLength].flatMap { Int($0) }
        if length == nil, request.headers[.transferEncoding] == nil { return .whole(ByteBuffer()) }
        guard let length, length <= Self.replayLimit else { return .pieces(request.body, length: length) }
        return .whole(try await request.body.collect(upTo: Self.replayLimit))
    }

    private func pass(
        _ answer: StreamedAnswer, _ token: TokenHolder.Held, _ writer: consuming ResponseWriter, _ url: EndpointURL,
        _ target: Target, _ base: String
    ) async throws {
        var fields = ProxyRules.passedOn(answer.headerFields, droppingLength: false)
        if let location = fields[.location] {
            guard let inside = ProxyRules.location(location, from: url, below: target.api, as: base) else {
                return try await refuse(502, "\(target.name): the server redirects to another place, which was stopped", writer)
            }
            fields[.location] = token.withheld(from: inside)
        }
        if let links = fields[ProxyRules.link] {
            fields[ProxyRules.link] = token.withheld(from: ProxyRules.links(links, from: url, below: target.api, as: base))
        }
        let body = answer.body
        let length = fields[.contentLength].flatMap { Int($0) }
        let head = HTTPResponse(status: .init(code: answer.status), headerFields: fields)
        try await writer.write(
            response: head,
            body: ResponseBody(contentLength: length) { writer in
                for try await piece in body { try await writer.write(piece) }
                try await writer.finish(nil)
            })
    }

    /// An answer of our own (RFC 9457), which says whose it is.
    private func refuse(_ status: Int, _ title: String, _ writer: consuming ResponseWriter) async throws {
        struct Problem: Encodable {
            let title: String
            let status: Int
            let source = "claviger"
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let body = Array(try encoder.encode(Problem(title: title, status: status)))
        // What is left of the request's body is not waited for.
        var fields: HTTPFields = [.contentType: "application/problem+json", .connection: "close"]
        fields[.contentLength] = "\(body.count)"
        let head = HTTPResponse(status: .init(code: status), headerFields: fields)
        try await writer.write(response: head, body: ResponseBody(byteBuffer: ByteBuffer(bytes: body)))
    }
}
