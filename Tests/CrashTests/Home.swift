import Access
@testable import Credentials
import Foundation
import OAuth
import Sodium
import TestSupport
import Testing
import TokenEngine
import Vault

/// A command that changes what is stored.
enum Scenario: String, CaseIterable, CustomTestStringConvertible, Sendable {
    case create, add, token, rotate, rename, remove, addKey, passwd

    var testDescription: String { rawValue }

    /// What it says when it has done its work; nil for whatever it says first.
    var success: String? {
        switch self {
        case .create: "made the vault"
        case .addKey: "opens with the new"
        default: nil
        }
    }

    /// Whether it sends a refresh token.
    var refreshes: Bool { [.add, .token, .rotate].contains(self) }
}

/// A home with all of claviger's files in it: a vault that opens with a key file and a passphrase, and a login named `a` at a
/// server that replaces each refresh token.
struct Home {
    let folder = TemporaryFolder()
    /// What is not in the home: what a person gives to a command.
    let scratch = TemporaryFolder()
    let server: PracticeServer
    let scenario: Scenario

    static let data = ".local/share/claviger"
    static let state = ".local/state/claviger"
    static let oldPassphrase = "made-up-old-passphrase"
    static let newPassphrase = "made-up-new-passphrase"

    var environment: [String: String] {
        [
            "HOME": folder.path,
            "CLAVIGER_KEY_FILE": folder.file("keys/key"),
            "CLAVIGER_SOCKET": folder.file("run/none.sock"),
        ]
    }

    /// Where the home lies, if it is a disk of its own.
    let disk: SmallDisk?

    init(_ scenario: Scenario, _ server: PracticeServer, grace: Int? = nil, hasDisk: Bool = false) async throws {
        (self.scenario, self.server) = (scenario, server)
        disk = hasDisk ? SmallDisk(over: folder) : nil
        if scenario != .create { try await fill(grace: grace) }
    }

    private func fill(grace: Int?) async throws {
        for name in ["keys", "run", Self.data, Self.state] {
            try FileManager.default.createDirectory(atPath: folder.file(name), withIntermediateDirectories: true)
            chmod(folder.file(name), 0o700)
        }
        let key = try KeyFile.create(folder.file("keys/key"))
        let cheap = PasswordHashCost(passes: 1, memory: 8192)
        let vault = try LockedVault.create(
            at: folder.file(Self.data + "/vault"),
            keys: [(.keyFile(key), "key file"), (.passphrase(try Secret(utf8: Self.oldPassphrase)), "passphrase")], cost: cheap,
            memory: SeenGenerations(folder: folder.file(Self.state)))
        var settings = ClientSettings(
            grant: .refreshToken, clientAuthentication: .post, tokenURL: try EndpointURL(server.address + "/logins/token"))
        settings.refreshTokenGrace = grace.map { .seconds($0) }
        let keys = try await server.newKeys("logins")
        let client = ClientCredentials(id: keys.id, secret: try Secret(utf8: keys.secret))
        let login = try Secret(utf8: try await server.newLogin())
        // In one of the homes nobody has written to the log yet.
        let service: any CredentialManager =
            scenario == .rename ? Self.quiet(vault, in: folder.path) : Self.service(vault, in: folder.path)
        _ = try await service.add(
            "a", NewCredential(provider: nil, settings: settings, client: client, refreshToken: login), verify: false)
    }

    /// Files and folders that a command opens under names that are known before.
    var paths: [String] {
        let vault = folder.file(Self.data + "/vault")
        let state = folder.file(Self.state)
        let generation = ((try? FileManager.default.contentsOfDirectory(atPath: state)) ?? []).filter { $0.hasSuffix("ion") }
        return [
            folder.file(Self.data), vault, vault + ".lock", vault + ".log", vault + ".previous", state, state + "/host",
            state + "/host.lock", folder.file("keys"), folder.file("keys/key"), folder.file("keys/second"),
            folder.file("run/refreshers"), folder.file(".local/share"), folder.file(".local/state"), folder.file(".local"),
        ]
            + generation.map { state + "/" + $0 }
    }

    /// What a command without a network can do in a home.
    static func service(_ vault: UnlockedVault, in home: String) -> AuditedService {
        let service = quiet(vault, in: home)
        return AuditedService(service, log: service.log, caller: .own)
    }

    /// The same, and nothing of it in the log.
    private static func quiet(_ vault: UnlockedVault, in home: String) -> CredentialService {
        let log = AuditLog(vault: vault, path: home + "/" + data + "/vault.log")
        let host = Host.current(stateFolder: home + "/" + state, environment: [:])
        return CredentialService(vault: vault, log: log, transport: NoNetwork(), host: host)
    }

    /// The command's arguments, with whatever it reads made anew.
    func arguments() async throws -> [String] {
        switch scenario {
        case .create: return ["init"]
        case .add:
            let keys = try await server.newKeys("logins")
            let token = try await server.newLogin()
            let pair = #"{"client_id":"\#(keys.id)","client_secret":"\#(keys.secret)","refresh_token":"\#(token)"}"#
            return [
                "add", "b", "--grant", "refresh-token", "--client-auth", "post", "--token-url", server.address + "/logins/token",
                "--from-json", scratch.write("pair", pair),
            ]
        case .token: return ["token", "a", "--fresh"]
        case .rotate: return ["rotate", "a", "--from-json", scratch.write("pair", try await server.newKeys("logins").json)]
        case .rename: return ["rename", "a", "c"]
        case .remove: return ["remove", "a", "--yes"]
        case .addKey: return ["key", "add", "--new-key-file", folder.file("keys/second")]
        case .passwd: return ["passwd", "--new-passphrase-file", scratch.write("new", Self.newPassphrase)]
        }
    }
}

/// A network in which nobody is reached.
struct NoNetwork: HTTPTransport {
    func send(_ request: EndpointRequest) async throws(TransportFailure) -> EndpointAnswer {
        throw .noConnection(host: "example.com", reason: "made up")
    }
}
