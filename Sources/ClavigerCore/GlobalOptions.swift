import Access
import Agent
import AgentSocket
import ArgumentParser
import FoundationEssentials
import Glibc
import HTTP
import Sodium
import TokenEngine
import Vault

/// The options of every command that opens the vault.
struct GlobalOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The vault's file.", valueName: "path"), completion: .file())
    var vault: String?

    @Option(help: ArgumentHelp("A key file that opens the vault.", valueName: "path"), completion: .file())
    var keyFile: String?

    @Flag(help: "Use the vault although a newer state of it was seen here, as after restoring a backup.")
    var acceptOlderVault = false

    static let names = ["--vault", "--key-file"]
    static let flags = ["--accept-older-vault"]

    static let environment = ProcessInfo.processInfo.environment

    private static func variable(_ name: String) -> String? {
        environment[name].flatMap { $0.isEmpty ? nil : $0 }
    }

    private static func folder(_ variable: String, _ fallback: String) throws -> String {
        if let folder = Self.variable(variable), folder.hasPrefix("/") { return folder }
        guard let home = Self.variable("HOME") else { throw Failure.noHome }
        return home + "/" + fallback
    }

    /// Where the vault is.
    func vaultPath() throws -> String {
        if let vault { return vault }
        return try Self.variable("CLAVIGER_VAULT") ?? (Self.folder("XDG_DATA_HOME", ".local/share") + "/claviger/vault")
    }

    var keyFilePath: String? { keyFile ?? Self.variable("CLAVIGER_KEY_FILE") }
    static var passphraseFile: String? { variable("CLAVIGER_PASSPHRASE_FILE") }
    static var passphraseCommand: String? { variable("CLAVIGER_PASSPHRASE_COMMAND") }

    /// Where users keep their own provider files.
    static func providersFolder() -> String? {
        try? folder("XDG_CONFIG_HOME", ".config") + "/claviger/providers"
    }

    /// Without a home there is nowhere to remember generations, and nothing is refused for it.
    static func memory() -> GenerationMemory? {
        (try? folder("XDG_STATE_HOME", ".local/state")).map { GenerationMemory(folder: $0 + "/claviger") }
    }

    /// Opens the vault with the first key that is there: a key file, a passphrase from a file, from a command, or typed.
    func unlock() throws -> UnlockedVault { try unlockWithKey().vault }

    /// The same, with the key that has opened it.
    func unlockWithKey() throws -> (vault: UnlockedVault, key: UnlockKey) {
        let path = try vaultPath()
        let locked = try LockedVault(path: path, memory: acceptOlderVault ? nil : Self.memory())
        let key = try key(for: path)
        let opened = try locked.unlock(with: key)
        // Remembering starts anew from the state that is accepted now.
        if acceptOlderVault { Self.memory().map { opened.remember(in: $0) } }
        return (opened, key)
    }

    /// Writes into the log what was done with the vault itself.
    func record(_ kind: AuditEvent.Kind, in vault: UnlockedVault) throws {
        let event = AuditEvent(
            time: Date(), event: kind, credential: nil, outcome: "done", uid: getuid(), pid: getpid(), exe: nil)
        try AuditLog(vault: vault, path: auditLogPath()).append([event])
    }

    /// The vault's path as every process would name it.
    func absoluteVaultPath() throws -> String {
        let path = try vaultPath()
        guard let real = realpath(path, nil) else {
            return path.hasPrefix("/") ? path : FileManager.default.currentDirectoryPath + "/" + path
        }
        defer { free(real) }
        return String(cString: real)
    }

    /// Whether it is said which vault is meant.
    var isVaultNamed: Bool { vault != nil || Self.variable("CLAVIGER_VAULT") != nil }

    /// Reads no more than the vault's header.
    /// - Throws: `VaultError` if there is none that could be opened.
    func examineVault() throws {
        _ = try LockedVault(path: try vaultPath(), memory: nil)
    }

    /// Whether a key is at hand without asking anybody.
    var hasStoredKey: Bool { keyFilePath != nil || Self.passphraseFile != nil || Self.passphraseCommand != nil }

    /// The first key that is there, for the vault of these options.
    func unlockKey() throws -> UnlockKey { try key(for: vaultPath()) }

    private func key(for path: String) throws -> UnlockKey {
        if let keyFilePath { return .keyFile(try KeyFile.read(keyFilePath)) }
        if let passphrase = try Self.storedPassphrase() { return .passphrase(passphrase) }
        return .passphrase(try Terminal.promptSecret("passphrase of \(path): ", otherwise: .noPassphraseSource))
    }

    /// The passphrase from a file or a command, where one is named.
    static func storedPassphrase() throws -> Secret? {
        if let file = passphraseFile { return try SecretInput.file(file, what: "passphrase") }
        return try passphraseCommand.map(SecretInput.command)
    }

    /// Runs `body` with the running agent, where there is one that is open and serves this vault, else on the vault itself.
    /// - Parameter reason: what the log says that it was for.
    func withTokenAgent<R>(reason: String? = nil, _ body: (any TokenAgent) async throws -> R) async throws -> R {
        guard keyFile == nil, !acceptOlderVault, let socket = AgentSocket.toAsk() else {
            return try await withAgent(reason: reason, body)
        }
        let client = AgentClient(socket: socket, vault: isVaultNamed ? try absoluteVaultPath() : nil, reason: reason)
        do {
            return try await body(client)
        } catch let problem as AgentProblem where problem.status == 423 || problem.status == 421 {
            // A locked agent is no reason not to use a key that is at hand.
            guard hasStoredKey || Terminal.isThere, (try? examineVault()) != nil else { throw problem }
        } catch AgentSocket.Failure.nobody {
        } catch AgentSocket.Failure.stranger(let uid) {
            Terminal.note("somebody else (user \(uid)) listens on \(Terminal.plain(socket.path)), and is not asked")
        }
        return try await withAgent(reason: reason, body)
    }

    /// The log lies beside the vault.
    func auditLogPath() throws -> String { try absoluteVaultPath() + ".log" }

    /// Runs `body` with an agent on the opened vault.
    func withAgent<R>(reason: String? = nil, _ body: (any CredentialAgent) async throws -> R) async throws -> R {
        let vault = try unlock()
        let log = AuditLog(vault: vault, path: try auditLogPath())
        return try await Self.withTransport { transport in
            let agent = AuditedAgent(LocalAgent(vault: vault, transport: transport), log: log, reason: reason)
            return try await body(agent)
        }
    }

    /// Runs `body` with the network.
    static func withTransport<R>(_ body: (any HTTPTransport) async throws -> R) async throws -> R {
        let transport = HTTPClientTransport(proxies: ProxySettings(environment: environment))
        do {
            let result = try await body(transport)
            await transport.close()
            return result
        } catch {
            await transport.close()
            throw error
        }
    }
}
