import Access
import Contracts
import Sodium
import TestSupport
import Testing
import TokenEngine

@testable import Credentials
@testable import Vault

@Suite struct StoreContractTests {
    /// Two openings of one file, as two processes have it.
    private static func subject(
        _ folder: TemporaryFolder, _ credentials: [String: Credential]
    ) throws -> TokenStateStoreContract.Subject {
        let key = UnlockKey.keyFile(Secret(try SecretBytes.random(count: 32)))
        let path = folder.file("vault")
        let other = try LockedVault.create(at: path, keys: [(key, "")], memory: nil)
        for (name, credential) in credentials {
            try other.update { try $0.add(name, CredentialRecord.record(credential)) }
        }
        let file = FailingStore(path: path)
        let vault = try UnlockedVault(store: file, cipher: other.cipher, memory: nil)
        return TokenStateStoreContract.Subject(
            store: FileStateStore(vault: vault, log: .scratch(vault)),
            other: FileStateStore(vault: other, log: .scratch(other)), fill: { file.fill($0) },
            failCommits: { file.failCommits($0) },
            change: { change in
                try other.update { transaction in
                    var credential = try CredentialRecord.credential(transaction.record("a"), name: "a")
                    change(&credential)
                    try transaction.replace("a", with: CredentialRecord.record(credential))
                }
            })
    }

    @Test(arguments: TokenStateStoreContract.Check.allCases)
    func `the store on the vault's file keeps the contract`(_ check: TokenStateStoreContract.Check) async throws {
        let folder = TemporaryFolder()
        try await TokenStateStoreContract { try Self.subject(folder, $0) }.run(check)
    }
}
