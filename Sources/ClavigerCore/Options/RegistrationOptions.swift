import ArgumentParser
import FoundationEssentials
import AgentProtocol
import OAuth

/// A client that registers itself (RFC 7591), instead of one that a person has made: for `add`.
struct RegistrationOptions: ParsableArguments {
    @Flag(help: "Register a new client at the server, and store what it is given.")
    var register = false

    @Option(help: ArgumentHelp("Where clients register, if the server's metadata does not say it.", valueName: "url"))
    var registrationURL: String?

    @Option(
        help: ArgumentHelp(
            "A file with the token that allows the registration, where the server wants one; - for standard input.",
            valueName: "file|-"), completion: .file())
    var initialAccessTokenFile: String?

    @Option(
        help: ArgumentHelp(
            "JSON with what else the server wants to know of the client, such as contacts or software_statement.",
            valueName: "file"), completion: .file())
    var registrationMetadata: String?

    func validate() throws {
        let others = [registrationURL, initialAccessTokenFile, registrationMetadata]
        if !register, others.contains(where: { $0 != nil }) {
            throw ValidationError(
                "--registration-url, --initial-access-token-file and --registration-metadata belong to --register")
        }
    }

    /// The members of `--registration-metadata`.
    func members() throws -> [String: JSONValue] {
        guard let registrationMetadata else { return [:] }
        let bytes = try SecretInput.contents(registrationMetadata, limit: 1 << 20, what: "JSON", isSecret: false)
        guard let members = JSONValue(answer: bytes)?.object else {
            throw Problem("\(Terminal.plain(registrationMetadata)) is not a JSON object", .usage)
        }
        return members
    }
}
