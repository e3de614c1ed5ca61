import Foundation

/// A folder that goes away with its owner.
public final class TemporaryFolder: Sendable {
    public let path: String

    /// - Parameter isInMemory: whether it lies in memory, where that is possible: nothing waits for a disk there.
    public init(isInMemory: Bool = false) {
        let memory = "/dev/shm/"
        let parent = isInMemory && access(memory, W_OK) == 0 ? memory : NSTemporaryDirectory()
        let template = parent + "claviger-test-XXXXXX"
        path = template.withCString { pointer in
            let copy = strdup(pointer)!
            defer { free(copy) }
            return String(cString: mkdtemp(copy))
        }
    }

    deinit {
        try? FileManager.default.removeItem(atPath: path)
    }

    public func file(_ name: String) -> String { path + "/" + name }

    /// Writes a file for its owner alone.
    @discardableResult
    public func write(_ name: String, _ text: String) -> String {
        write(name, Array(text.utf8))
    }

    @discardableResult
    public func write(_ name: String, _ bytes: [UInt8]) -> String {
        let path = file(name)
        _ = FileManager.default.createFile(atPath: path, contents: Data(bytes), attributes: [.posixPermissions: 0o600])
        return path
    }

    /// Every file below that holds these bytes, as text, base64 or form-encoded.
    public func filesHolding(_ secret: String) -> [String] {
        let needles = [secret, Data(secret.utf8).base64EncodedString()].map { Data($0.utf8) }
        guard let all = FileManager.default.enumerator(atPath: path) else { return [] }
        return all.compactMap { $0 as? String }.filter { name in
            guard let data = FileManager.default.contents(atPath: file(name)) else { return false }
            return needles.contains { data.range(of: $0) != nil }
        }
    }
}

public func bytes(ofFile path: String) -> [UInt8] {
    Array(FileManager.default.contents(atPath: path) ?? Data())
}
