import CLinux

/// Asks a running agent for a token. What to do where none answers, or one that is locked or serves another vault, is for the
/// core to decide, and so is what the agent does not understand.
struct TokenFastPath {
    private let request: AgentRequest

    init(_ arguments: TokenArguments) {
        let vault = arguments.vault ?? (Locations.namesVault ? Locations.vault() : nil)
        request = AgentRequest.token(arguments.name, arguments.parameters)
            .with(vault: vault.map { Locations.absolute($0) }, reason: arguments.reason, accept: .plainText)
    }

    enum Answer {
        /// In the form that was asked for.
        case token([UInt8])
        /// An exit status, and what to print.
        case refusal(Int32, String)
    }

    func answer() -> Answer? {
        guard let answer = try? AgentSocket.toAsk()?.send(request), !answer.body.isEmpty else { return nil }
        switch answer.status {
        case 200: return .token(answer.body)
        case ProblemCode.usage.status, ProblemCode.otherVault.status, ProblemCode.agentLocked.status: return nil
        default: return Problem.lines(ofPlainText: answer.body).map { .refusal($0.exit, $0.lines) }
        }
    }
}
