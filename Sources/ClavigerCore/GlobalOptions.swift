import Agent
import ArgumentParser
import FoundationEssentials
import Glibc
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
    func unlock() throws -> UnlockedVault {
        let path = try vaultPath()
        if acceptOlderVault {
            // Remembering starts anew from the state that is accepted now.
            let opened = try LockedVault(path: path, memory: nil).unlock(with: key(for: path))
            Self.memory().map { opened.remember(in: $0) }
            return opened
        }
        return try LockedVault(path: path, memory: Self.memory()).unlock(with: key(for: path))
    }

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

    /// Runs `body` with an agent on the opened vault.
    func withAgent<R>(_ body: (any CredentialAgent) async throws -> R) async throws -> R {
        let vault = try unlock()
        return try await Self.withTransport { try await body(LocalAgent(vault: vault, transport: $0)) }
    }

    /// Runs `body` with the network.
    static func withTransport<R>(_ body: (any HTTPTransport) async throws -> R) async throws -> R {
        let transport = NetworkTransport(proxies: ProxySettings(environment: environment))
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
