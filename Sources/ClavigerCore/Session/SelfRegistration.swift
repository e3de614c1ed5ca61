import AgentProtocol
import Credentials
import OAuth
import Sodium
import TokenEngine

/// A client that claviger registers for a new credential (RFC 7591).
struct SelfRegistration {
    let name: String
    let options: RegistrationOptions
    /// Where the server's metadata says that clients register.
    let found: EndpointURL?

    /// Registers a client, and makes a credential of it.
    /// - Parameter settings: what it is for.
    func register(_ settings: ClientSettings, provider: String?) async throws -> NewCredential {
        let url = try options.registrationURL.map { try SettingInput.address("--registration-url", $0) } ?? found
        guard let url else { throw RegistrationError.noEndpoint }
        var settings = settings
        guard settings.clientAuthentication != .tls, settings.clientAuthentication != .bearerJWT else {
            throw Problem("a client with --client-auth \(settings.clientAuthentication.option) can't register itself", .usage)
        }
        if settings.grant == .authorizationCode, settings.redirectURI == nil { settings.redirectURI = Self.redirectURI() }
        let key = settings.hasPrivateKey ? try ClientKey.make() : nil
        let initialToken = try options.initialAccessTokenFile.map { try SecretInput.file($0, what: "initial access token") }
        let metadata = settings.registrationMetadata(
            clientName: "claviger (\(name))", publicKey: key?.publicKey, more: try options.members())
        let authority = settings.certificateAuthority
        let registered = try await Session.withTransport {
            try await EndpointClient(transport: $0).register(
                metadata, at: url, initialToken: initialToken, certificateAuthority: authority)
        }
        Terminal.note("registered at \(url): the client id is \(Terminal.plain(registered.client.id))")
        do {
            return try credential(registered, settings, key: key?.key, provider)
        } catch {
            await takeBack(registered.registration, registered.client.id, authority)
            throw error
        }
    }

    private func credential(
        _ registered: RegisteredClient, _ asked: ClientSettings, key: Secret?, _ provider: String?
    ) throws -> NewCredential {
        var (settings, client) = (asked, registered.client)
        if let method = registered.authentication, method.registersAs != settings.clientAuthentication.registersAs {
            guard method != .tls, method.hasKey == asked.clientAuthentication.hasKey else {
                throw RegistrationError.unusable(reason: "it is to prove itself by \(method.option)")
            }
            settings.clientAuthentication = method
            Terminal.note("the server has registered it with \(method.option)")
        }
        if settings.hasPrivateKey { client.secret = key }
        if !settings.clientAuthentication.needsSecret { client.secret = nil }
        if settings.clientAuthentication.needsSecret, client.secret == nil {
            throw RegistrationError.unusable(reason: "the server gave it no secret")
        }
        if let uri = settings.redirectURI, !registered.redirectURIs.isEmpty, !registered.redirectURIs.contains(uri) {
            throw RegistrationError.unusable(reason: "the server registered another redirect address")
        }
        if let scopes = registered.scopes, !settings.scopes.isEmpty, Set(scopes) != Set(settings.scopes) {
            Terminal.note("the server has registered it for the scopes \(Terminal.plain(scopes.joined(separator: " ")))")
        }
        if registered.registration == nil {
            Terminal.note("the server lets nobody manage this client: its secret can't be renewed by claviger")
        }
        var new = NewCredential(provider: provider, settings: settings, client: client)
        new.secretExpires = registered.secretExpires
        new.registration = registered.registration
        return new
    }

    /// A client that no credential was made of is of no use to anybody.
    func takeBack(_ new: NewCredential) async {
        await takeBack(new.registration, new.client.id, new.settings.certificateAuthority)
    }

    private func takeBack(_ registration: ClientRegistration?, _ id: String, _ authority: String?) async {
        let isDone =
            if let registration {
                (try? await Session.withTransport {
                    try await EndpointClient(transport: $0).deregister(registration, certificateAuthority: authority)
                }) != nil
            } else {
                false
            }
        Terminal.note(
            isDone
                ? "the client \(Terminal.plain(id)) was taken back at the server"
                : "the client \(Terminal.plain(id)) stays registered at the server: it could not be taken back")
    }

    /// Servers compare the port, though they should not (RFC 8252 section 7.3): one is chosen now, outside the range that Linux
    /// gives out by itself.
    private static func redirectURI() -> String { "http://127.0.0.1:\(Int.random(in: 61_000...65_535))/callback" }
}

extension ClientAuthentication {
    /// Basic is registered in one form only.
    fileprivate var registersAs: ClientAuthentication { self == .basicRaw ? .basic : self }
    fileprivate var hasKey: Bool { self == .privateKeyJWT }
}
