import ArgumentParser
import Glibc
import Hummingbird
import HummingbirdCore
import HummingbirdTLS
import Logging
import NIOSSL

/// A practice server that behaves like the providers in the catalogue, and fails on request. For tests and the demo;
/// it keeps everything in memory, hands keys to whoever asks, and listens on this machine only.
@main
struct Sandbox: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "claviger-sandbox",
        abstract: "A practice OAuth 2.0 server on loopback.",
        discussion: """
            Prints its address as one line when it is ready.

            POST /torq/v1/auth/token    client credentials, HTTP Basic; UUID tokens of 3,600 s
            POST /qa/oauth2/token/      client credentials, form body; 30-character tokens of 36,000 s
            POST /logins/token          every grant, form body; refresh tokens rotate, and reuse ends the login
            GET  /logins/authorize      answers at once, as if a person had agreed; deny=1 as if not
            POST /logins/device         RFC 8628; POST /admin/device/USER-CODE?approve=1 decides
            POST /query                 as IoT-X: user name and password in the query, no grant type
            POST /revoke, /introspect   RFC 7009, RFC 7662
            GET  /api                   200 with a valid bearer token, else 401
            POST /admin/keys/PROVIDER   makes a key pair; at qa, a new one kills the old one at once
            POST /admin/faults          a JSON array of faults, one for each token request to come
            POST /admin/expire          ends every token's life
            POST /admin/grace/MS        how long the last refresh token is still taken after its use
            GET  /admin/logins          every refresh token that was handed out
            POST /admin/login           a refresh token, as if a person had logged in elsewhere
            GET  /admin/requests        how many token requests there were, and how many tokens were granted
            """)

    @Option(help: "The port, or 0 for any free one.")
    var port = 0

    @Option(help: "Serve https with this certificate chain (PEM).")
    var certificate: String?

    @Option(help: "The certificate's key (PEM).")
    var privateKey: String?

    @Option(help: "Answer each token request after so many milliseconds.")
    var latency = 0

    func validate() throws {
        if (certificate == nil) != (privateKey == nil) {
            throw ValidationError("--certificate and --private-key go together")
        }
    }

    func run() async throws {
        let scheme = certificate == nil ? "http" : "https"
        let application = Application(
            router: SandboxRoutes(state: SandboxState(), latency: latency).router(),
            server: try server(),
            configuration: ApplicationConfiguration(address: .hostname("127.0.0.1", port: port)),
            onServerRunning: { channel in
                print("\(scheme)://127.0.0.1:\(channel.localAddress?.port ?? 0)")
                fflush(nil)
            },
            logger: Logger(label: "claviger-sandbox") { _ in SwiftLogNoOpLogHandler() })
        try await application.runService()
    }

    private func server() throws -> HTTPServerBuilder {
        guard let certificate, let privateKey else { return .http1() }
        let chain = try NIOSSLCertificate.fromPEMFile(certificate).map { NIOSSLCertificateSource.certificate($0) }
        let key = try NIOSSLPrivateKey(file: privateKey, format: .pem)
        return try .tls(
            tlsConfiguration: .makeServerConfiguration(certificateChain: chain, privateKey: .privateKey(key)))
    }
}
