import AgentProtocol
import Credentials
import Dispatch
import FoundationEssentials
import Glibc
import HTTP
import Linux
import OAuth
import Sodium
import Synchronization
import TokenEngine

/// The login in a browser (RFC 8252): listen on loopback, send the browser to the server, take the code that it brings
/// back, exchange it, and only then tell the browser how it went.
struct BrowserLogin {
    let agent: any CredentialManager
    let credential: CredentialView
    let redirect: LoopbackRedirect
    let opensBrowser: Bool
    /// Whether what the browser ends at may be pasted, too: where it runs on another machine, it can't come back here.
    let takesPasted: Bool
    /// Seconds.
    let timeout: Int

    func run() async throws -> CredentialView {
        let visit = RedirectReceiver()
        return try await withThrowingTaskGroup(of: CredentialView?.self) { group in
            defer { group.cancelAll() }
            let port = try await listen(visit, &group)
            let request = try await agent.authorizationRequest(credential.name, redirectURI: redirect.uri(port: port))
            visit.expect(request)
            show(request)
            group.addTask { try await visit.result() }
            if takesPasted { group.addTask { try await pasted(visit) } }
            group.addTask {
                try await Task.sleep(for: .seconds(timeout))
                throw Problem(
                    "nobody logged in within \(timeout) s",
                    hint: "try again with claviger login \(Terminal.plain(credential.name))",
                    .tryAgain)
            }
            while let result = try await group.next() {
                if let result { return result }
            }
            throw Problem.interrupted
        }
    }

    /// Asks for the address that the browser ends at, until it is a right one or somebody has logged in otherwise.
    private func pasted(_ visit: RedirectReceiver) async throws -> CredentialView? {
        while true {
            let answer = try await PastedAnswer.ask("or paste the address that the browser ends at, not shown: ")
            let taken: (request: AuthorizationRequest, code: Secret)?
            do throws(AuthorizationRefusal) {
                taken = try visit.take(pasted: answer.revealed())
            } catch {
                let problem = Problem(describing: error, of: credential.name)
                Terminal.tell("\(problem.title)" + (problem.hint.map { "; \($0.text)" } ?? ""))
                continue
            }
            guard let taken else { return nil }
            return try await agent.logIn(credential.name, with: taken.request.grant(code: taken.code))
        }
    }

    /// Starts a listener for each address, all on one port.
    private func listen(
        _ visit: RedirectReceiver, _ group: inout ThrowingTaskGroup<CredentialView?, any Error>
    ) async throws -> Int {
        var port = redirect.port
        for address in redirect.addresses {
            let (ports, continuation) = AsyncStream<Int>.makeStream()
            var limits = HTTPServer.Limits()
            // A browser sends the cookies of every program on this machine along, and some codes are long.
            limits.header = 128 << 10
            let server = HTTPServer(limits: limits, bodyLimit: 0) { requests in
                requests.map { request in .later { await respond(to: request, visit) } }
            }
            let isFirst = address == redirect.addresses.first
            let wanted = port
            group.addTask {
                defer { continuation.finish() }
                do {
                    try await server.run(on: .loopback(address, port: wanted)) { continuation.yield($0 ?? 0) }
                } catch  where error is CancellationError || !isFirst && !HTTPServer.isTaken(error) {
                    // A machine without IPv6 still has the other. A port that another process has there would get the code.
                } catch {
                    let code = (error as? FileError)?.code ?? 0
                    throw Problem(
                        "cannot listen on port \(wanted) of this machine: \(PlainText.reason(errno: code))",
                        hint: code == EACCES
                            ? "only root may listen below 1024: choose another with --port, and register that address"
                            : "end what uses it, or choose another with --port", .unavailable)
                }
                return nil
            }
            var bound: Int?
            for await port in ports {
                bound = port
                break
            }
            // A listener that ended without a port has its reason to tell, before anybody is sent to it.
            if bound == nil { _ = try await group.next() }
            port = bound ?? port
        }
        return port
    }

    private func respond(to request: ServerRequest, _ visit: RedirectReceiver) async -> ServerResponse {
        let path = request.target.prefix { $0 != "?" }
        let query = String(request.target.dropFirst(path.count + 1))
        guard request.method == "GET", path == redirect.path else { return response(.notHere, 404) }
        guard let expected = visit.take(query) else { return response(.again, 410) }
        return await answer(expected, query: query, visit)
    }

