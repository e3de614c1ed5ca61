import AgentProtocol
import Credentials
import Testing
import TokenEngine
import Vault

/// What others than the keeper are told when there is no token for them.
@Suite struct OthersWordsTests {
    private static let names = ["made-up-host", "made-up-subject", "made-up-path"]

    private static let errors: [any Error] = [
        TokenError.unreachable(.noConnection(host: "made-up-host", reason: "the connection was refused")),
        TokenError.unreachable(.certificate(host: "made-up-host", reason: "it has expired")),
        TokenError.noSubject(.missing(name: "made-up-subject")), TokenError.noSubject(.exchange(name: "made-up-subject")),
        TokenError.noSubject(.failed(name: "made-up-subject", .keyPairRefused)),
        TokenError.noSubject(
            .failed(name: "made-up-subject", .unreachable(.answerLost(host: "made-up-host", reason: "it broke")))),
        TokenError.noSubject(.failed(name: "made-up-subject", .serverFailing(status: 503))),
        TokenError.noSubject(.file(path: "/made-up-path")), TokenError.keyPairRefused,
        TransportFailure.noConnection(host: "made-up-host", reason: "no such host is known"),
        VaultError.system(operation: "open", path: "/made-up-path", errno: 5), VaultError.diskFull(path: "/made-up-path"),
        VaultError.damagedRecord(.credential, name: "made-up-subject", reason: "is damaged"),
    ]

    @Test(arguments: errors.indices) func `no host, file or other credential is named`(_ index: Int) {
        let error = Self.errors[index]
        let problem = Problem(toOthers: error, of: "torq", keeper: "made-up-keeper")
        let words = problem.title + (problem.hint?.text ?? "")
        for name in Self.names { #expect(!words.contains(name), "\(words)") }
        #expect(problem.code == Problem(describing: error, of: "torq").code)
        // What passes by itself says so; with all else somebody can help.
        #expect(words.contains("made-up-keeper") || words.contains("try again"), "\(words)")
    }

    /// Such as that a token would live too long: it is said to the caller in the first place.
    @Test func `what the agent itself refuses keeps its words`() {
        let problem = Problem("made up", hint: "as it is", .denied)
        #expect(Problem(toOthers: problem, of: "torq", keeper: "made-up-keeper") == problem)
    }
}
