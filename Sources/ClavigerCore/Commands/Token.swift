import Agent
import AgentProtocol
import ArgumentParser
import Credentials
import FoundationEssentials
import Glibc
import OAuth
import Sodium
import TokenEngine

struct TokenCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "token",
        abstract: "Print a valid access token, cached or new, and nothing else.")

    @Argument(help: "The credential.")
    var name: String

    @Option(help: ArgumentHelp("The least remaining lifetime: 90, 10m, 1h.", valueName: "time"))
    var minTTL: LifetimeArgument?

    @Flag(help: "Acquire a new token in any case.")
    var fresh = false

    @Flag(help: "The API answered 401 to the token: drop it and acquire a new one.")
    var rejected = false

    @Option(
        help: ArgumentHelp(
            "A file with the token that the API answered 401 to; - for standard input. Implies --rejected.", valueName: "file|-"),
        completion: .file())
    var rejectedTokenFile: String?

    @Flag(help: "Use a login that belongs to another machine, which loses it.")
    var takeOver = false

    @Flag(help: "Send a refresh token although the server may have replaced it, or has refused it.")
    var resend = false

    @Option(help: ArgumentHelp("A scope to ask for instead of the credential's; may be repeated.", valueName: "scope"))
    var scope: [String] = []

    @Option(help: ArgumentHelp("An audience to ask for instead of the credential's; may be repeated.", valueName: "audience"))
    var audience: [String] = []

    @Option(
        help: """
            raw; json with type and expiry; header and headers-json for HTTP clients; curl: for curl --config -; netrc; env; dotenv; \
            dpop: the headers of one request, with a proof; id-token: what OpenID Connect sends with it.
            """)
    var format = TokenOutput.token(.raw)

    @Flag(help: "The same as --format json.")
    var json = false

    @Option(
        name: [.customShort("o"), .customLong("output")],
        help: ArgumentHelp("Write to this file, for its owner alone and in one step, instead.", valueName: "file"),
        completion: .file())
    var output: String?

    @Option(
        help: ArgumentHelp(
            "Print this member of the server's answer instead, such as instance_url; refused for what is secret.",
            valueName: "member"))
    var field: String?

    @Option(help: ArgumentHelp("For --format dpop: the method of the request that the proof is for.", valueName: "method"))
    var method: String?

    @Option(help: ArgumentHelp("For --format dpop: the address of that request.", valueName: "url"))
    var url: String?

    @Option(help: ArgumentHelp("For --format dpop: the nonce that the API's server has given (DPoP-Nonce).", valueName: "nonce"))
    var nonce: String?

    @Option(
        help: ArgumentHelp(
            "While the key pair is refused or being rotated, wait so long for a new one: 60s, 5m.", valueName: "time"))
    var wait: DurationArgument?

    @Option(help: ArgumentHelp("What it is for: for the log.", valueName: "text"))
    var reason: String?

    @OptionGroup var vaultOptions: VaultOptions

    func validate() throws {
        if fresh, rejected || rejectedTokenFile != nil {
            throw ValidationError("--fresh and --rejected can't both be given: --rejected implies a new token")
        }
        if let field, field.isEmpty || field.utf8.count > 256 { throw ValidationError("--field takes the name of a member") }
        let isProof = format == .token(.dpop)
        if isProof, method == nil || url == nil {
            throw ValidationError("--format dpop needs --method and --url: a proof is for one request")
        }
        if !isProof, [method, url, nonce].contains(where: { $0 != nil }) {
            throw ValidationError("--method, --url and --nonce are about --format dpop")
        }
        if let method, !ProofRequest.isMethod(method) { throw ValidationError("--method takes an HTTP method") }
        if let nonce, !ProofRequest.isNonce(nonce) { throw ValidationError("--nonce has characters that no nonce may have") }
        if json, format != .token(.raw), format != .token(.json) {
            throw ValidationError("--json and --format can't both be given")
        }
        if json, field != nil { throw ValidationError("--json and --field can't both be given") }
        if field != nil, format != .token(.raw) { throw ValidationError("--field and --format can't both be given") }
    }

    func run() async throws {
        var ask = TokenQuery(
            access: RequestedAccess(scopes: try scope.flatMap(SettingInput.scopes), audiences: audience),
            mode: rejected || rejectedTokenFile != nil ? .rejected : fresh ? .fresh : .cached, minimumLifetime: minTTL?.seconds)
        if ask.mode == .rejected { ask.rejectedToken = try rejectedToken() }
        ask.takesOver = takeOver
        ask.resends = resend
        ask.field = field.map(TokenField.init) ?? (format == .idToken ? .idToken : nil)
        if let method, let url {
            ask.proof = ProofRequest(method: method, url: try SettingInput.address("--url", url), nonce: nonce)
        }
        let token = try await waited(ask)
        if ask.field == nil, !json, ![.token(.dpop), .token(.json)].contains(format) { Terminal.noteBinding(of: token, name) }
        let text = try text(token, ask.field)
        if let output { return try OutputFile.write(Array((text + "\n").utf8), to: output) }
        try Terminal.output(text)
    }

    /// The token, as soon as there is a key pair that the server takes; once a second it is looked for.
    private func waited(_ ask: TokenQuery) async throws -> CachedToken {
        let clock = ContinuousClock()
        let end = clock.now + .seconds(wait?.seconds ?? 0)
        var isTold = false
        while true {
            do {
                return try await naming(name) {
                    try await Session(vaultOptions).withTokenAgent(reason: reason) { try await $0.token(name, ask) }
                }
            } catch let problem as Problem {
                let left = end - clock.now
                guard [.clientRefused, .beingRotated].contains(problem.code), left > .zero else { throw problem }
                if !isTold { Terminal.note("\(problem.title); waiting for another one") }
                isTold = true
                try await clock.sleep(for: min(left, .seconds(1)))
            }
        }
    }

    private func text(_ token: CachedToken, _ field: TokenField?) throws -> String {
        guard let field else { return try (json ? .token(.json) : format).text(token, of: name) }
        return Terminal.plain(try field.text(in: token.extras))
    }

    /// What the rejected token is called: the one in the file, else the one that `claviger exec` has given to this process.
    private func rejectedToken() throws -> TokenHash? {
        if let rejectedTokenFile {
            let token = try SecretInput.file(rejectedTokenFile, what: "rejected token")
            return TokenHash(of: token)
        }
        return try Locations.variable(TokenVariable.name(name)).map { TokenHash(of: try Secret(utf8: $0)) }
    }
}
