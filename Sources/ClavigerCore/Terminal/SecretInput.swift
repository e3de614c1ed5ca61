import AgentProtocol
import Credentials
import Linux
import Sodium
import Vault

/// Where secrets come from: a file, a pipe, a command. Never an argument, never a variable.
enum SecretInput {
    /// The secret in a file, or on standard input for `-`, without the newline at its end.
    static func file(_ path: String, what: String) throws -> Secret {
        var bytes = try contents(path, limit: SecretLine.limit, what: what, isSecret: true)
        defer { bytes.wipe() }
        return try SecretLine.pasted(
            &bytes, what: what, from: path == "-" ? "standard input" : path, remark: Terminal.note)
    }

    /// The passphrase in a file, or on standard input for `-`. Others may not be able to read the file.
    static func passphrase(_ path: String) throws -> Secret {
        let file: File
        do {
            file = path == "-" ? .standardInput : try SecretFile.open(path, operation: "open the passphrase file")
        } catch .system(_, _, let code) {
            throw Problem.cannotRead(what: "passphrase", place: path, errno: code)
        }
        let place = path == "-" ? "standard input" : path
        var bytes = try drain(file, limit: SecretLine.limit, what: "passphrase", place: place)
        defer { bytes.wipe() }
        return try SecretLine.secret(&bytes, what: "passphrase", from: place)
    }

    /// - Throws: a problem if two of these files are standard input, which can be read once.
    static func refuseSharedInput(_ paths: [String?]) throws {
        guard paths.count(where: { $0 == "-" }) <= 1 else {
            throw Problem("only one secret can come from standard input", hint: "name files for the others", .usage)
        }
    }

    /// The private key in a PEM file, or on standard input for `-`.
    static func privateKey(_ path: String) throws -> Secret {
        var bytes = try contents(path, limit: SecretLine.limit, what: "private key", isSecret: true)
        defer { bytes.wipe() }
        return try privateKey(&bytes, from: path == "-" ? "standard input" : path)
    }

    static func privateKey(_ bytes: inout [UInt8], from place: String) throws -> Secret {
        // A certificate may stand before it, or behind it (RFC 7468).
        let blocks = try PEMText.blocks(in: String(decoding: bytes, as: UTF8.self), from: place)
        guard blocks.contains(where: \.isKey) else { throw Problem.noPrivateKey(place) }
        return try Secret(utf8: blocks.map(\.text).joined())
    }

    /// The whole of a file, or of standard input for `-`.
    /// - Parameter isSecret: whether it is worth knowing that others can read the file. It is used all the same: it is not what
    ///   the vault keeps, and often goes away after it was stored.
    static func contents(_ path: String, limit: Int, what: String, isSecret: Bool) throws -> [UInt8] {
        let place = path == "-" ? "standard input" : path
        let file: File
        do {
            file = path == "-" ? .standardInput : try File.openStream(path)
            if isSecret, path != "-", let exposure = try file.exposure() { note(exposure) }
        } catch {
            throw Problem.cannotRead(what: what, place: place, errno: error.code)
        }
        return try drain(file, limit: limit, what: what, place: place)
    }

    private static func note(_ exposure: FileExposure) {
        let problem = Problem(exposure)
        Terminal.note(Terminal.plain("\(problem.title)" + (problem.hint.map { "; \($0.text)" } ?? "")))
    }

    private static func drain(_ file: File, limit: Int, what: String, place: String) throws -> [UInt8] {
        // Room for everything from the start: growing would leave copies behind.
        var bytes = [UInt8](repeating: 0, count: limit + 1)
        let count: Int
        do {
            count = try file.readToEnd(into: &bytes)
        } catch {
            bytes.wipe()
            throw Problem.cannotRead(what: what, place: place, errno: error.code)
        }
        guard count <= limit else {
            bytes.wipe()
            throw Problem.tooLarge(what: what, place: place, limit: limit)
        }
        bytes.removeLast(bytes.count - count)
        return bytes
    }

    /// Standard output of a shell command, without the newline at its end.
    static func command(_ line: String) throws -> Secret {
        let (output, child) = try start(line)
        var bytes = try drain(output, limit: SecretLine.limit, what: "passphrase", place: "$CLAVIGER_PASSPHRASE_COMMAND")
        defer { bytes.wipe() }
        guard child.wait() == 0 else { throw Problem.passphraseCommandFailed }
        return try SecretLine.secret(&bytes, what: "passphrase", from: "$CLAVIGER_PASSPHRASE_COMMAND")
    }

    /// Starts a shell command. It alone has the writing end of the pipe, so that its end is the end of the file.
    private static func start(_ line: String) throws -> (output: File, child: ChildProcess.Running) {
        do {
            let (reading, writing) = try File.pipe()
            var shell = ChildProcess("/bin/sh", ["-c", line])
            shell.streams[1] = .file(writing)
            // The command may read a descriptor that the caller has opened for it.
            shell.inheritsFurtherFiles = true
            return (reading, try shell.start())
        } catch {
            throw Problem.system("run $CLAVIGER_PASSPHRASE_COMMAND", error.code)
        }
    }
}
