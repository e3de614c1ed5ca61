import AgentProtocol
import Credentials
import ArgumentParser
import FoundationEssentials
import OAuth
import Sodium
import TokenEngine

struct Login: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "login",
        abstract: "Log in with the browser, on another device, or with a refresh token.",
        discussion: """
            Where the credential's grant is authorization-code, the browser ($BROWSER, else xdg-open) is sent to the \
            server, and comes back to a page of ours on this machine. Over ssh, the address that it ends at can be pasted, \
            too; whichever comes first counts. With --paste, or where the registered redirect \
            address is not on this machine, the address that the browser ends at is pasted instead. Where the grant is \
            device-code, a code is shown to be typed on another device.
            """)

    @Argument(help: "The credential.")
    var name: String

    @Flag(help: "Open no browser: show the address.")
    var noBrowser = false

    @Flag(name: .customLong("no-qr"), help: "Draw no QR code of the address for another device.")
    var noQRCode = false

    @Flag(help: "Paste the code, or the whole address that the browser ends at.")
    var paste = false

    @Option(help: ArgumentHelp("The loopback port to come back to, or 0 for any free one.", valueName: "port"))
    var port: Int?

    @Option(help: ArgumentHelp("How long to wait for the browser; 5m without this.", valueName: "time"))
    var timeout: DurationArgument?

    @Option(
        help: ArgumentHelp("A file that holds a refresh token from elsewhere; - for standard input.", valueName: "file|-"),
        completion: .file())
    var refreshTokenFile: String?

    @OptionGroup var vaultOptions: VaultOptions

    func validate() throws {
        if let port, !(0...65535).contains(port) { throw ValidationError("--port takes a number from 0 to 65535") }
    }

    func run() async throws {
        try await naming(name) {
            try await Session(vaultOptions).withAgent { agent in
                let credential = try await agent.show(name)
                let result = try await namingPermissions(of: credential) { try await logIn(agent, credential) }
                Terminal.note(
                    "logged in to \(Problem.quoted(name)); the token: \(CredentialReport(result, now: .now).tokenWords)")
                Terminal.noteBlock(of: result)
            }
        }
    }

    /// Where a server gives a refresh token only with the first consent, that must be ended before it gives another.
    private func namingPermissions<R>(of credential: CredentialView, _ body: () async throws -> R) async throws -> R {
        do {
            return try await body()
        } catch TokenError.noRefreshToken {
            var problem = Problem(describing: TokenError.noRefreshToken)
            if let page = credential.provider.flatMap({ try? ProviderFiles.named($0) })?.permissionsPage {
                problem.hint = "end what was granted before at \(Terminal.plain(page)), and log in again"
            }
            throw problem
        }
    }

    private func logIn(_ agent: any CredentialManager, _ credential: CredentialView) async throws -> CredentialView {
        let settings = credential.settings
        guard settings.grant.needsLogin else {
            throw Problem(
                "\(settings.grant.option) needs no login", hint: "claviger token \(Terminal.plain(name)) is enough", .usage)
        }
        if let refreshTokenFile {
            let token = try SecretInput.file(refreshTokenFile, what: "refresh token")
            return try await agent.logIn(name, with: .refreshToken(token))
        }
        if settings.grant == .deviceCode { return try await DeviceLogin(agent: agent, name: name, drawsCode: !noQRCode).run() }
        guard settings.authorizationURL != nil else {
            guard settings.grant == .refreshToken else { throw TokenError.noSuchEndpoint }
            let token = try Terminal.promptSecret(
                "refresh token of \(Terminal.plain(name)), not shown: ", madeElsewhere: "refresh token",
                otherwise: .noTerminalForSecret("refresh token"))
            return try await agent.logIn(name, with: .refreshToken(token))
        }
        let redirect = try LoopbackRedirect(registered: settings.redirectURI, port: port)
        guard !paste, let redirect else { return try await pasted(agent, credential) }
        return try await BrowserLogin(
            agent: agent, credential: credential, redirect: redirect, opensBrowser: !noBrowser,
            takesPasted: Session.environment["SSH_CONNECTION"] != nil && Terminal.isThere, timeout: Int(timeout?.seconds ?? 300)
        ).run()
    }

    /// A person carries the answer over by hand.
    private func pasted(_ agent: any CredentialManager, _ credential: CredentialView) async throws -> CredentialView {
        guard Terminal.isThere else { throw Problem.noTerminalForCode }
        let uri = credential.settings.redirectURI ?? "http://127.0.0.1"
        let request = try await agent.authorizationRequest(name, redirectURI: uri)
        Terminal.tell("open this address, and log in:")
        Terminal.tell("  " + request.url)
        Terminal.tell("the browser may then say that it can't open a page: its address is what is wanted")
        let answer = try Terminal.promptSecret("that address, or the code in it, not shown: ", otherwise: .noTerminalForCode)
        return try await agent.logIn(name, with: request.grant(code: request.code(fromPasted: answer.revealed())))
    }
}
