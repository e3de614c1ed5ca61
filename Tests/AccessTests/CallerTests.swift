import Access
import Foundation
import Testing

@Suite struct CallerTests {
    @Test func `the owner is this process's user, or root`() {
        #expect(Caller.own.isOwner)
        #expect(Caller(uid: 0, gid: 0, pid: 1).isOwner)
        #expect(!Caller(uid: geteuid() + 70_000, gid: 0, pid: 1, groups: [0]).isOwner)
    }
}
