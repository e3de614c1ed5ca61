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
}
