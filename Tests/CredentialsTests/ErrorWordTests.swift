import Access
import AgentProtocol
import Foundation
import Linux
import OAuth
import Sodium
import TestSupport
import Testing
import TokenEngine
import Vault

@testable import Credentials

/// Whatever goes wrong is said in words that a person can act on.
@Suite struct ErrorWordTests {
    @Test(arguments: [
        (
            TransportFailure.noConnection(host: "api.example", reason: "the connection was refused"),
            "cannot reach api.example: the connection was refused"
        ),
        (.answerLost(host: "api.example", reason: "the connection broke"), "api.example did not answer: the connection broke"),
        (
            .certificate(host: "api.example", reason: "it belongs to another host"),
            "the certificate of api.example is refused: it belongs to another host"
        ),
        (
            .configuration(reason: "HTTPS_PROXY is not the address of an http proxy"),
            "HTTPS_PROXY is not the address of an http proxy"
        ),
        (.answerTooLarge(host: "api.example"), "the answer of api.example is larger than any token's"),
    ])
    func `a failure of the network is named, with and without the engine around it`(_ failure: TransportFailure, _ words: String)
    {
        #expect(Problem(describing: failure).title == words)
        #expect(Problem(describing: TokenError.unreachable(failure)) == Problem(describing: failure))
    }

    @Test func `a failure of the system is named`() {
        let problem = Problem(describing: FileError(operation: "listen on", path: "127.0.0.1, port 80", code: EACCES))
        #expect(problem.title == "cannot listen on 127.0.0.1, port 80: permission denied" && problem.code == .cannotWrite)
    }

    /// Errors that never leave their callers, and where those are: their words name an option or a file besides.
    private static let caught = [
        "CatalogueError": "Commands/Add.swift", "ServerMetadata.Refusal": "Session/ServerDiscovery.swift",
        "EndpointURL.Refusal": "Input/SettingInput.swift", "EncryptedPrivateKey.Refusal": "Output/CommandProblems.swift",
        "ProviderFileError": "Commands/TestProviders.swift",
        // It becomes a ProviderFileError.
        "JSONSyntaxError": "",
        // Members of a TokenError.
        "TokenRefusal": "", "LoginNeed": "", "SubjectFailure": "",
    ]

    /// An error without a line would reach people as "something that should not happen did".
    @Test func `every public error has its line`() throws {
        let sources = Program.root + "/Sources/"
        let words = String(decoding: bytes(ofFile: sources + "Credentials/Problem+Describing.swift"), as: UTF8.self)
        let described = Set(words.matches(of: #/case (?:let \w+ as|is) ([\w.]+):/#).map { String($0.1) })
        var count = 0
        for target in [
            "Sodium", "Linux", "AgentProtocol", "Vault", "OAuth", "TokenEngine", "HTTP", "Access", "Credentials", "Agent",
            "Proxy",
        ] {
            for path in try FileManager.default.subpathsOfDirectory(atPath: sources + target) where path.hasSuffix(".swift") {
                let text = String(decoding: bytes(ofFile: sources + target + "/" + path), as: UTF8.self)
                for match in text.matches(of: #/( *)public (?:enum|struct|final class) (\w+): [^{]*\bError\b/#) {
                    // The type around an indented one has the name of its file, or stands first in it.
                    let outer =
                        match.1.isEmpty
                        ? ""
                        : String(text.firstMatch(of: #/\n(?:public )?(?:final )?(?:enum|struct|class) (\w+)/#)?.1 ?? "") + "."
                    let name = outer + match.2
                    #expect(described.contains(name) || Self.caught[name] != nil, "\(name) in \(target)/\(path) has no words")
                    count += 1
                }
            }
        }
        #expect(count >= 16)
        for (name, file) in Self.caught where !file.isEmpty {
            #expect(String(decoding: bytes(ofFile: sources + "ClavigerCore/" + file), as: UTF8.self).contains(name))
        }
    }
}
