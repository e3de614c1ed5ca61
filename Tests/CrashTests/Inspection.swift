import Access
import Agent
import Credentials
import Foundation
import Linux
import OAuth
import Sodium
import Synchronization
import TestSupport
@testable import TokenEngine
import Vault

/// What is wrong with a home.
struct Flaw: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// What the vault of a home holds, as far as a person would notice a difference.
struct Stored: Equatable {
    /// Of each credential, its client and the refresh token of its login.
    var clients: [String: String] = [:]
    var refreshTokens: [String: String] = [:]
    /// What opens it.
    var keys: Set<String> = []
    /// Refresh tokens of which the journal says that they were about to be sent.
    var sending: Set<String> = []

    /// Whether nobody has changed anything but a login's refresh token.
    func isAsGood(as other: Stored?) -> Bool { clients == other?.clients && keys == other?.keys }

    /// Without the journal, which a command writes and takes back.
    var settled: Stored { Stored(clients: clients, refreshTokens: refreshTokens, keys: keys) }
}

/// Looks into a home with claviger's own libraries, as the next commands there would.
struct Inspection {
    let home: String
    private var path: String { home + "/" + Home.data + "/vault" }
    private var state: String { home + "/" + Home.state }

    init(_ home: String) { self.home = home }

    var hasVault: Bool { Path.exists(path) }

    private func open() throws -> UnlockedVault {
        try LockedVault(path: path, memory: SeenGenerations(folder: state))
            .unlock(with: .keyFile(KeyFile.read(home + "/keys/key")))
    }

    /// - Throws: if the vault doesn't open, or what is in it can't be read, or belongs to another machine.
    func stored() throws -> Stored {
        let vault = try open()
        let host = Host.current(stateFolder: state, environment: [:])
        var stored = Stored()
        for name in vault.names() {
            let credential = try CredentialRecord.credential(vault.record(name), name: name)
            stored.clients[name] = credential.configuration.keyPair.client.id
            guard let login = credential.state.login else { continue }
            let token = login.refreshToken.withBytes { String(decoding: $0.array(), as: UTF8.self) }
            stored.refreshTokens[name] = token
            if login.sending != nil { stored.sending.insert(token) }
            if login.ended != nil { throw Flaw("the login of \(name) has ended") }
            if !host.owns(login) { throw Flaw("the login of \(name) is another machine's") }
        }
        stored.keys = try keys(opening: vault)
        if let previous = try? LockedVault(path: path + ".previous", memory: nil) {
            let vault = try previous.unlock(with: .keyFile(KeyFile.read(home + "/keys/key")))
            let more = try keys(opening: vault).subtracting(stored.keys)
            if !more.isEmpty { throw Flaw("the state before is kept, and opens with \(more)") }
        }
        return stored
    }

    private static let known = Mutex<[[UInt8]: Set<String>]>([:])

    /// Key files and passphrases that open the vault. What opens one header opens it the next time, too.
    private func keys(opening vault: UnlockedVault) throws -> Set<String> {
        let slots = try vault.keySlots().flatMap { Array($0.id.utf8) }
        if let known = Self.known.withLock({ $0[slots] }) { return known }
        var all: [(String, UnlockKey)] = try [Home.oldPassphrase, Home.newPassphrase].map {
            ($0, .passphrase(try Secret(utf8: $0)))
        }
        for name in ["key", "second"] where Path.exists(home + "/keys/" + name) {
            all.append((name, .keyFile(try KeyFile.read(home + "/keys/" + name))))
        }
        let opening = try Set(all.filter { try !vault.keySlots(openedBy: $0.1).isEmpty }.map(\.0))
        Self.known.withLock { $0[slots] = opening }
        return opening
    }

    /// Checks the log, does what the next commands do, and looks for what is left lying about.
    func goesOn() async throws {
        try verifyLog(try open())
        let settings = ClientSettings(clientAuthentication: .post, tokenURL: try EndpointURL("https://example.com/token"))
        let client = ClientCredentials(id: "next", secret: try Secret(utf8: "made-up"))
        _ = try await Home.service(try open(), in: home).add(
            "next", NewCredential(provider: nil, settings: settings, client: client), verify: false)
        let vault = try open()
        guard vault.names().contains("next") else { throw Flaw("what the next command has stored is not there") }
        try verifyLog(vault)
        // Half a key file lies where another was to be made, and goes away with the next attempt.
        if !Path.exists(home + "/keys/second") { _ = try KeyFile.create(home + "/keys/second") }
        // What a refresher has left that was ended; the next one does the same. One may be about to end.
        let register = RefresherRegister(beside: home + "/run")
        _ = try await eventually { register.atWork().isEmpty }
        let strays = strays
        if !strays.isEmpty { throw Flaw("left lying about: \(strays.joined(separator: ", "))") }
    }

    /// Has a login renewed.
    func token(_ name: String, _ transport: any HTTPTransport) async throws {
        let vault = try open()
        let service = CredentialService(
            vault: vault, log: AuditLog(vault: vault, path: path + ".log"), transport: transport,
            host: .current(stateFolder: state, environment: [:]))
        _ = try await service.token(name, TokenQuery(mode: .fresh))
    }

    private func verifyLog(_ vault: UnlockedVault) throws {
        let report = try AuditLog(vault: vault, path: path + ".log").verify(against: vault)
        if !report.isWhole { throw Flaw("the log is not what was written: \(report.findings)") }
    }

    /// Whether every change that has begun has its outcome in the log.
    func logsOutcomes() throws {
        guard Path.exists(path + ".log") else { return }
        var open: [String: Int] = [:]
        for line in try AuditFiles.lines(path + ".log") {
            guard let event = AuditEvent(line: line) else { continue }
            let name = "\(event.event) \(event.credential ?? "")"
            if event.outcome == AuditEvent.begun { open[name, default: 0] += 1 } else { open[name]? -= 1 }
        }
        let missing = open.filter { $0.value != 0 }.keys
        if !missing.isEmpty { throw Flaw("the log does not say how it went: \(missing.sorted())") }
    }

    /// Files that no command has a use for.
    private var strays: [String] {
        let usual: Set = ["vault", "vault.lock", "vault.log", "vault.previous", "host", "host.lock", "key", "second", "locked"]
        let all = FileManager.default.enumerator(atPath: home)?.compactMap { $0 as? String } ?? []
        return all.filter { name in
            var isFolder: ObjCBool = false
            _ = FileManager.default.fileExists(atPath: home + "/" + name, isDirectory: &isFolder)
            let last = Path.name(of: name)
            return !isFolder.boolValue && !usual.contains(last) && !last.hasSuffix(".generation")
        }
    }
}
