import CLinux

/// Where an agent listens, and one exchange with it: HTTP/1.1 over a Unix socket, one request for each connection.
///
/// The thin front is made of this, so it is Embedded Swift, too, and brings nothing along but libc: strings are compared as
/// bytes, for Unicode's tables are not there.
public struct AgentSocket: Sendable {
    public let path: String

    public init(path: String) {
        self.path = path
    }

    /// Where the agent of a whole machine listens.
    public static let systemPath = "/run/claviger/agent.sock"

    /// A Unix socket's path may be so long, in bytes (unix(7)).
    public static let maximumPath = 107

    /// Where the agent of this user listens: `$CLAVIGER_SOCKET`, else below `$XDG_RUNTIME_DIR`, else below the home.
    public static func ownPath() -> String? {
        if let path = variable("CLAVIGER_SOCKET") { return path }
        if let folder = variable("XDG_RUNTIME_DIR") { return folder + "/claviger/agent.sock" }
        return variable("HOME").map { $0 + "/.local/state/claviger/agent.sock" }
    }

    /// The agent to ask: this user's if there is a socket of one, else, for who has no vault either, the machine's.
    public static func toAsk() -> AgentSocket? {
        if let path = ownPath(), access(path, F_OK) == 0 { return AgentSocket(path: path) }
        guard variable("CLAVIGER_SOCKET") == nil, !hasVault, access(systemPath, F_OK) == 0 else { return nil }
        return AgentSocket(path: systemPath)
    }

    /// Whether this user names or has a vault: the names in it are not those of the machine's.
    private static var hasVault: Bool {
        if variable("CLAVIGER_VAULT") != nil { return true }
        guard let data = variable("XDG_DATA_HOME") ?? variable("HOME").map({ $0 + "/.local/share" }) else { return false }
        return access(data + "/claviger/vault", F_OK) == 0
    }

    private static func variable(_ name: String) -> String? {
        guard let value = getenv(name), value.pointee != 0 else { return nil }
        return String(cString: value)
    }

    // MARK: One exchange

    public struct Answer: Sendable {
        public var status: Int
        public var body: [UInt8]
    }

    public enum Failure: Error {
        /// Nobody listens there.
        case nobody
        /// Somebody else does: neither this user, nor root, nor the system agent's own user.
        case stranger(uid: UInt32)
        case broken
    }

    /// What an answer may be long, in bytes.
    static let limit = 64 << 20

    /// Sends one request and reads its answer.
    /// - Parameters:
    ///   - target: path and query, percent-encoded.
    ///   - headers: whole lines, without their ends.
    public func exchange(
        _ method: String, _ target: String, headers: [String] = [], body: [UInt8] = []
    ) throws(Failure) -> Answer {
        let descriptor = try connected()
        defer { close(descriptor) }
        var head = "\(method) \(target) HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n"
        for header in headers { head += header + "\r\n" }
        if !method.utf8.elementsEqual("GET".utf8) { head += "Content-Length: \(body.count)\r\n" }
        try write(Array((head + "\r\n").utf8), to: descriptor)
        if !body.isEmpty { try write(body, to: descriptor) }
        return try answer(descriptor)
    }

    private func connected() throws(Failure) -> Int32 {
        guard path.utf8.count <= Self.maximumPath else { throw .nobody }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw .nobody }
        // Longer than an agent takes for a token, with every retry; but not for ever. The second is also for connect(2).
        var limit = timeval(tv_sec: 240, tv_usec: 0)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            setsockopt(descriptor, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size))
        }
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard status == 0 else {
            close(descriptor)
            throw .nobody
        }
        var peer = claviger_peer()
        guard claviger_get_peer(descriptor, &peer) == 0, isTrusted(peer.uid) else {
            close(descriptor)
            throw .stranger(uid: peer.uid)
        }
        return descriptor
    }

    /// Whose answers are believed. The system agent's folder below /run is made by root, for that agent's user.
    private func isTrusted(_ uid: UInt32) -> Bool {
        if uid == geteuid() || uid == 0 { return true }
        guard path.utf8.elementsEqual(Self.systemPath.utf8) else { return false }
        var status = stat()
        return stat("/run/claviger", &status) == 0 && status.st_uid == uid && status.st_mode & 0o022 == 0
    }

    private func write(_ bytes: [UInt8], to descriptor: Int32) throws(Failure) {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                send(descriptor, $0.baseAddress! + sent, $0.count - sent, Int32(MSG_NOSIGNAL))
            }
            if count < 0 && claviger_errno() == EINTR { continue }
            guard count > 0 else { throw .broken }
            sent += count
        }
    }

    private func answer(_ descriptor: Int32) throws(Failure) -> Answer {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16_384)
        var expected: Int?
        var start = 0
        while expected.map({ bytes.count < start + $0 }) ?? true {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            if count < 0 && claviger_errno() == EINTR { continue }
            guard count >= 0, bytes.count + count <= Self.limit else { throw .broken }
            if count == 0 { break }
            bytes += buffer[..<count]
            if expected == nil, let end = Self.headEnd(bytes) {
                start = end
                // RFC 9110 section 8.6: an answer with the status 204 has no body, and does not say so.
                guard let length = Self.status(bytes) == 204 ? 0 : Self.contentLength(bytes[..<end]) else { throw .broken }
                expected = length
            }
        }
        guard let expected, bytes.count >= start + expected, let status = Self.status(bytes) else { throw .broken }
        return Answer(status: status, body: Array(bytes[start..<(start + expected)]))
    }

    /// Where the body begins.
    private static func headEnd(_ bytes: [UInt8]) -> Int? {
        guard bytes.count >= 4 else { return nil }
        for index in 0...(bytes.count - 4)
        where bytes[index] == 13 && bytes[index + 1] == 10 && bytes[index + 2] == 13 && bytes[index + 3] == 10 {
            return index + 4
        }
        return nil
    }

    /// The number in `HTTP/1.1 200 OK`.
    private static func status(_ bytes: [UInt8]) -> Int? {
        guard bytes.count > 12, bytes.starts(with: Array("HTTP/1.1 ".utf8)) else { return nil }
        return number(bytes[9..<12])
    }

    private static func contentLength(_ head: ArraySlice<UInt8>) -> Int? {
        let name = Array("content-length:".utf8)
        for line in head.split(separator: 10) where line.count > name.count {
            let matches = zip(line, name).allSatisfy { $0 | 0x20 == $1 || $0 == $1 }
            if matches { return number(line.dropFirst(name.count).filter { $0 != 32 && $0 != 13 }[...]) }
        }
        return nil
    }

    private static func number(_ digits: ArraySlice<UInt8>) -> Int? {
        guard !digits.isEmpty, digits.count < 10, digits.allSatisfy({ (48...57).contains($0) }) else { return nil }
        return digits.reduce(0) { $0 * 10 + Int($1 - 48) }
    }

    /// A name as one segment of a path (RFC 3986 section 2.3).
    public static func encode(_ text: String) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var bytes: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E: bytes.append(byte)
            default: bytes += [0x25, digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
