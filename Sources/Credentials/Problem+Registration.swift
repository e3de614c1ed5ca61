import AgentProtocol
import TokenEngine

extension Problem {
    /// Why a client is not registered, renewed or taken back.
    init(registration error: RegistrationError, _ name: String?) {
        let client = name.map { "the client of \(PlainText.quoted($0))" } ?? "the client"
        switch error {
        case .noEndpoint:
            self.init(
                "the server names no address where clients register themselves",
                hint: "register one in the server's console, and give its --client-id; or use --registration-url", .configuration)
        case .notAllowed(let status):
            self.init(
                "the server does not let this client register itself (status \(status))",
                hint: "ask its keeper for an initial access token: --initial-access-token-file", .clientRefused)
        case .refused(let word, let status):
            self.init(
                "the server refuses the registration (\(word ?? "status \(status)"))",
                hint: word == "invalid_redirect_uri"
                    ? "it may want another --redirect-uri, such as http://localhost:PORT/callback"
                    : "look at --grant, --client-auth and --scope; --registration-metadata says more of the client",
                .requestRefused)
        case .tokenRefused(let status):
            self.init(
                "the server no longer lets \(client) be managed (status \(status)): it may be gone there",
                hint: "register another one with claviger add --register, and remove this one without --deregister",
                .clientRefused)
        case .unsupported(let status):
            self.init("the server does not offer that for registered clients (status \(status))", .configuration)
        case .notManaged:
            self.init(
                "\(client) has not registered itself with claviger, or its server lets nobody manage it",
                hint: "renew it or end it in the server's console; claviger rotate stores a new secret", .configuration)
        case .secretKept:
            self.init(
                "the server has kept the secret of \(client): nothing has changed",
                hint: "register another one with claviger add --register, then remove this one with --deregister", .configuration)
        case .unusable(let reason): self.init("the registered client can't be used: \(reason)", .unusableAnswer)
        }
    }
}
