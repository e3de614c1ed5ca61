import OAuth
import Sodium

/// A provider, as people read it.
enum ProviderReport {
    /// What would be sent, with made-up words where secrets go.
    static func text(_ provider: Provider) throws -> String {
        let settings = try provider.settings(
            Dictionary(provider.variables.map { ($0.name, $0.fallback ?? $0.name.uppercased()) }) { $1 })
        let client = ClientCredentials(
            id: settings.clientIDIsOptional ? "" : "CLIENT-ID", secret: try Secret(utf8: "CLIENT-SECRET"), username: "USER",
            password: try Secret(utf8: "PASSWORD"))
        let grant: AuthorizationGrant =
            switch settings.grant {
            case .clientCredentials: .clientCredentials
            case .password: .password
            case .jwtBearer: .jwtBearer(try Secret(utf8: "ASSERTION"))
            case .tokenExchange: .tokenExchange(subject: try Secret(utf8: "SUBJECT-TOKEN"), actor: nil)
            case .authorizationCode, .refreshToken, .deviceCode: .refreshToken(try Secret(utf8: "REFRESH-TOKEN"))
            }
        let request = settings.tokenRequest(
            client, grant: grant, access: RequestedAccess(), clientAssertion: try Secret(utf8: "ASSERTION"))
        var lines = ["\(provider.title): \(provider.grants.map(\.option).joined(separator: ", "))"]
        for variable in provider.variables {
            let fallback = variable.fallback.map { " (usually \($0))" } ?? ""
            lines.append("--set \(variable.name)=...: \(variable.title)\(fallback)")
        }
        if let page = provider.documentation { lines.append("described at \(page)") }
        if let page = provider.keysPage { lines.append("keys are made in \(page)") }
        if let login = try settings.authorizationRequest(
            clientID: "CLIENT-ID", redirectURI: settings.redirectURI ?? "http://127.0.0.1:PORT/callback")
        {
            lines += ["", "the browser is sent to", "  " + login.url]
        }
        let proof =
            settings.clientAuthentication == .bearerJWT
            ? "Bearer (a JWT signed with the key)" : "Basic (CLIENT-ID and CLIENT-SECRET)"
        lines += [""] + RequestReport.lines(request, authorization: proof)
        if !provider.notes.isEmpty { lines += [""] + provider.notes }
        if !provider.sources.isEmpty { lines += ["", "compared with"] + provider.sources.map { "  " + $0 } }
        return lines.map(Terminal.plain).joined(separator: "\n")
    }
}
