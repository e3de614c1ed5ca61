import AgentProtocol
import Credentials
import FoundationEssentials
import OAuth
import Sodium
import TokenEngine
import Vault

/// What a command asks of its refresher, over their socket pair: everything that may spend a refresh token or a code. The
/// agent's own socket has none of these requests but the one for a token.
struct ServiceRequest: Codable {
    enum Operation: Codable {
        /// The first, and once.
        case open(OpenVault)
        case token(name: String, TokenQuery)
        case add(name: String, NewCredentialDocument, verify: Bool)
        case rotate(name: String, RotationDocument, verify: Bool)
        case edit(name: String, EditDocument, verify: Bool)
        case check(name: String)
        case logIn(name: String, GrantDocument)
    }

    /// The answer repeats it.
    var number: UInt32
    var operation: Operation
}

struct ServiceResponse: Codable {
    enum Result: Codable {
        /// Before anything was asked: nobody can look into this process, and the vault's keys may be sent.
        case ready
        case opened
        case token(CachedTokenDocument)
        case summary(CredentialView)
        case check(CheckResult)
        case failure(ServiceFailure)
    }

    var number: UInt32
    var result: Result
}

/// Why it was not done: the error that was thrown, so that commands tell errors apart as if they had done it themselves.
enum ServiceFailure: Codable {
    case token(TokenError)
    case vault(VaultError)
    case agent(CredentialError)
    case problem(word: String, status: Int, exit: Int32, title: String, hint: String?)

    init(_ error: any Error, of name: String?) {
        switch error {
        case let error as TokenError: self = .token(error)
        case let error as VaultError: self = .vault(error)
        case let error as CredentialError: self = .agent(error)
        default:
            let problem = Problem(describing: error, of: name)
            self = .problem(
                word: problem.code.word, status: problem.code.status, exit: problem.code.exit, title: problem.title,
                hint: problem.hint?.text)
        }
    }

    var error: any Error {
        switch self {
        case .token(let error): error
        case .vault(let error): error
        case .agent(let error): error
        case .problem(let word, let status, let exit, let title, let hint):
            Problem(title, hint: hint.map(Hint.text), ProblemCode(word: word, status: status, exit: exit))
        }
    }
}

/// The vault, and who asks: the log names the command's process, not the refresher's.
struct OpenVault: Codable {
    var path: String
    var keys: SecretDocument
    /// The generation that the command has read.
    var seen: UInt64
    /// Where refreshers register; nil where there is no home.
    var runtimeFolder: String?
    /// Where generations and the machine's id are kept; nil where there is no home.
    var stateFolder: String?
    /// Whether the generations in there may be newer: the person has said so.
    var acceptsOlder: Bool
    var uid: UInt32
    var pid: Int32
    var program: String?
    var reason: String?
}

// MARK: - What holds secrets

/// A secret on its way through the socket pair: in ordinary memory for that moment.
struct SecretDocument: Codable {
    let secret: Secret

    init(_ secret: Secret) { self.secret = secret }

    init(from decoder: any Decoder) throws {
        var bytes = Array(try decoder.singleValueContainer().decode(Data.self))
        defer { bytes.wipe() }
        secret = unsafe try Secret(copying: bytes.span.bytes)
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(secret.withBytes { Data($0.array()) })
    }
}

struct ClientDocument: Codable {
    var id: String
    var secret: SecretDocument?
    var username: String?
    var password: SecretDocument?

    init(_ client: ClientCredentials) {
        id = client.id
        secret = client.secret.map(SecretDocument.init)
        username = client.username
        password = client.password.map(SecretDocument.init)
    }

    var client: ClientCredentials {
        ClientCredentials(id: id, secret: secret?.secret, username: username, password: password?.secret)
    }
}

struct SecretFieldsDocument: Codable {
    struct Field: Codable {
        var name: String
        var value: SecretDocument

        init(_ field: SecretField) { (name, value) = (field.name, SecretDocument(field.value)) }

        var field: SecretField { SecretField(name, value.secret) }
    }

    var parameters: [Field]
    var headers: [Field]

    init(_ fields: SecretFields) {
        parameters = fields.parameters.map(Field.init)
        headers = fields.headers.map(Field.init)
    }

    var fields: SecretFields { SecretFields(parameters: parameters.map(\.field), headers: headers.map(\.field)) }
}

