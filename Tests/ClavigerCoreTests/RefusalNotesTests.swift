import Foundation
import Testing

@testable import ClavigerCore

/// Others decide how often they are refused, and must not decide how much is written.
@Suite(.timeLimit(.minutes(1))) struct RefusalNotesTests {
    /// The reading end, which never waits, and the writing end.
    private func pipe() -> (Int32, Int32) {
        var ends: [Int32] = [0, 0]
        precondition(Glibc.pipe(&ends) == 0)
        _ = fcntl(ends[0], F_SETFL, O_NONBLOCK)
        return (ends[0], ends[1])
    }

    private func text(_ descriptor: Int32) -> String {
        var buffer = [UInt8](repeating: 0, count: 1 << 17)
        return String(decoding: buffer[..<max(0, read(descriptor, &buffer, buffer.count))], as: UTF8.self)
    }

    @Test func `names each user once, and eight at most`() {
        let (reading, writing) = pipe()
        let notes = RefusalNotes(errors: writing)
        for _ in 0..<3 {
            notes.add(0)
            notes.add(nil)
            for user in 1_000_000..<1_000_020 as Range<UInt32> { notes.add(user) }
        }
        let lines = text(reading).split(separator: "\n")
        #expect(lines.count == 8)
        #expect(lines[0].hasPrefix("claviger: the user root has tried") && lines[0].hasSuffix("--proxy-user root"))
        #expect(lines[1] == "claviger: somebody whose user can't be told has tried to use the proxy's address, and was refused")
        #expect(lines[2].contains("the user 1000000 has tried"))
        // Whoever waits for the end of the pipe has it, although the notes are still there.
        close(writing)
        notes.close()
        var byte: UInt8 = 0
        #expect(read(reading, &byte, 1) == 0)
        close(reading)
    }

    @Test func `does not wait for a reader`() {
        let (reading, writing) = pipe()
        _ = fcntl(writing, F_SETFL, O_NONBLOCK)
        let page = [UInt8](repeating: 0x61, count: 4096)
        while write(writing, page, page.count) > 0 {}
        _ = fcntl(writing, F_SETFL, 0)
        let notes = RefusalNotes(errors: writing)
        notes.add(1)
        #expect(!text(reading).contains("claviger"))
        for end in [reading, writing] { close(end) }
    }
}
