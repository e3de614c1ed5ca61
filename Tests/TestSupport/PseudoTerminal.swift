import Foundation

/// A program on a terminal of its own, with somebody at the keyboard. The terminal is closed with its last reference.
public final class PseudoTerminal: Sendable {
    private let master: Int32
    public let processID: pid_t

    public init(_ program: String, _ arguments: [String], environment: [String: String], output: String, columns: Int = 0) {
        // posix_openpt, unlockpt and ptsname, which Swift does not import.
        master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
        var unlock: Int32 = 0
        var number: UInt32 = 0
        precondition(master >= 0 && ioctl(master, 0x4004_5431 /* TIOCSPTLCK */, &unlock) == 0)
        precondition(ioctl(master, 0x8004_5430 /* TIOCGPTN */, &number) == 0)
        let terminal = "/dev/pts/\(number)"
        var size = winsize(ws_row: 50, ws_col: UInt16(columns), ws_xpixel: 0, ws_ypixel: 0)
        precondition(ioctl(master, UInt(TIOCSWINSZ), &size) == 0)
        _ = fcntl(master, F_SETFL, O_NONBLOCK)
        processID = Program.spawn(
            program, arguments, environment: environment, input: terminal, output: output, errors: terminal)
    }

    deinit { close(master) }

    /// Reads the screen until `text` is on it.
    /// - Returns: what was on the screen since the last call; ends early if nothing comes for ten seconds.
    public func expect(_ text: String) async throws -> String {
        var screen: [UInt8] = []
        for _ in 0..<1000 {
            var buffer = [UInt8](repeating: 0, count: 4096)
            let count = read(master, &buffer, buffer.count)
            if count > 0 {
                screen += buffer[..<count]
                if String(decoding: screen, as: UTF8.self).contains(text) { break }
            } else if count < 0 && errno == EIO {
                break
            } else {
                try await Task.sleep(for: .milliseconds(10))
            }
        }
        return String(decoding: screen, as: UTF8.self)
    }

    public func type(_ text: String) {
        let keys = Array(text.utf8)
        precondition(write(master, keys, keys.count) == keys.count)
    }

    /// Whether the terminal shows what is typed.
    public var echoes: Bool {
        var state = termios()
        tcgetattr(master, &state)
        return state.c_lflag & tcflag_t(ECHO) != 0
    }

    /// Shows what is typed from now on, as a shell makes it do when it takes the terminal back.
    public func showTyping() {
        var state = termios()
        tcgetattr(master, &state)
        state.c_lflag |= tcflag_t(ECHO | ICANON)
        tcsetattr(master, TCSANOW, &state)
    }

    public func wait() async -> Int32 { await Program.wait(processID) }
}
