import Access
import AgentProtocol
import Credentials
import Dispatch
import FoundationEssentials
public import Linux
import Sodium
import Synchronization
public import TokenEngine
import Vault

/// The refresher: an agent for one command, at the other end of a socket pair. Once a refresh token or a code has been sent,
/// the work belongs to nobody who can be interrupted: a command that is killed leaves a refresher that stores the answer, and
/// then ends.
public final class RefresherServer: Sendable {
    private let socket: MessageSocket
    private let transport: any HTTPTransport
    private let environment: [String: String]
    private let isEnding = Mutex(false)

    /// - Parameters:
    ///   - file: this process's end of the socket pair.
    ///   - environment: for `$CLAVIGER_HOST_ID`.
    public init(_ file: File, transport: any HTTPTransport, environment: [String: String]) {
        socket = MessageSocket(file)
        self.transport = transport
        self.environment = environment
    }

    /// Begins nothing new from now on. What has been begun is finished.
    public func end() { isEnding.withLock { $0 = true } }

    /// Serves until the command is gone and all work is done.
    public func run() async {
        guard (try? socket.send(ServiceResponse(number: 0, result: .ready))) != nil else { return }
        let (requests, continuation) = AsyncStream<ServiceRequest>.makeStream()
        DispatchQueue(label: "claviger requests").async {
            while let request = self.socket.receive(ServiceRequest.self) { continuation.yield(request) }
            continuation.finish()
        }
        var opened: Opened?
        await withDiscardingTaskGroup { group in
            for await request in requests {
                if case .open(let wanted) = request.operation {
                    opened = open(wanted, request.number)
                } else if let opened {
                    group.addTask { await self.answer(request, by: opened) }
                } else {
                    answer(request.number, .failure(ServiceFailure(Problem.agentLocked, of: nil)))
                }
            }
        }
    }

    /// The opened vault, and the command that it was opened for.
    private struct Opened: Sendable {
        let service: CredentialService
        let audited: AuditedService
        let log: AuditLog
        let caller: Caller
        let reason: String?
        /// This process's place in the register; nil where there is none.
        let entry: RefresherRegister.Entry?

        /// - Throws: a problem if `claviger lock` was run since the vault was opened.
        func refuseIfLocked() throws {
            if entry?.mayHandOut == false { throw Problem.lockedMeanwhile }
        }

        /// The log says what becomes of the token: what was acquired after a lock is stored, and not handed out.
        func token(_ name: String, _ ask: TokenQuery) async throws -> CachedToken {
            let token = try await log.record(
                .token, of: name, caller: caller, reason: reason, token: { $0.token.withBytes { $0.array() } }
            ) {
                let token = try await service.token(name, ask)
                try refuseIfLocked()
                return token
            }
            // The log may have been busy for a while.
            try refuseIfLocked()
            return token
        }
    }

    private func open(_ wanted: OpenVault, _ number: UInt32) -> Opened? {
        do {
            let entry = wanted.runtimeFolder.flatMap { try? RefresherRegister(beside: $0).enter(vault: wanted.path) }
            let memory = wanted.acceptsOlder ? nil : wanted.stateFolder.map { SeenGenerations(folder: $0) }
            let vault = try LockedVault(path: wanted.path, memory: memory)
                .unlock(with: HandedOverKeys(wanted.keys.secret), seen: wanted.seen)
            let caller = Caller(uid: wanted.uid, gid: 0, pid: wanted.pid, exe: wanted.program)
            let host = Host.current(stateFolder: wanted.stateFolder, environment: environment)
            let log = AuditLog(vault: vault, path: wanted.path + ".log")
            let service = CredentialService(vault: vault, log: log, transport: transport, host: host, caller: caller) {
                if self.isEnding.withLock({ $0 }) { throw Problem.refresherIsEnding }
                if entry?.mayHandOut == false { throw Problem.lockedMeanwhile }
            }
            let audited = AuditedService(service, log: log, caller: caller, reason: wanted.reason)
            answer(number, .opened)
            return Opened(
                service: service, audited: audited, log: log, caller: caller, reason: wanted.reason, entry: entry)
        } catch {
            answer(number, .failure(ServiceFailure(error, of: nil)))
            return nil
        }
    }

    /// A command that is gone reads no answer; what was acquired is stored by then.
    private func answer(_ number: UInt32, _ result: ServiceResponse.Result) {
        try? socket.send(ServiceResponse(number: number, result: result))
    }

    private func answer(_ request: ServiceRequest, by opened: Opened) async {
        let (name, work) = Self.work(request.operation, opened)
        do {
            if isEnding.withLock({ $0 }) { throw Problem.refresherIsEnding }
            try opened.refuseIfLocked()
            answer(request.number, try await work())
        } catch {
            answer(request.number, .failure(ServiceFailure(error, of: name)))
        }
    }

    private typealias Work = @Sendable () async throws -> ServiceResponse.Result

    private static func work(_ operation: ServiceRequest.Operation, _ opened: Opened) -> (name: String?, Work) {
        switch operation {
        case .open:
            (nil, { .opened })
        case .token(let name, let ask):
            (name, { .token(CachedTokenDocument(try await opened.token(name, ask))) })
        case .add(let name, let new, let verify):
            (name, { .summary(try await opened.audited.add(name, new.credential, verify: verify)) })
        case .rotate(let name, let rotation, let verify):
            (name, { .summary(try await opened.audited.rotate(name, rotation.rotation, verify: verify)) })
        case .edit(let name, let edit, let verify):
            (name, { .summary(try await opened.audited.edit(name, edit.edit, verify: verify)) })
        case .check(let name):
            (name, { .check(try await opened.audited.check(name)) })
        case .logIn(let name, let grant):
            (name, { .summary(try await opened.audited.logIn(name, with: grant.grant)) })
        }
    }
}
