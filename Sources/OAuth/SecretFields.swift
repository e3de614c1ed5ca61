public import Sodium

/// A parameter or a header of a client's requests whose value is a secret, such as an API key.
public struct SecretField: Sendable {
    public var name: String
    public var value: Secret

    public init(_ name: String, _ value: Secret) {
        self.name = name
        self.value = value
    }

    /// In ordinary memory: for the moment in which a request is written.
    func revealed() -> Parameter { Parameter(name, value.revealed()) }
}

/// The values of the parameters and headers that `ClientSettings.secretParameters` and `ClientSettings.secretHeaders` name, in
/// the order of those names.
public struct SecretFields: Sendable {
    public var parameters: [SecretField]
    public var headers: [SecretField]

    public init(parameters: [SecretField] = [], headers: [SecretField] = []) {
        self.parameters = parameters
        self.headers = headers
    }

    public var isEmpty: Bool { parameters.isEmpty && headers.isEmpty }
}
