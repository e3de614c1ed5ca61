import CLinux

/// Where an agent listens, and one exchange with it: HTTP/1.1 over a Unix socket, one request for each connection.
///
/// The thin front compiles this target's files as Embedded Swift, with libc and nothing else: strings are compared as bytes,
/// for Unicode's tables are not there.
public struct AgentSocket: Sendable {
    public let path: String
    /// How many seconds the agent may be silent, from the first byte on. While it works on a request, it says so every two.
    private let patience: Double

    public init(path: String, patience: Double = 10) {
        self.path = path
        self.patience = patience
    }

    /// A Unix socket's path may be so long, in bytes (unix(7)).
    public static let maximumPath = 107

    /// The agent to ask: this user's if there is a socket of one, else, for a user who has no vault either, the machine's.
    public static func toAsk() -> AgentSocket? {
        if let path = Locations.socket, unsafe access(path, F_OK) == 0 { return AgentSocket(path: path) }
        guard Locations.variable("CLAVIGER_SOCKET") == nil, !hasVault, unsafe access(Locations.systemSocket, F_OK) == 0 else {
            return nil
        }
        return AgentSocket(path: Locations.systemSocket)
    }

    /// Whether this user names or has a vault: the names in it are not those of the machine's.
    private static var hasVault: Bool {
        Locations.namesVault || Locations.vault().map { unsafe access($0, F_OK) == 0 } ?? false
    }

    public enum Failure: Error {
        /// Nothing listens there.
        case nobody
        /// The process that listens belongs neither to this user nor to root, and is not the system agent either.
        case stranger(path: String, uid: UInt32)
        /// It listens, and says nothing: it is stopped, or hangs.
        case silent(path: String)
        /// It closed the connection before the first byte of an answer, as an agent does that ends.
        case closed(path: String)
        /// It answered something else than HTTP.
        case broken
    }

    /// Sends one request and reads its answer.
    public func send(_ request: AgentRequest) throws(Failure) -> AgentAnswer {
        let descriptor = try connected()
        defer { close(descriptor) }
        do throws(Failure) {
            try write(request.head, to: descriptor)
            if !request.body.isEmpty { try write(request.body, to: descriptor) }
        } catch .closed {
            // An agent may refuse a request before it has read all of it: the answer says why.
        }
        return try answer(descriptor)
    }

    // MARK: One that was silent already

    private static let silentVariable = "CLAVIGER_SILENT_AGENT"

    /// Tells the program that this process becomes that the agent does not answer, so that nobody waits for it twice.
    public func noteSilence() { unsafe setenv(Self.silentVariable, path, 1) }

    /// Whether the program that became this one has waited for this agent in vain.
    public var wasSilent: Bool {
        Locations.variable(Self.silentVariable).map { $0.utf8.elementsEqual(path.utf8) } ?? false
    }

    // MARK: Connecting

    private func connected() throws(Failure) -> Int32 {
        guard path.utf8.count <= Self.maximumPath else { throw .nobody }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: path.utf8) }
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw .nobody }
        limitWaiting(descriptor)
        let status = unsafe withUnsafePointer(to: &address) {
            unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        let code = claviger_errno()
        guard status == 0 else {
            close(descriptor)
            // The queue of a stopped agent fills up, and connect(2) waits for a place in it.
            throw code == EAGAIN ? .silent(path: path) : .nobody
        }
        var peer = claviger_peer()
        guard unsafe claviger_get_peer(descriptor, &peer) == 0, isTrusted(peer.uid) else {
            close(descriptor)
            throw .stranger(path: path, uid: peer.uid)
        }
        return descriptor
    }

    /// For each read, each write, and the connection.
    private func limitWaiting(_ descriptor: Int32) {
        let seconds = Int(patience)
        var limit = timeval(tv_sec: seconds, tv_usec: suseconds_t((patience - Double(seconds)) * 1_000_000))
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            unsafe setsockopt(descriptor, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size))
        }
    }

    /// Whose answers are believed. The system agent's folder below /run is made by root, for that agent's user.
    private func isTrusted(_ uid: UInt32) -> Bool {
        if uid == geteuid() || uid == 0 { return true }
        guard path.utf8.elementsEqual(Locations.systemSocket.utf8) else { return false }
        var status = stat()
        return unsafe stat(Locations.systemFolder, &status) == 0 && status.st_uid == uid && status.st_mode & 0o022 == 0
    }

    // MARK: Writing and reading

    private func write(_ bytes: [UInt8], to descriptor: Int32) throws(Failure) {
        var sent = 0
        while sent < bytes.count {
            let count = unsafe bytes.withUnsafeBytes {
                unsafe CLinux.send(descriptor, $0.baseAddress! + sent, $0.count - sent, Int32(MSG_NOSIGNAL))
            }
            let code = claviger_errno()
            if count < 0 && code == EINTR { continue }
            guard count > 0 else { throw code == EAGAIN ? .silent(path: path) : .closed(path: path) }
            sent += count
        }
    }

    private func answer(_ descriptor: Int32) throws(Failure) -> AgentAnswer {
        var reader = AgentAnswer.Reader()
        var buffer = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = unsafe recv(descriptor, &buffer, buffer.count, 0)
            let code = claviger_errno()
            if count < 0 && code == EINTR { continue }
            if count < 0 && code == EAGAIN { throw .silent(path: path) }
            guard count > 0 else { throw reader.hasBegun ? .broken : .closed(path: path) }
            do throws(AgentAnswer.Malformed) {
                if let answer = try reader.read(buffer[..<count]) { return answer }
            } catch {
                throw .broken
            }
        }
    }
}
