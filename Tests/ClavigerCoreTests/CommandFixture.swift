import Foundation
import TestSupport
import Testing

/// A home folder, a vault with a key file in it, and the program run in them.
struct CommandFixture {
    let folder = TemporaryFolder()
    var keyFile: String { folder.file("key") }
    var vault: String { folder.file(".local/share/claviger/vault") }
    var environment: [String: String] {
        // No agent of this machine's is asked.
        ["HOME": folder.path, "CLAVIGER_KEY_FILE": keyFile, "CLAVIGER_SOCKET": folder.file("none.sock")]
    }

    /// With a vault already made.
    init() async throws {
        let result = await run("init")
        try #require(result.status == 0, "\(result.errors)")
    }

    init(withoutVault: Void) {}

    func run(_ arguments: String..., input: String? = nil, environment: [String: String]? = nil) async -> ProgramResult {
        await Program.run(Program.claviger, arguments, environment: environment ?? self.environment, input: input)
    }

    /// Adds a credential of the practice server's torq.
    func addTorq(_ server: PracticeServer, _ name: String = "torq") async throws -> (id: String, secret: String) {
        let keys = try await server.newKeys("torq")
        let result = await run(
            "add", name, "--provider", "torq", "--token-url", server.address + "/torq/v1/auth/token", "--revocation-url",
            server.address + "/revoke", "--from-json", "-", input: keys.json)
        try #require(result.status == 0, "\(result.errors)")
        return (keys.id, keys.secret)
    }

    func show(_ name: String) async throws -> [String: Any] {
        let result = await run("show", name, "--json")
        try #require(result.status == 0, "\(result.errors)")
        return try #require(try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any])
    }
}
