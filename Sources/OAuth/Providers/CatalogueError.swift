/// Why a provider file can't be used, in words that name the member.
public struct CatalogueError: Error, Equatable, Sendable {
    public var reason: String
    /// Where it stands: names of members, and indices.
    public var path: [String]

    init(_ reason: String, at path: [String]) {
        (self.reason, self.path) = (reason, path)
    }

    init(_ error: any Error) {
        switch error {
        case DecodingError.keyNotFound(let key, let context):
            let path = context.codingPath.map(\.name)
            self.init("the member \"\((path + [key.name]).joined(separator: "."))\" is missing", at: path)
        case DecodingError.typeMismatch(let type, let context):
            self.init(context, must: type == Bool.self ? "be true or false" : nil)
        case DecodingError.valueNotFound(_, let context), DecodingError.dataCorrupted(let context):
            self.init(context, must: nil)
        default:
            self.init("it can't be read", at: [])
        }
    }

    private init(_ context: DecodingError.Context, must form: String?) {
        let path = context.codingPath.map(\.name)
        let member = "the member \"\(path.joined(separator: "."))\""
        if let refusal = context.underlyingError as? EndpointURL.Refusal {
            self.init("\(member) is refused as an address: it \(refusal.words)", at: path)
        } else if let form = form ?? Self.form(path, context) {
            self.init("\(member) must \(form)", at: path)
        } else {
            self.init("\(member) is not what it should be", at: path)
        }
    }

    /// What a member must be like, for those whose value is a text of its own form.
    private static func form(_ path: [String], _ context: DecodingError.Context) -> String? {
        switch (path.first, path.last) {
        case ("refresh_token_grace", _): "be \(context.debugDescription)"
        case ("presentation", _): "be a header or a parameter with {token} in it, such as \"Authorization: token {token}\""
        case ("answer", "success"): "be a condition such as \"/code=0\""
        case ("answer", _) where path.count == 2: "be a JSON pointer (RFC 6901) such as \"/data/token\""
        default: nil
        }
    }
}

extension CodingKey {
    fileprivate var name: String { intValue.map(String.init) ?? stringValue }
}
