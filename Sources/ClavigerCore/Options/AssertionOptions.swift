import AgentProtocol
import ArgumentParser
import FoundationEssentials
import OAuth

/// What a credential's signed assertions say (RFC 7523): for `add` and `edit`.
struct AssertionOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Whom it is for (aud): the issuer's name, the token endpoint, or {endpoint}. Empty for nobody.", valueName: "url"))
    var assertionAudience: String?

    @Option(help: ArgumentHelp("Whom a token is wanted for (sub).", valueName: "name"))
    var assertionSubject: String?

    @Option(help: ArgumentHelp("Who has made it (iss), if not the client id.", valueName: "name"))
    var assertionIssuer: String?

    @Option(help: ArgumentHelp("How long it lives; 5m if nothing is said.", valueName: "duration"))
    var assertionLifetime: DurationArgument?

    @Option(help: ArgumentHelp("Its typ header, such as client-authentication+jwt.", valueName: "text"))
    var assertionType: String?

    @Option(help: "How it is signed; else as suits the key.")
    var assertionAlgorithm: AssertionAlgorithm?

    @Option(
        help: ArgumentHelp(
            "A further claim: JSON, or any other value as a text. May be repeated.", valueName: "name=value"))
    var assertionClaim: [String] = []

    var isEmpty: Bool {
        assertionLifetime == nil && assertionAlgorithm == nil && assertionClaim.isEmpty
            && [assertionAudience, assertionSubject, assertionIssuer, assertionType].allSatisfy { $0 == nil }
    }

    /// Writes what was given over what is there.
    func apply(to settings: inout ClientSettings) throws {
        guard !isEmpty else { return }
        var assertion = settings.assertion ?? AssertionSettings()
        if let assertionAudience { assertion.audience = assertionAudience }
        if let assertionSubject { assertion.subject = assertionSubject }
        if let assertionIssuer { assertion.issuer = assertionIssuer }
        if let assertionLifetime { assertion.lifetime = Int(assertionLifetime.seconds) }
        if let assertionType { assertion.type = assertionType }
        if let assertionAlgorithm { assertion.algorithm = assertionAlgorithm }
        if !assertionClaim.isEmpty {
            let claims = try assertionClaim.map(SettingInput.parameter)
            assertion.claims = Dictionary(claims.map { ($0.name, Self.value($0.value)) }) { $1 }
        }
        settings.assertion = assertion
    }

    /// `true`, `12`, `["a"]` and `"12"` are what they are in JSON; everything else is a text.
    private static func value(_ text: String) -> JSONValue {
        JSONValue(parsing: Array(text.utf8)) ?? .string(text)
    }
}
