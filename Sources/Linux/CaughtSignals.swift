import CLinux
import Glibc

/// The signals that would end or stop this process, noted instead of obeyed: for as long as something has to be put back
/// before they have their usual effect. One value at a time: handlers belong to the process.
///
/// A signal that is ignored, or that somebody else handles, is left as it is. None of them is blocked in the calling thread
/// meanwhile: the kernel stops no process for using its terminal from the background whose thread blocks SIGTTIN and SIGTTOU,
/// as the threads of Dispatch do, but fails the call (tty_ioctl(4)).
final class CaughtSignals {
    /// Not those that can't be caught, that tell of this process's own faults, or that do nothing anyway (signal(7)).
    private static let wanted: [Int32] = {
        let others = [
            SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT, SIGSYS, SIGCHLD, SIGURG, SIGWINCH,
        ]
        return (1...64).filter { !others.contains($0) }
    }()

    private let caught: [Int32]
    private let notes: (reading: File, writing: File)
    private var noted: [Int32] = []
    private var maskBefore = sigset_t()

    /// - Parameter onlySent: whether what a terminal sends is nothing to this process: its whole group has it.
    init(onlySent: Bool = false) throws(FileError) {
        let notes = try File.pipe()
        for end in [notes.reading, notes.writing] { _ = fcntl(end.descriptor, F_SETFL, O_NONBLOCK) }
        caught = Self.wanted.filter { claviger_catch_signal($0, notes.writing.descriptor, onlySent ? 1 : 0) == 1 }
        self.notes = notes
        var open = sigset_t()
        unsafe sigemptyset(&open)
        for number in caught { unsafe sigaddset(&open, number) }
        unsafe pthread_sigmask(SIG_UNBLOCK, &open, &maskBefore)
    }

    /// Waits until there is something to read, or a signal came.
    /// - Returns: false if it was a signal. Where none is noted it was SIGCONT: this process was stopped in a way that can't be
    ///   caught, and goes on.
    /// - Parameter end: also ends the wait when it can be read.
    func isReadable(_ file: File, or end: File? = nil) -> Bool {
        var all = [file.descriptor, notes.reading.descriptor, end?.descriptor ?? -1].map {
            pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
        }
        while unsafe poll(&all, 3, -1) < 0 && errno == EINTR {}
        guard all[1].revents != 0 else { return true }
        _ = isNoted
        return false
    }

    /// Whether a signal has come that is to have its effect.
    var isNoted: Bool {
        noted += drain().filter { $0 != SIGCONT }
        return !noted.isEmpty
    }

    // MARK: Passing on

    /// Has the ends of children noted from now on.
    func catchChildren() {
        signal(SIGCHLD, SIG_DFL)
        _ = claviger_catch_signal(SIGCHLD, notes.writing.descriptor, 1)
    }

    /// Waits for signals.
    /// - Returns: their numbers, in the order in which they came.
    func next() -> [Int32] {
        var note = pollfd(fd: notes.reading.descriptor, events: Int16(POLLIN), revents: 0)
        while unsafe poll(&note, 1, -1) < 0 && errno == EINTR {}
        return drain()
    }

    private func drain() -> [Int32] {
        var numbers = [UInt8](repeating: 0, count: 64)
        let count = unsafe read(notes.reading.descriptor, &numbers, numbers.count)
        return numbers.prefix(max(0, count)).map(Int32.init)
    }

    // MARK: Obeying

    /// Lets go of all signals, and gives those that came their usual effect. Comes back when that has not ended the process,
    /// and after it has stopped when it goes on.
    func release() {
        for number in caught { signal(number, SIG_DFL) }
        // To this thread: it has happened before the call comes back, whatever other threads block.
        // Each once: a call that is begun again from the background is answered with one more each time, and a second stop would
        // come when the process goes on.
        if isNoted { for number in Set(noted).sorted() { raise(number) } }
        unsafe pthread_sigmask(SIG_SETMASK, &maskBefore, nil)
    }
}
