import Foundation
import TestSupport

/// One system call of a command that changes what is stored, or that somebody else can see.
enum Step: Equatable {
    case makeFolder(String)
    /// A file is opened, and made if it is not there.
    case create(String)
    /// Where the next byte of a file is written.
    case seek(String, Int)
    case write(String, [UInt8])
    case copy(from: String, Int, to: String, Int)
    case truncate(String, Int)
    /// fsync(2) or fdatasync(2), of a file or of a folder.
    case synchronise(String)
    case rename(String, String)
    case link(String, String)
    case remove(String)
    /// Bytes that went to another machine.
    case send([UInt8])
    /// Bytes on standard output or standard error.
    case say([UInt8])
}

/// strace(1), which records a command's system calls, or has some of them fail.
enum Strace {
    static let program = "/usr/bin/strace"
    static let isThere =
        geteuid() == 0 && FileManager.default.isExecutableFile(atPath: program) && mayMakeNamespaces

    private static let mayMakeNamespaces: Bool = {
        let child = Program.spawn(
            "/usr/bin/unshare", ["--pid", "--fork", "--mount-proc", "/bin/true"], environment: [:], input: "/dev/null",
            output: "/dev/null", errors: "/dev/null")
        var status: Int32 = 0
        waitpid(child, &status, 0)
        return status == 0
    }()

    /// A refresher ends where it is traced. In a process namespace of its own it can't see that. The shell waits for it, for
    /// with the first process of a namespace end all others.
    private static func inNamespace(_ arguments: [String]) -> [String] {
        let wait = #""$@"; s=$?; set -- /proc/[0-9]*; while [ $# -gt 1 ]; do sleep 0.01; set -- /proc/[0-9]*; done; exit $s"#
        return ["/usr/bin/unshare", "--pid", "--fork", "--mount-proc", "/bin/sh", "-c", wait, "sh", Program.core] + arguments
    }

    private static let changing = [
        "openat", "?open", "?creat", "?mkdir", "mkdirat", "write", "pwrite64", "writev", "sendto", "sendmsg", "ftruncate",
        "lseek",
        "copy_file_range", "fsync", "fdatasync", "?rename", "renameat", "renameat2", "?link", "linkat", "?unlink", "unlinkat",
    ]

    /// Everything that a program and the processes that it starts change below a folder, in the order in which the calls end.
    static func record(
        _ arguments: [String], in home: String, environment: [String: String]
    ) async throws -> (result: ProgramResult, steps: [Step]) {
        let scratch = TemporaryFolder()
        let options = ["-f", "-qq", "--seccomp-bpf", "-y", "-xx", "-s", "1000000", "-o", scratch.file("calls")]
        let result = await Program.run(
            program, options + ["-e", "trace=" + changing.joined(separator: ",")] + inNamespace(arguments),
            environment: environment)
        let text = String(decoding: bytes(ofFile: scratch.file("calls")), as: UTF8.self)
        return (result, Recording(text, home: home).steps)
    }

    /// What a command whose nth call of a kind has failed came to.
    struct FaultyRun {
        var result: ProgramResult
        var injected: [Call]
        /// What strace says of processes that a signal has ended.
        var killed: [String]
        var hangs = false
    }

    /// Runs a command whose nth call of a kind fails, counted for each of its threads.
    /// - Parameters:
    ///   - paths: only calls that have one of these paths count; empty for all.
    ///   - isOurs: whether a call may fail. A command one of whose other calls has failed, on an event or a socket, is ended.
    static func run(
        _ arguments: [String], failing fault: Fault, paths: [String], environment: [String: String], isOurs: (Call) -> Bool
    ) async throws -> FaultyRun {
        let scratch = TemporaryFolder()
        let calls = scratch.file("calls")
        let names = fault.call.names.joined(separator: ",")
        let options = [
            "-f", "--seccomp-bpf", "-y", "-xx", "-s", "1000000", "-o", calls, "-e", "trace=" + names, "-e",
            "inject=\(names):error=\(fault.error):when=\(fault.step)",
        ]
        let child = Program.spawn(
            program, options + paths.flatMap { ["-P", $0] } + inNamespace(arguments), environment: environment,
            input: "/dev/null", output: scratch.file("out"), errors: scratch.file("err"))
        func lines() -> [String] {
            String(decoding: bytes(ofFile: calls), as: UTF8.self).split(separator: "\n").map(String.init)
        }
        var (status, polls, isEnded) = (Int32(), 0, false)
        while waitpid(child, &status, WNOHANG) == 0 {
            try await Task.sleep(for: .milliseconds(10))
            polls += 1
            guard polls % 20 == 0, !isEnded else { continue }
            isEnded = polls > 6000 || Call.all(in: lines()).contains { $0.isInjected && !isOurs($0) }
            // With the namespace's first process all others end, the refresher, too.
            if isEnded { kill(-child, SIGKILL) }
        }
        let result = ProgramResult(
            status: status & 0x7F == 0 ? (status >> 8) & 0xFF : 128 + (status & 0x7F),
            output: String(decoding: bytes(ofFile: scratch.file("out")), as: UTF8.self),
            errors: String(decoding: bytes(ofFile: scratch.file("err")), as: UTF8.self))
        return FaultyRun(
            result: result, injected: Call.all(in: lines()).filter { $0.isInjected },
            killed: lines().filter { $0.contains("+++ killed by") }, hangs: polls > 6000)
    }
}

