import Foundation

/// One vault made by the second implementation of the format: a good one, or one with a single failure.
/// Tests/VaultTests/vault_vectors.py says what its fields mean.
public struct Vector: CustomStringConvertible, Sendable {
    public let name: String
    /// What a reader must refuse, in which words; empty if it must refuse nothing.
    public let refused: [String]
    /// What a reader must find, in JSON; nil if it must find nothing.
    public let holds: String?
    public let keyFile: [UInt8]
    public let passphrase: String
    public let file: [UInt8]

    public var description: String { name }

    public init(path: String) throws {
        let parts = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n\n", maxSplits: 1)
        var (fields, refused): ([String: String], [String]) = ([:], [])
        for line in parts[0].split(separator: "\n") {
            let pair = line.split(separator: ": ", maxSplits: 1).map(String.init)
            if pair[0] == "refused" { refused.append(pair[1]) } else { fields[pair[0]] = pair[1] }
        }
        name = URL(fileURLWithPath: path).deletingPathExtension().lastPathComponent
        self.refused = refused
        holds = fields["holds"]
        let digits = Array(fields["key-file"]!.utf8).map { UInt8($0 < 58 ? $0 - 48 : $0 - 87) }
        keyFile = stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
        passphrase = fields["passphrase"]!
        file = parts.count == 1 ? [] : Array(Data(base64Encoded: parts[1].filter { $0 != "\n" })!)
    }

    /// All vectors in a folder.
    public static func all(in folder: String) throws -> [Vector] {
        try FileManager.default.contentsOfDirectory(atPath: folder).sorted().map { try Vector(path: folder + "/" + $0) }
    }

    public static let folder = Program.root + "/Tests/VaultTests/Vectors"

    /// Those of the repository; a test counts them.
    public static let all: [Vector] = (try? all(in: folder)) ?? []

    /// Runs one of the scripts of the second implementation.
    /// - Returns: what it has printed.
    public static func script(_ name: String, _ arguments: String..., input: String? = nil) async throws -> String {
        let result = await Program.run(
            Program.root + "/.build/venv/bin/python", [Program.root + "/Tests/VaultTests/" + name] + arguments,
            environment: ["PYTHONIOENCODING": "utf-8", "LC_ALL": "C.UTF-8"], input: input)
        guard result.status == 0 else { throw ScriptFailure(errors: result.errors) }
        return result.output
    }

    public struct ScriptFailure: Error { public let errors: String }
}
