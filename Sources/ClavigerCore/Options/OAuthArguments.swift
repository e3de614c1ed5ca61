public import ArgumentParser
public import OAuth

extension GrantType: ExpressibleByArgument {
    /// Also the extension grants' URIs, as servers' metadata names them.
    public init?(argument: String) {
        let word = argument.split(separator: ":").last.map(String.init) ?? argument
        self.init(rawValue: word.replacing("-", with: "_"))
    }
    public var defaultValueDescription: String { option }
    public static var allValueStrings: [String] { allCases.map(\.option) }
}

extension ClientAuthentication: ExpressibleByArgument {
    /// Also the names of RFC 7591 section 2.
    public init?(argument: String) {
        guard let known = Self(rawValue: argument.replacing("-", with: "_")) ?? Self(registered: argument) else { return nil }
        self = known
    }
    public var defaultValueDescription: String { option }
    public static var allValueStrings: [String] { allCases.map(\.option) }
}

extension AssertionAlgorithm: ExpressibleByArgument {
    public init?(argument: String) {
        guard let known = Self.allCases.first(where: { $0.rawValue.lowercased() == argument.lowercased() }) else { return nil }
        self = known
    }
}

extension ParameterPlacement: ExpressibleByArgument {}

extension RequestMethod: ExpressibleByArgument {
    public init?(argument: String) { self.init(rawValue: argument.uppercased()) }
}

extension TokenPresentation: ExpressibleByArgument {
    public init?(argument: String) { self.init(rawValue: argument) }
    public var defaultValueDescription: String { rawValue }
}

extension ResendPolicy: ExpressibleByArgument {}

extension RefreshTokenGrace: ExpressibleByArgument {
    /// A number of seconds, or `until-used`.
    public init?(argument: String) {
        if argument == RefreshTokenGrace.untilSuccessorIsUsed.option {
            self = .untilSuccessorIsUsed
        } else if let seconds = Int(argument), (0...31_536_000).contains(seconds) {
            self = .seconds(seconds)
        } else {
            return nil
        }
    }
    public var defaultValueDescription: String { option }
}
