import Foundation
import Synchronization
import TestSupport
import Testing

@testable import Linux

@Suite struct ChildProcessTests {
    private func output(of child: ChildProcess, isDetached: Bool = false) throws -> String {
        var child = child
        let (reading, writing) = try File.pipe()
        child.streams[1] = .file(writing)
        let running = isDetached ? nil : try child.start()
        if isDetached { try child.startDetached() }
        child.streams[1] = .null
        _ = consume writing
        let text = String(decoding: try reading.readToEnd(limit: 1 << 16), as: UTF8.self)
        // One that nobody waits for stays, and whoever waits for any child of this process sees nothing else.
        _ = running?.wait()
        return text
    }

    private func shell(_ script: String, environment: [String: String]? = nil) -> ChildProcess {
        ChildProcess("/bin/sh", ["-c", script], environment: environment)
    }

    @Test func `tells the exit status, or the signal`() throws {
        #expect(try shell("exit 3").start().wait() == 3)
        #expect(try shell("kill -TERM $$").start().wait() == 128 + SIGTERM)
    }

    @Test func `a program that is not there is an error`() {
        #expect(throws: FileError(operation: "run", path: "/made/up", code: ENOENT)) { try ChildProcess("/made/up").start() }
        #expect(throws: FileError.self) { try ChildProcess("made-up-program").start() }
    }

    @Test(arguments: [false, true])
    func `gives the child its descriptors, and no other`(isDetached: Bool) throws {
        let folder = TemporaryFolder()
        let third = try File.openStream(folder.write("third", "made up"))
        let further = try File.openStream(folder.write("further", "x"))
        try further.keepAcrossExec()
        var child = shell("cat <&3; ls /proc/$$/fd; readlink /proc/$$/fd/2")
        child.streams = [.null, .null, .null, .file(third)]
        let text = try output(of: child, isDetached: isDetached)
        #expect(text == "made up0\n1\n2\n3\n/dev/null\n")
        child.inheritsFurtherFiles = true
        #expect(try output(of: child, isDetached: isDetached).contains("\n\(further.descriptor)\n"))
    }

    @Test func `a descriptor that stands where another is put is not lost`() throws {
        let folder = TemporaryFolder()
        let (a, b) = (try File.openStream(folder.write("a", "A")), try File.openStream(folder.write("b", "B")))
        var child = shell("cat /proc/self/fd/\(a.descriptor) /proc/self/fd/\(b.descriptor)")
        // Each under the other's number.
        child.streams = (0...max(a.descriptor, b.descriptor)).map { $0 < 3 ? .inherited : .null }
        child.streams[Int(a.descriptor)] = .file(b)
        child.streams[Int(b.descriptor)] = .file(a)
        #expect(try output(of: child) == "BA")
    }

    @Test(arguments: [false, true])
    func `starts in its session, its folder and its environment`(isDetached: Bool) throws {
        var child = shell(
            "echo $MADE_UP $PPID; pwd; cut -d' ' -f6 /proc/$$/stat; echo $$",
            environment: ["MADE_UP": "yes", "PATH": "/bin:/usr/bin"])
        child.folder = "/"
        child.startsSession = true
        let lines = try output(of: child, isDetached: isDetached).split(separator: "\n").map(String.init)
        try #require(lines.count == 4)
        #expect(lines[0].hasPrefix("yes ") && lines[1] == "/" && lines[2] == lines[3])
        // A detached one is nobody's: its parent isn't this process.
        #expect((lines[0] == "yes \(getpid())") != isDetached)
    }

