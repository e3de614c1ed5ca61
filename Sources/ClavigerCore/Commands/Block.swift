import AgentProtocol
import ArgumentParser
import Credentials
import FoundationEssentials
import OAuth

struct Block: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "block",
        abstract: "Hand out no tokens of a credential, for its key pair or a token has leaked.",
        discussion: """
            Whoever asks is refused, and told since when and why; nothing is renewed, sinks are removed, and running proxies \
            answer 403. It lasts until claviger unblock, over locks and restarts. Tokens that were handed out live on: \
            claviger revoke tries to end them. login, rotate, check and edit work as ever.
            """)

    @Argument(help: "The credentials.")
    var names: [String] = []

    @Flag(help: "Block every credential.")
    var all = false

    @Option(help: ArgumentHelp("What everybody who may have its tokens is told.", valueName: "text"))
    var reason: String?

    @OptionGroup var vaultOptions: VaultOptions

    /// Bytes of a reason: it is part of each refusal.
    private static let reasonLimit = 500

    func validate() throws {
        if names.isEmpty != all { throw ValidationError("name the credentials, or use --all") }
        guard let reason else { return }
        if reason.utf8.count > Self.reasonLimit { throw ValidationError("--reason takes \(Self.reasonLimit) bytes at most") }
        if reason.isEmpty || reason.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) {
            throw ValidationError("--reason takes one line of text")
        }
    }

    func run() async throws {
        try await Session(vaultOptions).withAgent { agent in
            try await Self.each(all ? agent.list().map(\.name) : names) { name in
                let credential = try await agent.block(name, reason: reason)
                let since = credential.blockedSince.map { " since \(Report.time($0))" } ?? ""
                let provider = credential.provider.flatMap { try? ProviderFiles.named($0) }
                let page = provider?.keysPage.map { "; its key pair is made anew in \(Terminal.plain($0))" } ?? ""
                Terminal.note("\(Problem.quoted(name)) is blocked\(since)\(page)")
            }
        }
        Terminal.note("tokens that were handed out live on until they end or are revoked: claviger revoke")
    }

    /// Each one, whatever becomes of those before it.
    /// - Throws: the problem of the only one, or how many failed.
    static func each(_ names: [String], _ body: (String) async throws -> Void) async throws {
        var failed = 0
        for name in names {
            do {
                try await body(name)
            } catch {
                let problem = Problem(describing: error, of: name)
                if names.count == 1 { throw problem }
                Terminal.note("\(Problem.quoted(name)) FAILED: \(Terminal.plain(problem.title))")
                failed += 1
            }
        }
        if failed > 0 { throw Problem.someFailed(failed, of: names.count) }
    }
}

struct Unblock: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "unblock", abstract: "Hand out tokens of a blocked credential again.")

    @Argument(help: "The credentials.")
    var names: [String]

    @OptionGroup var vaultOptions: VaultOptions

    func run() async throws {
        try await Session(vaultOptions).withAgent { agent in
            try await Block.each(names) { name in
                let before = try await agent.show(name)
                guard let since = before.blockedSince else {
                    return Terminal.note("\(Problem.quoted(name)) is not blocked")
                }
                _ = try await agent.unblock(name)
                Terminal.note("tokens of \(Problem.quoted(name)) are handed out again")
                if before.keyPairSince < since {
                    Terminal.note(
                        "its key pair is the one from before the block: if that has leaked, claviger rotate stores a new one")
                }
            }
        }
    }
}
