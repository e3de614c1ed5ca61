import Foundation
import TestSupport
import Testing

/// A process that may open few files must say so: the network library would end it with SIGILL.
@Suite(.timeLimit(.minutes(1))) struct FewDescriptorsTests {
    @Test(arguments: 9...13)
    func `a limit of few open files is refused in words`(_ limit: Int) async throws {
        let fixture = try await CommandFixture()
        let result = await Program.run(
            "/bin/sh",
            [
                "-c", "ulimit -n \(limit); exec \"$0\" \"$@\"", Program.core, "add", "a", "--token-url",
                "http://127.0.0.1:1/token",
                "--client-id", "made-up", "--secret-file", "-",
            ], environment: fixture.environment, input: "made-up")
        #expect(result.refuses(78, "this process may open too few files"), "\(result)")
    }

    /// Below four the kernel can't even load a program's libraries; from somewhere on there are enough.
    @Test(
        arguments: 3...20, [["list"], ["token", "a"]])
    func `no command ends in a trap`(_ limit: Int, _ arguments: [String]) async throws {
        let fixture = CommandFixture(withoutVault: ())
        let result = await Program.run(
            "/bin/sh", ["-c", "ulimit -n \(limit); exec \"$0\" \"$@\"", Program.core] + arguments,
            environment: fixture.environment)
        #expect(result.status < 126 || (limit == 3 && result.status == 127), "\(result)")
        if (4..<17).contains(limit) { #expect(result.refuses(78, "this process may open too few files"), "\(result)") }
    }
}
