import Access
import AgentProtocol
import Credentials
import Dispatch
import FoundationEssentials
public import Linux
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
        var service: AuditedService?
        await withDiscardingTaskGroup { group in
            for await request in requests {
                if case .open(let wanted) = request.operation {
                    service = open(wanted, request.number)
                } else if let service {
                    group.addTask { await self.answer(request, by: service) }
                } else {
                    answer(request.number, .failure(ServiceFailure(Problem.agentLocked, of: nil)))
                }
            }
        }
    }

    private func open(_ wanted: OpenVault, _ number: UInt32) -> AuditedService? {
        do {
            let memory = wanted.acceptsOlder ? nil : wanted.stateFolder.map { SeenGenerations(folder: $0) }
            let vault = try LockedVault(path: wanted.path, memory: memory)
                .unlock(with: HandedOverKeys(wanted.keys.secret), seen: wanted.seen)
            let caller = Caller(uid: wanted.uid, gid: 0, pid: wanted.pid, exe: wanted.program)
            let host = Host.current(stateFolder: wanted.stateFolder, environment: environment)
            let log = AuditLog(vault: vault, path: wanted.path + ".log")
            let service = AuditedService(
                CredentialService(vault: vault, log: log, transport: transport, host: host), log: log, caller: caller,
                reason: wanted.reason)
            answer(number, .opened)
            return service
        } catch {
            answer(number, .failure(ServiceFailure(error, of: nil)))
            return nil
        }
    }

    /// A command that is gone reads no answer; what was acquired is stored by then.
    private func answer(_ number: UInt32, _ result: ServiceResponse.Result) {
        try? socket.send(ServiceResponse(number: number, result: result))
    }

    private func answer(_ request: ServiceRequest, by service: AuditedService) async {
        let (name, work) = Self.work(request.operation, service)
        do {
            if isEnding.withLock({ $0 }) { throw Problem.refresherIsEnding }
            answer(request.number, try await work())
        } catch {
            answer(request.number, .failure(ServiceFailure(error, of: name)))
        }
    }

    private typealias Work = @Sendable () async throws -> ServiceResponse.Result

    private static func work(_ operation: ServiceRequest.Operation, _ service: AuditedService) -> (name: String?, Work) {
        switch operation {
        case .open:
            (nil, { .opened })
        case .token(let name, let ask):
            (name, { .token(CachedTokenDocument(try await service.token(name, ask))) })
        case .add(let name, let new, let verify):
            (name, { .summary(try await service.add(name, new.credential, verify: verify)) })
        case .rotate(let name, let rotation, let verify):
            (name, { .summary(try await service.rotate(name, rotation.rotation, verify: verify)) })
        case .edit(let name, let edit, let verify):
            (name, { .summary(try await service.edit(name, edit, verify: verify)) })
        case .check(let name):
            (name, { .check(try await service.check(name)) })
        case .logIn(let name, let grant):
            (name, { .summary(try await service.logIn(name, with: grant.grant)) })
        }
    }
}

extension Problem {
    fileprivate static let refresherIsEnding = Problem(
        "this machine, or its user, ends what was begun", hint: "try again", .tryAgain)
}
