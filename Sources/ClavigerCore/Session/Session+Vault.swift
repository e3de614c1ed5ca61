import AgentProtocol
import Credentials
import OAuth
import Sodium
import Vault

/// Where the vault is, and what opens it.
extension Session {
    /// As it was named.
    /// - Throws: a problem where there is no home to look in.
    func vaultPath() throws -> String {
        guard let path = Locations.vault(named: options.vault) else { throw Problem.noHome }
        return path
    }

    /// The vault's path as every process would name it.
    func absoluteVaultPath() throws -> String {
        let path = Locations.absolute(try vaultPath())
        guard Locations.isAbsolute(path) else { throw Problem.unreadableFolder }
        return path
    }

    /// The log lies beside the vault.
    func auditLogPath() throws -> String { try absoluteVaultPath() + ".log" }

    /// Whether it is said which vault is meant.
    var isVaultNamed: Bool { options.vault != nil || Locations.namesVault }

    /// Without a home there is nowhere to remember generations, and nothing is refused for it.
    static func memory() -> SeenGenerations? { Locations.state.map { SeenGenerations(folder: $0) } }

    /// Reads no more than the vault's header.
    /// - Throws: `VaultError` if there is none that could be opened.
    func examineVault() throws {
        if MachineVault.serves(self) { throw Problem.machineVaultIsKept }
        _ = try LockedVault(path: try vaultPath(), memory: nil)
    }

    // MARK: Keys

    /// Opens the vault with the first key that is there: a key file, a passphrase from a file, from a command, or typed.
    func unlock() throws -> UnlockedVault { try unlockWithKey().vault }

    /// The same, with the key that has opened it.
    func unlockWithKey() throws -> (vault: UnlockedVault, key: UnlockKey) {
        if MachineVault.serves(self) { throw Problem.machineVaultIsKept }
        if !hasStoredKey, Terminal.isThere, Self.agentIsOpen {
            Terminal.note("a running agent hands out tokens and changes nothing: this needs the vault's own key")
        }
        let path = try vaultPath()
        let locked = try LockedVault(path: path, memory: options.acceptOlderVault ? nil : Self.memory())
        let (opened, key) = try trying { key in
            // Half a second each, on a machine of today.
            let work = locked.work(for: key)
            if work > 4 {
                Terminal.note("opening the vault may take a while: \(Int(work)) times as long as one with one passphrase")
            }
            return (try locked.unlock(with: key), key)
        }
        // Remembering starts anew from the state that is accepted now.
        if options.acceptOlderVault { Self.memory().map { opened.remember(in: $0) } }
        return (opened, key)
    }

    /// Whether an agent runs that has a vault open.
    private static var agentIsOpen: Bool {
        guard let answer = try? AgentSocket.toAsk()?.send(.status().with(vault: nil, reason: nil, accept: .json)),
            let status = JSONValue(answer: answer.body)
        else { return false }
        return status.object?["locked"] == .bool(false)
    }

    var keyFilePath: String? { options.keyFile ?? Locations.variable("CLAVIGER_KEY_FILE") }
    private static var passphraseFile: String? { Locations.variable("CLAVIGER_PASSPHRASE_FILE") }
    private static var passphraseCommand: String? { Locations.variable("CLAVIGER_PASSPHRASE_COMMAND") }

    /// Whether a key is at hand without asking anybody.
    var hasStoredKey: Bool { keyFilePath != nil || Self.passphraseFile != nil || Self.passphraseCommand != nil }

    /// How often a passphrase may be typed. A stored one that is wrong will not be right the next time.
    private static let tries = 3

    /// Does `body` with the first key that is there, and again with another one that is typed, if a typed one is wrong.
    func trying<R>(_ body: (UnlockKey) throws -> R) throws -> R {
        for _ in 1..<tries {
            do { return try body(unlockKey()) } catch { try tellToTryAgain(error) }
        }
        return try body(unlockKey())
    }

    /// The same, for work that waits.
    func trying<R>(_ body: (UnlockKey) async throws -> R) async throws -> R {
        for _ in 1..<tries {
            do { return try await body(unlockKey()) } catch { try tellToTryAgain(error) }
        }
        return try await body(unlockKey())
    }

    private var tries: Int { hasStoredKey ? 1 : Self.tries }

    /// - Throws: the error, if it is another one.
    private func tellToTryAgain(_ error: any Error) throws {
        let problem = Problem(describing: error)
        guard problem.code == .wrongKey else { throw error }
        Terminal.note("\(problem.title); try again")
    }

    /// The first key that is there, for the vault of these options.
    private func unlockKey() throws -> UnlockKey { try key(for: vaultPath()) }

    private func key(for path: String) throws -> UnlockKey {
        if let keyFilePath { return .keyFile(try KeyFile.read(keyFilePath)) }
        if let passphrase = try Self.storedPassphrase() { return .passphrase(passphrase) }
        return .passphrase(try Terminal.promptSecret("passphrase of \(path): ", otherwise: .noPassphraseSource))
    }

    /// The passphrase from a file or a command, where one is named.
    static func storedPassphrase() throws -> Secret? {
        if let file = passphraseFile { return try SecretInput.passphrase(file) }
        return try passphraseCommand.map(SecretInput.command)
    }
}
