import AgentProtocol
import Credentials
import FoundationEssentials
import HTTPTypes
import OAuth
import Sodium
import TokenEngine

/// One token request to a server that nobody knows: what is sent and what comes back are shown, with made-up words in the place of
/// every secret, and the settings that would fit are proposed. Nothing is stored.
struct Trial {
    let settings: ClientSettings
    let client: ClientCredentials
    let fields: SecretFields

    func run() async throws {
        guard [.clientCredentials, .password].contains(settings.grant), !settings.clientAuthentication.signs else {
            throw Problem(
                "--try is for client credentials and passwords: a login, and what is signed, is tried by adding it",
                hint: "leave --try out: what does not work is not kept", .usage)
        }
        try Terminal.output((try sent() + [""]).map(Terminal.plain).joined(separator: "\n"))
        let answer = try await Session.withTransport { try await $0.send(request(client, fields)) }
        try Terminal.output(received(answer).map(Terminal.plain).joined(separator: "\n"))
    }

    private func request(_ client: ClientCredentials, _ fields: SecretFields) -> EndpointRequest {
        settings.tokenRequest(
            client, fields: fields, grant: settings.grant == .password ? .password : .clientCredentials, access: RequestedAccess()
        )
    }

    /// The same request of a client that is made up.
    private func sent() throws -> [String] {
        let word = try Secret(utf8: "SECRET")
        let shown = request(
            ClientCredentials(
                id: client.id, secret: client.secret == nil ? nil : try Secret(utf8: "CLIENT-SECRET"), username: client.username,
                password: try Secret(utf8: "PASSWORD")),
            SecretFields(
                parameters: fields.parameters.map { SecretField($0.name, word) },
                headers: fields.headers.map { SecretField($0.name, word) }))
        return RequestReport.lines(shown, authorization: "Basic (client id and CLIENT-SECRET)")
    }

    private func received(_ answer: EndpointAnswer) -> [String] {
        var lines = ["status \(answer.status)" + (answer.headerFields[.contentType].map { ", \($0)" } ?? "")]
        let proposal = AnswerProposal(body: answer.body)
        lines +=
            proposal?.shape ?? [
                answer.body.isEmpty ? "an empty body" : "a body of \(answer.body.count) bytes that is neither JSON nor a form"
            ]
        lines.append("")
        let read = TokenResponse.read(
            status: answer.status, headers: answer.headerFields, body: answer.body, format: settings.answer ?? AnswerFormat(),
            isWhole: answer.isWhole, now: Date())
        switch read.result {
        case .success(let tokens):
            let life =
                tokens.expiresIn.map { "it lives \($0) s" }
                ?? settings.tokenLifetime.map { "the server does not say how long it lives, and \($0) s are assumed" }
                ?? "the server does not say how long it lives: --token-lifetime can"
            lines.append("a token was found; \(life). Without --try, the credential is stored")
        case .failure(let refusal):
            lines.append(Problem(describing: TokenError(refusal)).title)
            lines += (proposal?.members ?? []).map { "try --answer \($0)" }
            lines += advice(refusal, answer.status).map { "try \($0)" }
        }
        return lines
    }

    /// What else the request could be like.
    private func advice(_ refusal: TokenRefusal, _ status: Int) -> [String] {
        switch (refusal, status) {
        case (.oauth(.invalidClient), _):
            ["--client-auth \(settings.clientAuthentication == .post ? "basic" : "post")", "another key pair"]
        case (.oauth(.registered("invalid_request")), _), (.oauth(.unregistered), 400), (.oauth(.unregistered), 415):
            settings.placement == .json ? ["--params-in body"] : ["--params-in json"]
        case (.oauth(.unregistered), 404), (.redirected, _): ["another --token-url"]
        case (.oauth(.unregistered), 405): settings.method == .get ? ["--method POST"] : ["--method GET"]
        default: []
        }
    }
}
