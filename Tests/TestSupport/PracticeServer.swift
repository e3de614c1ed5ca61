import Foundation
import FoundationNetworking

/// A server started for a test: the practice server, or another that prints its address as its first line.
public final class PracticeServer: Sendable {
    private let child: pid_t
    private let folder: TemporaryFolder
    public let address: String
    /// Any session that trusts nobody can still reach plain http.
    private let session = URLSession(configuration: .ephemeral)

    /// Starts the practice server and waits until it listens.
    public convenience init(arguments: [String] = []) async throws {
        try await self.init(program: Program.sandbox, arguments: arguments)
    }

    /// Starts a server that prints its address when it listens.
    public init(program: String, arguments: [String], environment: [String: String] = [:]) async throws {
        folder = TemporaryFolder()
        child = Program.spawn(
            program, arguments, environment: environment, input: "/dev/null", output: folder.file("out"),
            errors: folder.file("err"))
        address = try await Self.firstLine(folder, child)
    }

    deinit {
        kill(child, SIGKILL)
        var status: Int32 = 0
        waitpid(child, &status, 0)
    }

    private static func firstLine(_ folder: TemporaryFolder, _ child: pid_t) async throws -> String {
        for _ in 0..<3000 {
            let text = String(decoding: bytes(ofFile: folder.file("out")), as: UTF8.self)
            if let end = text.firstIndex(of: "\n") { return String(text[..<end]) }
            if kill(child, 0) != 0 { break }
            try await Task.sleep(for: .milliseconds(10))
        }
        throw PracticeServerError(text: String(decoding: bytes(ofFile: folder.file("err")), as: UTF8.self))
    }

    public struct PracticeServerError: Error {
        public let text: String
    }

    // MARK: Its administration

    @discardableResult
    public func request(_ method: String, _ path: String, body: String? = nil, headers: [String: String] = [:]) async throws
        -> (status: Int, body: String)
    {
        var request = URLRequest(url: URL(string: address + path)!)
        request.httpMethod = method
        request.httpBody = body.map { Data($0.utf8) }
        for (name, value) in headers { request.setValue(value, forHTTPHeaderField: name) }
        let (data, response) = try await session.data(for: request)
        return ((response as? HTTPURLResponse)?.statusCode ?? 0, String(decoding: data, as: UTF8.self))
    }

    /// A new key pair as JSON.
    public func newKeys(_ provider: String) async throws -> (json: String, id: String, secret: String) {
        let json = try await request("POST", "/admin/keys/\(provider)").body
        let members = try JSONDecoder().decode([String: String].self, from: Data(json.utf8))
        return (json, members["client_id"]!, members["client_secret"]!)
    }

    /// Each element is one fault in JSON, for one token request to come.
    public func fail(_ faults: String...) async throws {
        try await request("POST", "/admin/faults", body: "[\(faults.joined(separator: ","))]")
    }

    /// The next tokens end with the moment in which they are granted.
    /// - Parameter delay: milliseconds until each is granted.
    public func expireAtOnce(_ count: Int, delay: Int = 0) async throws {
        let fault = delay == 0 ? #"{"expires_in":0}"# : #"{"expires_in":0,"delay":\#(delay)}"#
        let faults = Array(repeating: fault, count: count).joined(separator: ",")
        try await request("POST", "/admin/faults", body: "[\(faults)]")
    }

    public func isAccepted(_ token: String) async throws -> Bool {
        try await request("GET", "/api", headers: ["Authorization": "Bearer \(token)"]).status == 200
    }

    /// A refresh token, as if a person had logged in elsewhere.
    public func newLogin() async throws -> String {
        let text = try await request("POST", "/admin/login").body
        return try JSONDecoder().decode([String: String].self, from: Data(text.utf8))["refresh_token"]!
    }

    /// How often a refresh token that was used before was used again.
    public func reuses() async throws -> Int {
        let text = try await request("GET", "/admin/requests").body
        return try JSONDecoder().decode([String: Int].self, from: Data(text.utf8))["reuses"]!
    }

    public func counts() async throws -> (requests: Int, granted: Int) {
        let text = try await request("GET", "/admin/requests").body
        let counts = try JSONDecoder().decode([String: Int].self, from: Data(text.utf8))
        return (counts["requests"]!, counts["granted"]!)
    }
}
