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

    /// A shell that ignores signals has started this process, or its network library does.
    @Test(arguments: [false, true])
    func `no signal is blocked or ignored in the child`(isDetached: Bool) throws {
        // None that would end the tests; SIGTTOU is one that a passphrase command on a terminal must not miss.
        let ignored = [SIGPIPE, SIGTTOU, SIGTSTP, SIGUSR1]
        for number in ignored { signal(number, SIG_IGN) }
        var (all, before) = (sigset_t(), sigset_t())
        sigfillset(&all)
        pthread_sigmask(SIG_SETMASK, &all, &before)
        let text = Result {
            try output(of: ChildProcess("/bin/grep", ["-E", "SigBlk|SigIgn", "/proc/self/status"]), isDetached: isDetached)
        }
        pthread_sigmask(SIG_SETMASK, &before, nil)
        for number in ignored.dropFirst() { signal(number, SIG_DFL) }
        let masks = try text.get().split(separator: "\n").map { UInt64($0.split(separator: "\t").last ?? "", radix: 16) }
        // glibc ignores the two that are its own, the 32nd and the 33rd.
        #expect(masks.map { $0.map { $0 & ~(3 << 31) } } == [0, 0])
    }
}

@Suite struct NonBlockingTests {
    /// Whoever else has the open file may have made it non-blocking.
    @Test func `reads and writes wait`() throws {
        let (reading, writing) = try File.pipe()
        for file in [reading, writing] { _ = fcntl(file.descriptor, F_SETFL, O_NONBLOCK) }
        let bytes = (0..<1 << 20).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let isWritten = DispatchSemaphore(value: 0)
        // The pipe holds a sixteenth of it.
        Thread.detachNewThread {
            try? writing.write(bytes)
            isWritten.signal()
        }
        #expect(try reading.readToEnd(limit: bytes.count) == bytes)
        isWritten.wait()
    }

    @Test func `what is opened not to wait does not`() throws {
        let folder = TemporaryFolder()
        let path = folder.file("fifo")
        #expect(mkfifo(path, 0o600) == 0)
        let file = try File.open(path)
        let writer = try File.openToAppend(path)
        #expect(throws: FileError(operation: "read", path: path, code: EAGAIN)) { try file.readToEnd(limit: 1) }
        withExtendedLifetime(writer) {}
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

    private static func answers(_ echoes: Bool, _ keyboard: Keyboard) -> Bool {
        var state = termios()
        tcgetattr(keyboard.master, &state)
        return (state.c_lflag & tcflag_t(ECHO) != 0) == echoes
    }

    @Test(arguments: [
        ("made up\n", "made up"), ("wrong\u{15}right\r", "right"), ("aü\u{7F}b\u{8}c\n", "ac"), ("\u{4}", ""),
        ("made\u{4} up\n", "made up"), ("made up  \u{17}out\n", "made out"), ("ü\u{17}\u{17}x\n", "x"),
        ("made \u{16}\u{15}\n", "made \u{15}"), ("\u{1B}[200~made up\u{1B}[201~\n", "made up"),
        ("made \u{1B}[200~u\u{1B}[201~p\n", "made up"), ("a\u{1B}[A\n", "a\u{1B}[A"), ("0123456789abcdef\n", "0123456789abcdef"),
    ])
    func `reads a line without showing it`(keys: String, line: String) throws {
        let keyboard = Keyboard()
        let terminal = try TTY(path: keyboard.path)
        let typing = keyboard.answer("secret? ", with: keys)
        var bytes: [UInt8] = []
        #expect(try terminal.readHidden("secret? ", into: &bytes, limit: 16, discardsTyped: true))
        #expect(String(decoding: bytes, as: UTF8.self) == line)
        #expect(typing() == "secret? \r\n")
        #expect(Self.answers(true, keyboard))
    }

    @Test func `refuses a line that is too long, and all that is behind its limit`() throws {
        let keyboard = Keyboard()
        let terminal = try TTY(path: keyboard.path)
        let typing = keyboard.answer("secret? ", with: "0123456789abcdefgh\n")
        var bytes: [UInt8] = []
        #expect(try terminal.readHidden("secret? ", into: &bytes, limit: 16, discardsTyped: true) == false)
        #expect(bytes.isEmpty)
        #expect(typing() == "secret? \r\n")
        // What was typed is gone, and does not answer what is asked next.
        let next = keyboard.answer("next? ", with: "made up\n")
        #expect(try terminal.readHidden("next? ", into: &bytes, limit: 16, discardsTyped: false))
        #expect(String(decoding: bytes, as: UTF8.self) == "made up")
        _ = next()
    }

    @Test func `a second line that is pasted answers the next question`() throws {
        let keyboard = Keyboard()
        let terminal = try TTY(path: keyboard.path)
        let typing = keyboard.answer("first? ", with: "one\ntwo\n")
        var (first, second): ([UInt8], [UInt8]) = ([], [])
        #expect(try terminal.readHidden("first? ", into: &first, limit: 16, discardsTyped: true))
        _ = typing()
        #expect(try terminal.readHidden("second? ", into: &second, limit: 16, discardsTyped: false))
        #expect([first, second].map { String(decoding: $0, as: UTF8.self) } == ["one", "two"])
    }

    /// A paste may be longer than the 4,095 bytes that a terminal keeps of a line.
    @Test func `a long line is read whole`() throws {
        let keyboard = Keyboard()
        let terminal = try TTY(path: keyboard.path)
        let long = String(repeating: "made up ", count: 2000)
        let typing = keyboard.answer("secret? ", with: long + "\n")
        var bytes: [UInt8] = []
        #expect(try terminal.readHidden("secret? ", into: &bytes, limit: 64 << 10, discardsTyped: true))
        #expect(String(decoding: bytes, as: UTF8.self) == long)
        _ = typing()
    }

    @Test func `reads a line that is shown`() throws {
        let keyboard = Keyboard()
        let terminal = try TTY(path: keyboard.path)
        let typing = keyboard.answer("name? ", with: "made up\n")
        #expect(try terminal.readLine("name? ", limit: 16) == Array("made up".utf8))
        #expect(typing() == "name? made up\r\n")
    }
}
