import Foundation
import Sodium
import TestSupport

@testable import Vault

/// A vault in a folder of its own, opened with a key that costs nothing.
struct VaultFixture {
    let folder = TemporaryFolder()
    let key: UnlockKey
    var path: String { folder.file("vault") }
    var memory: SeenGenerations { SeenGenerations(folder: folder.file("state")) }

    init() throws {
        key = .keyFile(Secret(try SecretBytes.random(count: 32)))
    }

    @discardableResult
    func create() throws -> UnlockedVault {
        try LockedVault.create(at: path, keys: [(key, "test")], memory: memory)
    }

    func open() throws -> UnlockedVault {
        try LockedVault(path: path, memory: memory).unlock(with: key)
    }

    /// Opens and reads everything there is.
    func readAll() throws {
        try open().forEachRecord { _, record in _ = try record.get() }
    }

    static func record(_ text: String, secret: String = "made-up-secret") throws -> Record {
        try Record(description: Array(text.utf8), secrets: ["client_secret": Secret(utf8: secret)])
    }
}

extension UnlockedVault {
    func add(_ name: String, _ text: String = "{}") throws {
        let record = try VaultFixture.record(text)
        try update { try $0.add(name, record) }
    }

    func text(_ name: String) throws -> String {
        String(decoding: try record(name).description, as: UTF8.self)
    }
}
