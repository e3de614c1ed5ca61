import Access
import Contracts
import Credentials
import Foundation
import Linux
import OAuth
import Sodium
import Synchronization
import TestSupport
import Testing
import TokenEngine
import Vault

@testable import Agent

/// One suite for everything that hands out tokens: in this process, over the agent's socket, and over a refresher's.
@Suite(.timeLimit(.minutes(3))) struct TokenSourceContractTests {
    enum Kind: CaseIterable { case service, agent, refresher }

    private static func subject(_ kind: Kind, _ fixture: AgentFixture) throws -> TokenSourceContract.Subject {
        let source: any TokenSource =
            switch kind {
            case .service: CredentialService(vault: fixture.vault, transport: fixture.server)
            case .agent: fixture.client
            case .refresher: try detached(fixture)
            }
        return TokenSourceContract.Subject(
            source: source, requests: { fixture.server.requests }, answer: { fixture.server.refuse($0, $1) },
            secrets: ["made-up-secret", "made-up-refresh"])
    }

    /// A command's side, whose refreshers run in this process.
    private static func detached(_ fixture: AgentFixture) throws -> DetachedAgent {
        let log = AuditLog(vault: fixture.vault, path: fixture.folder.file("vault.log"))
        let service = CredentialService(vault: fixture.vault, log: log, transport: fixture.server, host: .unnamed)
        let command = DetachedAgent.Command(
            vault: fixture.vault, path: fixture.folder.file("vault"), runtimeFolder: nil, stateFolder: nil, acceptsOlder: true,
            uid: getuid(),
            pid: getpid(), program: nil, reason: nil, waitsForEnd: false)
        let local = AuditedService(service, log: log, caller: command.caller)
        return DetachedAgent(local, service, command: command) {
            let (ours, theirs) = try File.socketPair()
            let server = RefresherServer(theirs, transport: fixture.server, environment: [:])
            Task { await server.run() }
            return ours
        }
    }

    /// With refresh tokens, so that the refresher has something to do.
    private static func fixture() async throws -> AgentFixture {
        let fixture = try await AgentFixture()
        try fixture.vault.update { transaction in
            for name in ["a", "b"] {
                var credential = try CredentialRecord.credential(transaction.record(name), name: name)
                credential.configuration.settings.grant = .refreshToken
                credential.configuration.settings.olderTokensLive = true
                credential.state.login = Login(
                    refreshToken: try Secret(utf8: "made-up-refresh"), since: .now, renewed: .now, rotation: .keeps,
                    owner: Host.current(stateFolder: nil, environment: [:]).id)
                try transaction.replace(name, with: CredentialRecord.record(credential))
            }
        }
        return fixture
    }

    @Test(arguments: Kind.allCases, TokenSourceContract.Check.allCases)
    func `every source of tokens keeps the contract`(_ kind: Kind, _ check: TokenSourceContract.Check) async throws {
        let fixture = try await Self.fixture()
        try await TokenSourceContract { try Self.subject(kind, fixture) }.run(check)
        withExtendedLifetime(fixture) {}
    }
}