struct EditDocument: Codable {
    var before: SettingsEdit.Values
    var after: SettingsEdit.Values
    var secretFields: SecretFieldsDocument

    init(_ edit: SettingsEdit) {
        (before, after) = (edit.before, edit.after)
        secretFields = SecretFieldsDocument(edit.secretFields)
    }

    var edit: SettingsEdit { SettingsEdit(before: before, after: after, secretFields: secretFields.fields) }
}

struct NewCredentialDocument: Codable {
    var provider: String?
    var settings: ClientSettings
    var secretFields: SecretFieldsDocument
    var client: ClientDocument
    var refreshToken: SecretDocument?
    var secretExpires: Date?
    var registration: RegistrationDocument?

    init(_ new: NewCredential) {
        provider = new.provider
        settings = new.settings
        secretFields = SecretFieldsDocument(new.secretFields)
        client = ClientDocument(new.client)
        refreshToken = new.refreshToken.map(SecretDocument.init)
        secretExpires = new.secretExpires
        registration = new.registration.map(RegistrationDocument.init)
    }

    var credential: NewCredential {
        var new = NewCredential(
            provider: provider, settings: settings, secretFields: secretFields.fields, client: client.client,
            refreshToken: refreshToken?.secret)
        new.secretExpires = secretExpires
        new.registration = registration?.registration
        return new
    }
}

struct RegistrationDocument: Codable {
    var url: EndpointURL
    var token: SecretDocument

    init(_ registration: ClientRegistration) {
        (url, token) = (registration.url, SecretDocument(registration.token))
    }

    var registration: ClientRegistration { ClientRegistration(url: url, token: token.secret) }
}

enum RotationDocument: Codable {
    case to(ClientDocument)
    case staged
    case previous
    case renewal

    init(_ rotation: Rotation) {
        switch rotation {
        case .to(let client): self = .to(ClientDocument(client))
        case .staged: self = .staged
        case .previous: self = .previous
        case .renewal: self = .renewal
        }
    }

    var rotation: Rotation {
        switch self {
        case .to(let client): .to(client.client)
        case .staged: .staged
        case .previous: .previous
        case .renewal: .renewal
        }
    }
}

/// What a person's login has brought. The other grants need no login, and are not sent.
enum GrantDocument: Codable {
    case authorizationCode(SecretDocument, redirectURI: String, verifier: SecretDocument, nonce: String?)
    case deviceCode(SecretDocument)
    case refreshToken(SecretDocument)

    init?(_ grant: AuthorizationGrant) {
        switch grant {
        case .authorizationCode(let code, let uri, let verifier, let nonce):
            self = .authorizationCode(SecretDocument(code), redirectURI: uri, verifier: SecretDocument(verifier), nonce: nonce)
        case .deviceCode(let code): self = .deviceCode(SecretDocument(code))
        case .refreshToken(let token): self = .refreshToken(SecretDocument(token))
        case .clientCredentials, .password, .jwtBearer, .tokenExchange: return nil
        }
    }

    var grant: AuthorizationGrant {
        switch self {
        case .authorizationCode(let code, let uri, let verifier, let nonce):
            .authorizationCode(code.secret, redirectURI: uri, verifier: verifier.secret, nonce: nonce)
        case .deviceCode(let code): .deviceCode(code.secret)
        case .refreshToken(let token): .refreshToken(token.secret)
        }
    }
}

struct CachedTokenDocument: Codable {
    var access: RequestedAccess
    var token: SecretDocument
    var type: String
    var scopes: [String]?
    var sent: Date
    var expires: Date?
    var extras: SecretDocument?
    var presentation: TokenPresentation
    var proof: SecretDocument?

    init(_ token: CachedToken) {
        access = token.access
        self.token = SecretDocument(token.token)
        type = token.type
        scopes = token.scopes
        sent = token.sent
        expires = token.expires
        extras = token.extras.map(SecretDocument.init)
        presentation = token.presentation
        proof = token.proof.map(SecretDocument.init)
    }

    var cached: CachedToken {
        var cached = CachedToken(
            access: access, token: token.secret, type: type, scopes: scopes, sent: sent, expires: expires,
            extras: extras?.secret)
        cached.presentation = presentation
        cached.proof = proof?.secret
        return cached
    }
}
