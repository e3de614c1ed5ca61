import Access
import Credentials
import AgentProtocol
import Foundation
import Linux
import OAuth
import Sodium
import TestSupport
import Testing
import TokenEngine
import Vault

@testable import Agent

@Suite(.timeLimit(.minutes(2))) struct RefresherRegisterTests {
    private let folder = TemporaryFolder()
    private var register: RefresherRegister { RefresherRegister(beside: folder.path) }
    private var names: [String] { Path.names(inFolder: folder.file("refreshers")).filter { !$0.hasPrefix(".") } }

    @Test func `a refresher is listed while it works`() throws {
        #expect(register.atWork().isEmpty)
        do {
            let entry = try register.enter(vault: "/a/vault\nof two lines")
            let all = register.atWork()
            #expect(all.map(\.pid) == [getpid()] && all.map(\.vault) == ["/a/vault\nof two lines"])
            withExtendedLifetime(entry) {}
        }
        #expect(register.atWork().isEmpty && names.isEmpty)
    }

    @Test func `a file that nobody has locked is removed by whoever finds it`() throws {
        let entry = try register.enter(vault: "/a/vault")
        folder.write("refreshers/1", "1\n/a/vault")
        #expect(register.atWork().map(\.pid) == [getpid()])
        #expect(names == ["\(getpid())"])
        withExtendedLifetime(entry) {}
    }

    /// Two containers may share the folder.
    @Test func `two processes of one number are both listed`() throws {
        let entries = [try register.enter(vault: "/a"), try register.enter(vault: "/b")]
        #expect(Set(register.atWork().map(\.vault)) == ["/a", "/b"])
        withExtendedLifetime(entries) {}
    }

    @Test func `after lock those that began before hand out nothing, and later ones do`() throws {
        let before = try register.enter(vault: "/a")
        #expect(before.mayHandOut)
        try register.endHandingOut()
        let after = try register.enter(vault: "/b")
        #expect(!before.mayHandOut && after.mayHandOut)
        try register.endHandingOut()
        #expect(!before.mayHandOut && !after.mayHandOut)
    }

    @Test func `a folder that others can change is not used`() throws {
        mkdir(folder.file("refreshers"), 0o700)
        chmod(folder.file("refreshers"), 0o777)
        #expect(throws: FileError.self) { try register.enter(vault: "/a") }
        #expect(register.atWork().isEmpty)
        try register.endHandingOut()
        #expect(names.isEmpty)
        // Nor is a link to one of ours.
        rmdir(folder.file("refreshers"))
        mkdir(folder.file("ours"), 0o700)
        symlink(folder.file("ours"), folder.file("refreshers"))
        #expect(throws: FileError.self) { try register.enter(vault: "/a") }
    }

    /// A refresher in this process, with the vault of an agent that is locked.
    private func refresher(_ fixture: AgentFixture, _ body: (RefresherConnection) async throws -> Void) async throws {
        let (ours, theirs) = try File.socketPair()
        let server = RefresherServer(theirs, transport: fixture.server, environment: [:])
        let running = Task { await server.run() }
        let connection = RefresherConnection(ours)
        try await connection.waitUntilReady()
        let open = OpenVault(
            path: fixture.folder.file("vault"), keys: SecretDocument(try fixture.vault.handOver().bytes), seen: 0,
            runtimeFolder: folder.path, stateFolder: nil, acceptsOlder: true, uid: 1, pid: 2, program: nil, reason: nil)
        _ = try await connection.ask(.open(open))
        try await body(connection)
        connection.finish(waits: false)
        await running.value
    }

    @Test func `what is acquired after lock is stored and not handed out`() async throws {
        let fixture = try await AgentFixture(server: GrantingServer(delay: .milliseconds(300)), unlocked: false)
        let register = register
        try await refresher(fixture) { connection in
            #expect(register.atWork().map(\.vault) == [fixture.folder.file("vault")])
            let answer = Task { try await connection.ask(.token(name: "a", TokenQuery())) }
            while fixture.server.requests == 0 { try await Task.sleep(for: .milliseconds(5)) }
            try register.endHandingOut()
            await #expect { _ = try await answer.value } throws: { ($0 as? Problem)?.code == .agentLocked }
            // Nor is anything begun.
            await #expect { try await connection.ask(.token(name: "b", TokenQuery())) } throws: {
                ($0 as? Problem)?.code == .agentLocked
            }
        }
        #expect(fixture.server.requests == 1)
        #expect(try CredentialService(vault: fixture.vault, transport: fixture.server).show("a").tokens.count == 1)
        #expect(register.atWork().isEmpty)
        let events = try AuditFiles.lines(fixture.folder.file("vault.log")).compactMap(AuditEvent.init)
        #expect(events.map(\.outcome) == ["failed"] && events[0].token == nil)
    }

    /// It could hold the vault's key for minutes otherwise.
    @Test func `a refresher that waits for another process ends with lock`() async throws {
        let fixture = try await AgentFixture(unlocked: false)
        let register = register
        let other = CredentialService(vault: fixture.vault, transport: fixture.server)
        try await other.driver.withClaim("a") { _ in
            try await refresher(fixture) { connection in
                let answer = Task { try await connection.ask(.token(name: "a", TokenQuery())) }
                try await Task.sleep(for: .milliseconds(50))
                try register.endHandingOut()
                await #expect { _ = try await answer.value } throws: { ($0 as? Problem)?.code == .agentLocked }
            }
        }
        #expect(fixture.server.requests == 0)
    }
}