    @Test(arguments: [false, true])
    func `no signal is blocked or ignored in the child`(isDetached: Bool) throws {
        var (all, before) = (sigset_t(), sigset_t())
        sigfillset(&all)
        pthread_sigmask(SIG_SETMASK, &all, &before)
        let text = Result {
            try output(of: ChildProcess("/bin/grep", ["-E", "SigBlk|SigIgn", "/proc/self/status"]), isDetached: isDetached)
        }
        pthread_sigmask(SIG_SETMASK, &before, nil)
        let lines = try text.get().split(separator: "\n")
        #expect(lines.first == "SigBlk:\t0000000000000000")
        // SIGPIPE is the 13th.
        let ignored = UInt64(lines.last?.split(separator: "\t").last ?? "", radix: 16)
        #expect(ignored.map { $0 & 1 << 12 } == 0)
    }
}

@Suite struct ProcessHardeningTests {
    @Test func `knows who traces this process`() {
        #expect(ProcessHardening.tracer == 0)
        #expect(ProcessHardening.tracer(inStatus: "Name:\tx\nTracerPid:\t42\nUid:\t0") == 42)
        #expect(ProcessHardening.tracer(inStatus: "Name:\tx") == nil)
        #expect(ProcessHardening.tracer(inStatus: "TracerPid:\tmade up") == nil)
    }
}

@Suite struct TTYTests {
    private final class Screen: Sendable {
        let text = Mutex("")
        let isDone = DispatchSemaphore(value: 0)
    }

    /// A terminal with somebody at the keyboard.
    private final class Keyboard {
        let master: Int32
        let path: String

        init() {
            master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
            var unlock: Int32 = 0
            var number: UInt32 = 0
            _ = ioctl(master, 0x4004_5431 /* TIOCSPTLCK */, &unlock)
            _ = ioctl(master, 0x8004_5430 /* TIOCGPTN */, &number)
            path = "/dev/pts/\(number)"
        }

        deinit { close(master) }

        /// Types when the question is on the screen.
        /// - Returns: waits, and tells what is on the screen in the end.
        func answer(_ question: String, with keys: String) -> () -> String {
            let (master, screen) = (master, Screen())
            // A thread of its own: those of the pool may all be reading.
            Thread.detachNewThread {
                var isTyped = false
                var buffer = [UInt8](repeating: 0, count: 1024)
                while true {
                    let count = read(master, &buffer, buffer.count)
                    if count <= 0 { break }
                    let text = screen.text.withLock { screen in
                        screen += String(decoding: buffer[..<count], as: UTF8.self)
                        return screen
                    }
                    if !isTyped, text.contains(question) {
                        isTyped = true
                        _ = write(master, Array(keys.utf8), keys.utf8.count)
                    }
                    if isTyped, text.utf8.last == UInt8(ascii: "\n") { break }
                }
                screen.isDone.signal()
            }
            return {
                screen.isDone.wait()
                return screen.text.withLock { $0 }
            }
        }
    }

    @Test(arguments: [
        ("made up\n", "made up", true), ("wrong\u{15}right\r", "right", true), ("aü\u{7F}b\u{8}c\n", "ac", true),
        ("made\u{3}", "made", false), ("\u{4}", "", true), ("0123456789abcdefgh\n", "0123456789abcdef", true),
    ])
    func `reads a line without showing it`(keys: String, line: String, isAnswered: Bool) throws {
        let keyboard = Keyboard()
        let terminal = try TTY(path: keyboard.path)
        let typing = keyboard.answer("secret? ", with: keys)
        var bytes: [UInt8] = []
        #expect(try terminal.readHidden("secret? ", into: &bytes, limit: 16) == isAnswered)
        #expect(String(decoding: bytes, as: UTF8.self) == line)
        #expect(typing() == "secret? \r\n")
        // The echo is back.
        var state = termios()
        tcgetattr(keyboard.master, &state)
        #expect(state.c_lflag & tcflag_t(ECHO) != 0)
    }

    @Test func `reads a line that is shown`() throws {
        let keyboard = Keyboard()
        let terminal = try TTY(path: keyboard.path)
        let typing = keyboard.answer("name? ", with: "made up\n")
        try terminal.write("name? ")
        #expect(try terminal.readLine(limit: 16) == Array("made up".utf8))
        #expect(typing() == "name? made up\r\n")
    }
}