/// A line of strace, with the halves of a call that was interrupted by others put together.
struct Call {
    let process: Substring
    let name: Substring
    let arguments: [String]
    let result: Int?
    /// What was opened.
    let opened: String?
    let isInjected: Bool

    static func all(in lines: [String]) -> [Call] {
        var unfinished: [Substring: String] = [:]
        return lines.compactMap { line in
            guard let space = line.firstIndex(of: " ") else { return nil }
            let process = line[..<space]
            var text = line[space...].trimmingCharacters(in: .whitespaces)
            if text.hasSuffix("<unfinished ...>") {
                unfinished[process] = String(text.dropLast(16))
                return nil
            }
            if text.hasPrefix("<... "), let end = text.range(of: "resumed>") {
                text = (unfinished.removeValue(forKey: process) ?? "") + text[end.upperBound...]
            }
            return Call(process, text)
        }
    }

    private init?(_ process: Substring, _ text: String) {
        guard let open = text.firstIndex(of: "("), let end = text.range(of: " = ", options: .backwards) else { return nil }
        self.process = process
        name = Substring(text[..<open])
        let inside = text[text.index(after: open)..<end.lowerBound].trimmingCharacters(in: .whitespaces).dropLast()
        arguments = inside.components(separatedBy: ", ")
        let value = text[end.upperBound...]
        result = Int(value.prefix { $0 == "-" || $0.isNumber })
        opened = value.hasPrefix("-") ? nil : Self.path(String(value))
        isInjected = text.hasSuffix("(INJECTED)")
    }

    /// What a descriptor is open on, `5<path>`; nil for a file that no name leads to any more.
    static func path(_ argument: String) -> String? {
        guard let open = argument.firstIndex(of: "<"), argument.hasSuffix(">") else { return nil }
        return String(decoding: bytes(argument[argument.index(after: open)...].dropLast()), as: UTF8.self)
    }

    /// The text of an argument in quotation marks.
    static func text(_ argument: String) -> String { String(decoding: bytes(argument[...]), as: UTF8.self) }

    /// `\x41\x42`, and whatever stands around it.
    static func bytes(_ text: Substring) -> [UInt8] {
        var result: [UInt8] = []
        var rest = Array(text.utf8)[...]
        func digit(_ byte: UInt8) -> UInt8 { byte < 58 ? byte - 48 : byte - 87 }
        while let start = rest.firstIndex(of: UInt8(ascii: "\\")), start + 3 < rest.endIndex {
            result.append(digit(rest[start + 2]) << 4 | digit(rest[start + 3]))
            rest = rest[(start + 4)...]
        }
        return result
    }
}

/// The steps in what strace has written.
private struct Recording {
    private(set) var steps: [Step] = []
    private let home: String

    init(_ text: String, home: String) {
        self.home = home
        for call in Call.all(in: text.split(separator: "\n").map(String.init)) where (call.result ?? -1) >= 0 { take(call) }
    }

    private mutating func take(_ call: Call) {
        let arguments = call.arguments
        let file = Call.path(arguments[0])
        switch call.name {
        case "openat" where arguments[2].contains("O_CREAT"):
            guard let path = call.opened, isInside(path) else { return }
            steps.append(.create(path))
        case "mkdir": folder(arguments[0])
        case "mkdirat": folder(arguments[1])
        case "write", "pwrite64", "writev", "sendto", "sendmsg":
            let bytes = Array(Call.bytes(arguments[1...].joined()[...]).prefix(call.result ?? 0))
            if let file, isInside(file) {
                steps.append(.write(file, bytes))
            } else if arguments[0].hasPrefix("1<") || arguments[0].hasPrefix("2<") {
                if file != "/dev/null" { steps.append(.say(bytes)) }
            } else if file?.hasPrefix("socket:") == true {
                steps.append(.send(bytes))
            }
        case "ftruncate": on(file) { .truncate($0, Int(arguments[1]) ?? 0) }
        case "lseek": on(file) { .seek($0, call.result ?? 0) }
        case "copy_file_range":
            guard let from = file, let to = Call.path(arguments[2]), isInside(to) else { return }
            let offset = Int(arguments[1].drop { !$0.isNumber }.prefix { $0.isNumber }) ?? 0
            steps.append(.copy(from: from, offset, to: to, call.result ?? 0))
        case "fsync", "fdatasync": on(file) { .synchronise($0) }
        case "rename": two(arguments[0], arguments[1]) { .rename($0, $1) }
        case "renameat", "renameat2": two(arguments[1], arguments[3]) { .rename($0, $1) }
        case "link": two(arguments[0], arguments[1]) { .link($0, $1) }
        case "linkat": two(arguments[1], arguments[3]) { .link($0, $1) }
        case "unlink": on(Call.text(arguments[0])) { .remove($0) }
        case "unlinkat": on(Call.text(arguments[1])) { .remove($0) }
        default: break
        }
    }

    private func isInside(_ path: String) -> Bool { path == home || path.hasPrefix(home + "/") }

    private mutating func folder(_ argument: String) { on(Call.text(argument)) { .makeFolder($0) } }

    private mutating func on(_ path: String?, _ step: (String) -> Step) {
        guard let path, isInside(path) else { return }
        steps.append(step(path))
    }

    private mutating func two(_ old: String, _ new: String, _ step: (String, String) -> Step) {
        guard isInside(Call.text(new)) else { return }
        steps.append(step(Call.text(old), Call.text(new)))
    }
}
