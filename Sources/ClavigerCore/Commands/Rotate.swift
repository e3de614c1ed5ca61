import Agent
import AgentProtocol
import Credentials
import ArgumentParser
import FoundationEssentials
import OAuth

struct Rotate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rotate",
        abstract: "Replace the key pair after it was regenerated at the provider.",
        discussion: """
            The new pair is stored beside the old one, proven by a live token, and put in its place in one step; tokens \
            bought with the old pair are dropped, and the old pair is kept for --rollback. A pair that the server refuses \
            changes nothing. One that could not be tried stays in the vault for --resume.
            """)

    @Argument(help: "The credential.")
    var name: String

    @Option(help: ArgumentHelp("The new client id, where it changes with the secret.", valueName: "id"))
    var clientID: String?

    @Flag(help: "Go back to the pair before the last rotation.")
    var rollback = false

    @Flag(help: "Finish a rotation whose new pair could not be proven.")
    var resume = false

    @Flag(help: "Have the server make a new secret, for a client that was added with --register.")
    var viaRegistration = false

    @Flag(help: "Print the credential, without its secrets, as JSON.")
    var json = false

    @OptionGroup var keyPair: SecretOptions
    @OptionGroup var vaultOptions: VaultOptions

    func validate() throws {
        let sources = [rollback, resume, viaRegistration, !keyPair.isEmpty || clientID != nil]
        if sources.count(where: { $0 }) > 1 {
            throw ValidationError("--rollback, --resume, --via-registration and a new key pair exclude each other")
        }
    }

    func run() async throws {
        await tellAgent()
        let result = try await sayingWhatIsInUse {
            try await Session(vaultOptions).withAgent { agent in
                let rotation = try await rotation(agent)
                let before = try? await agent.show(name).settings.clientAuthentication
                let result = try await agent.rotate(name, rotation, verify: !keyPair.noVerify)
                Terminal.noteBasicForm(before, result.settings.clientAuthentication)
                return result
            }
        }
        let now = Date()
        let proof =
            keyPair.noVerify
            ? "not proven, as asked"
            : result.stateOfClient(at: now).state == .loginNeeded
                ? "not proven: log in with claviger login \(Terminal.plain(name))" : "proven: a token was acquired"
        Terminal.note(
            "rotated \(Problem.quoted(name)) to the client id \(Terminal.plain(result.clientID)); \(proof); "
                + oldPair(result))
        Terminal.noteBlock(of: result)
        if json { try Terminal.output(Report.json(CredentialReport(result, now: now))) }
    }

    /// After an error, people must know which of the two pairs is in use.
    private func sayingWhatIsInUse(_ body: () async throws -> CredentialView) async throws -> CredentialView {
        do {
            return try await body()
        } catch {
            var problem = Problem(describing: error, of: name)
            guard [.clientRefused, .requestRefused].contains(problem.code), !viaRegistration else { throw problem }
            let view = try? await Session(vaultOptions).withTokenAgent { try await $0.credential(name) }
            guard let view = view?.view, view.stagedKeyPairSince == nil else { throw problem }
            let ended = view.provider.flatMap { try? ProviderFiles.named($0) }?.newSecretRevokesOld == true
            problem.hint = .text(
                "nothing has changed: the pair from before is in use"
                    + (ended ? ", and the provider may have ended it when it made the new one" : "")
                    + "; look whether the new one is whole, and of this client")
            throw problem
        }
    }

    /// A running agent tells those whom it can't give a token meanwhile. Nothing depends on it.
    private func tellAgent() async {
        guard let socket = AgentSocket.toAsk(), let path = try? Session(vaultOptions).absoluteVaultPath() else { return }
        try? await AgentClient(socket: socket, vault: path).rotates(name)
    }

    private func oldPair(_ result: CredentialView) -> String {
        if viaRegistration { return "the old pair is kept for --rollback, if the server still takes it" }
        let provider = result.provider.flatMap { try? ProviderFiles.named($0) }
        return provider?.newSecretRevokesOld == true
            ? "at \(Terminal.plain(provider?.title ?? "")) the old pair ended when the new one was made"
            : "the old pair is kept for --rollback"
    }

    private func rotation(_ agent: any CredentialManager) async throws -> Rotation {
        if rollback { return .previous }
        if resume { return .staged }
        if viaRegistration { return .renewal }
        let current = try await agent.show(name)
        let page = current.provider.flatMap { try? ProviderFiles.named($0).keysPage }
        let client = try keyPair.client(
            .init(
                name: name, settings: current.settings, clientID: clientID ?? current.clientID, username: current.username,
                asksForID: clientID == nil, page: page, document: keyPair.fromJSON.map(KeyDocument.init)))
        return .to(client)
    }
}
