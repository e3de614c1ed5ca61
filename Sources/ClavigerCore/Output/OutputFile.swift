import AgentProtocol
import Credentials
import Linux

/// A file that a result is written to, in the place of standard output.
enum OutputFile {
    /// Puts a new file in the place of what is there, in one step; only its owner may read it.
    /// - Throws: a problem; what was there is as it was then.
    static func write(_ bytes: [UInt8], to path: String) throws {
        if let kind = (try? Path.status(of: path))?.kind, kind != .file {
            throw Problem("\(Terminal.plain(path)) is a \(kind.rawValue), and is not replaced", .cannotCreate)
        }
        do throws(FileError) {
            try AtomicFile.replace(path, with: bytes)
        } catch {
            throw Problem.system("write \(Terminal.plain(path))", error.code)
        }
    }
}