    /// The exchange happens before the page is written, so that the page tells the truth.
    private func answer(_ request: AuthorizationRequest, query: String, _ visit: RedirectReceiver) async -> ServerResponse {
        do {
            let code = try request.code(fromQuery: query)
            let result = try await agent.logIn(credential.name, with: request.grant(code: code))
            defer { visit.finish(.success(result)) }
            return response(.loggedIn(credential.name), 200)
        } catch {
            let problem = Problem(describing: error, of: credential.name)
            // Somebody else's answer ends nothing.
            defer {
                if error as? AuthorizationRefusal != .wrongState {
                    visit.finish(.failure(error is AuthorizationRefusal ? problem : error))
                }
            }
            return response(.failed(problem), 200)
        }
    }

    private func response(_ page: LandingPage, _ status: Int) -> ServerResponse {
        ServerResponse(
            status: status,
            headers: [
                ("Content-Type", "text/html; charset=utf-8"), ("Cache-Control", "no-store"),
                ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
                ("Referrer-Policy", "no-referrer"), ("X-Content-Type-Options", "nosniff"),
            ],
            body: Array(page.html.utf8))
    }

    private func show(_ request: AuthorizationRequest) {
        if opensBrowser, Browser.open(request.url) {
            Terminal.tell("log in with the browser that was opened; if none was, open this address:")
        } else {
            Terminal.tell("open this address, and log in:")
        }
        Terminal.tell("  " + request.url)
    }
}

/// The one visit of the browser that counts.
private final class RedirectReceiver: Sendable {
    private struct State {
        var request: AuthorizationRequest?
        var result: Result<CredentialView, any Error>?
        var waiter: CheckedContinuation<CredentialView, any Error>?
        var isCancelled = false
    }
    private let state = Mutex(State())

    func expect(_ request: AuthorizationRequest) { state.withLock { $0.request = request } }

    /// The request that this answers, once. An answer with another `state` is not ours, and spends nothing: else any
    /// page could end a login by guessing the port.
    func take(_ query: String) -> AuthorizationRequest? {
        state.withLock { state in
            guard let request = state.request else { return nil }
            do throws(AuthorizationRefusal) {
                _ = try request.code(fromQuery: query)
            } catch .wrongState {
                return request
            } catch {}
            state.request = nil
            return request
        }
    }

    /// What a person has pasted in the place of a visit, once.
    /// - Returns: nil if the browser was here already.
    func take(pasted text: String) throws(AuthorizationRefusal) -> (request: AuthorizationRequest, code: Secret)? {
        let request = state.withLock { $0.request }
        guard let request else { return nil }
        let code = try request.code(fromPasted: text)
        return state.withLock { state in
            guard state.request != nil else { return nil }
            state.request = nil
            return (request, code)
        }
    }

    /// Ends the wait shortly after, so that the page can still go out.
    func finish(_ result: Result<CredentialView, any Error>) {
        Task {
            try? await Task.sleep(for: .milliseconds(200))
            let waiter = state.withLock { state in
                state.result = result
                defer { state.waiter = nil }
                return state.waiter
            }
            waiter?.resume(with: result)
        }
    }

    func result() async throws -> CredentialView {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let result = state.withLock { state -> Result<CredentialView, any Error>? in
                    // The cancellation may have come before there was anybody to tell.
                    if state.isCancelled { return .failure(CancellationError()) }
                    if state.result == nil { state.waiter = continuation }
                    return state.result
                }
                if let result { continuation.resume(with: result) }
            }
        } onCancel: {
            let waiter = state.withLock { state in
                state.isCancelled = true
                defer { state.waiter = nil }
                return state.waiter
            }
            waiter?.resume(throwing: CancellationError())
        }
    }
}

/// A question on the terminal that is given up when the task is cancelled.
private enum PastedAnswer {
    static func ask(_ question: String) async throws -> Secret {
        let (reading, writing) = try File.pipe()
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                // It waits for a person, on a thread of its own.
                DispatchQueue(label: "claviger.paste").async {
                    continuation.resume(
                        with: Result { try Terminal.promptSecret(question, otherwise: .noTerminalForCode, until: reading) })
                }
            }
        } onCancel: {
            try? writing.write([0])
        }
    }
}

/// The person's browser.
enum Browser {
    /// `$BROWSER` (a command, or several with colons between), else xdg-open.
    /// - Returns: whether one was started.
    static func open(_ url: String) -> Bool {
        let named = (Session.environment["BROWSER"] ?? "").split(separator: ":").map(String.init)
        return (named + ["xdg-open"]).contains { start($0, url) }
    }

    private static func start(_ command: String, _ url: String) -> Bool {
        let words = command.split(separator: " ").map { String($0).replacing("%s", with: url) }
        guard let program = words.first else { return false }
        let arguments = command.contains("%s") ? words : words + [url]
        var browser = ChildProcess(program, Array(arguments.dropFirst()))
        // What a browser prints is nobody's result.
        browser.streams = [.null, .null, .null]
        return (try? browser.start()) != nil
    }
}
