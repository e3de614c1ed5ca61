import Glibc

/// The terminal's modes during a question, and what puts back those before it.
struct TerminalModes {
    private let terminal: File
    /// Whether what is typed is shown, and edited by the terminal.
    private let shows: Bool
    /// Whether what was typed before the question is thrown away.
    private let discardsTyped: Bool
    /// As this process found the terminal. Kept from the first time on that it was ours: after a stop, a shell may give back
    /// the modes in which it was left.
    private var found: termios?
    private var isHidden = false

    init(of terminal: File, shows: Bool, discardsTyped: Bool) {
        (self.terminal, self.shows, self.discardsTyped) = (terminal, shows, discardsTyped)
    }

    /// What the terminal's keys do; nil if it edits the line by itself.
    var keys: termios? { shows ? nil : found }

    /// Sets the modes for the question, also where they stay as they are: a process in the background is stopped by that
    /// before it asks (tty_ioctl(4)).
    /// - Returns: false if a signal came before that could be done: SIGTTOU if this process is in the background.
    mutating func take(_ signals: CaughtSignals) throws(FileError) -> Bool {
        var before = termios()
        guard unsafe tcgetattr(terminal.descriptor, &before) == 0 else { throw FileError("ask on", terminal.path) }
        var modes = found ?? before
        if !shows { Self.hide(&modes) }
        // What was typed while the process was stopped was shown, and typed to somebody else.
        let discards = !shows && (discardsTyped || found != nil)
        while unsafe tcsetattr(terminal.descriptor, discards ? TCSAFLUSH : TCSANOW, &modes) != 0 {
            guard errno == EINTR else { throw FileError("ask on", terminal.path) }
            if signals.isNoted { return false }
        }
        found = found ?? before
        isHidden = !shows
        return true
    }

    /// Signals stay on (Ctrl-C, Ctrl-Z); the terminal's line editing is off, for its lines end at 4,095 bytes without a word.
    private static func hide(_ modes: inout termios) {
        modes.c_lflag &= ~tcflag_t(ECHO | ECHONL | ICANON)
        modes.c_lflag |= tcflag_t(ISIG)
        set(&modes, VMIN, 1)
        set(&modes, VTIME, 0)
    }

    /// Puts back what was found, unless somebody else has the terminal now.
    mutating func restore() {
        guard isHidden, var found else { return }
        isHidden = false
        let foreground = tcgetpgrp(terminal.descriptor)
        // Another terminal than the process's own has no foreground that could be told.
        guard foreground < 0 || foreground == getpgrp() else { return }
        while unsafe tcsetattr(terminal.descriptor, TCSANOW, &found) != 0 && errno == EINTR {}
        _ = unsafe write(terminal.descriptor, "\n", 1)
    }

    private static func set(_ modes: inout termios, _ index: Int32, _ value: UInt8) {
        unsafe withUnsafeMutableBytes(of: &modes.c_cc) { unsafe $0[Int(index)] = value }
    }
}
