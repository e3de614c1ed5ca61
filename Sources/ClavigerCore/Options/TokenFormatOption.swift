import Agent
public import AgentProtocol
public import ArgumentParser
import FoundationEssentials
import TokenEngine

extension TokenFormat: ExpressibleByArgument {
    public init?(argument: String) { self.init(word: argument) }
    public var defaultValueDescription: String { word }
    public static var allValueStrings: [String] { allCases.map(\.word) }
}

/// What `claviger token` prints: a token in one of its forms, or the ID token that came with it.
enum TokenOutput: ExpressibleByArgument, Equatable {
    case token(TokenFormat)
    case idToken

    private static let idTokenWord = "id-token"

    init?(argument: String) {
        guard argument != Self.idTokenWord else {
            self = .idToken
            return
        }
        guard let format = TokenFormat(word: argument) else { return nil }
        self = .token(format)
    }

    var defaultValueDescription: String {
        switch self {
        case .token(let format): format.word
        case .idToken: Self.idTokenWord
        }
    }

    static var allValueStrings: [String] { TokenFormat.allValueStrings + [idTokenWord] }

    /// - Throws: `Problem` where a token of this kind can't be had in this form.
    func text(_ token: CachedToken, of name: String) throws -> String {
        switch self {
        case .token(let format): try format.text(token, of: name, at: .now)
        case .idToken: try TokenField.idToken.text(in: token.extras)
        }
    }
}
