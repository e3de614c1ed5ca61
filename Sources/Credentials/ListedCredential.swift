public import OAuth
import Vault

/// Why the record of one credential can't be read, where the others can.
public enum UnreadableRecord: String, Codable, Sendable {
    /// A newer version has written it, with what this one does not know.
    case newer
    /// Its seal, its hash or its form is wrong.
    case damaged

    /// - Returns: nil if `error` says nothing of one credential's record.
    public init?(_ error: any Error) {
        switch error {
        case CredentialError.newerRecord: self = .newer
        case VaultError.damagedRecord(.credential, _, _, _): self = .damaged
        default: return nil
        }
    }
}

/// A credential, as much as the caller may see of it. In JSON: its view, what is offered, or the members `name` and `unreadable`.
public enum ListedCredential: Sendable, Equatable {
    case readable(CredentialView)
    case offered(OfferedCredential)
    case unreadable(name: String, UnreadableRecord)

    public var name: String {
        switch self {
        case .readable(let view): view.name
        case .offered(let offered): offered.name
        case .unreadable(let name, _): name
        }
    }

    /// Nil for others than the keeper, and where the record can't be read.
    public var view: CredentialView? {
        if case .readable(let view) = self { view } else { nil }
    }

    /// Whether no token of it is handed out, because somebody has blocked it.
    public var isBlocked: Bool {
        switch self {
        case .readable(let view): view.blockedSince != nil
        case .offered(let offered): offered.state == .blocked
        case .unreadable: false
        }
    }

    /// The address below which the service's API lies.
    public var apiURL: EndpointURL? {
        switch self {
        case .readable(let view): view.settings.apiURL
        case .offered(let offered): offered.apiURL
        case .unreadable: nil
        }
    }

    /// The certificates to trust there instead of the system's, in PEM.
    public var certificateAuthority: String? {
        switch self {
        case .readable(let view): view.settings.certificateAuthority
        case .offered(let offered): offered.certificateAuthority
        case .unreadable: nil
        }
    }
}

extension ListedCredential: Codable {
    private enum CodingKeys: String, CodingKey {
        case name, unreadable, settings
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        if let reason = try container.decodeIfPresent(UnreadableRecord.self, forKey: .unreadable) {
            self = .unreadable(name: try container.decode(String.self, forKey: .name), reason)
        } else if container.contains(.settings) {
            self = .readable(try CredentialView(from: decoder))
        } else {
            self = .offered(try OfferedCredential(from: decoder))
        }
    }

    public func encode(to encoder: any Encoder) throws {
        switch self {
        case .readable(let view): try view.encode(to: encoder)
        case .offered(let offered): try offered.encode(to: encoder)
        case .unreadable(let name, let reason):
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(name, forKey: .name)
            try container.encode(reason, forKey: .unreadable)
        }
    }
}
