/// What is wrong with a provider file, and where.
public struct ProviderFileError: Error, Equatable, Sendable {
    public var reason: String
    public var position: TextPosition
}

extension Provider {
    /// Reads a provider file, and looks for what would be found out only when it is used: grants without their endpoint, and
    /// names in braces that stand for nothing.
    /// - Throws: `ProviderFileError`, for the first thing that is wrong.
    public static func check(file json: [UInt8]) throws(ProviderFileError) -> Provider {
        let places: JSONPlaces
        do throws(JSONSyntaxError) {
            places = try JSONPlaces(scanning: json)
        } catch {
            throw ProviderFileError(reason: error.reason, position: error.position)
        }
        do throws(CatalogueError) {
            let provider = try Provider(json: json)
            try provider.checkGrants()
            try provider.checkNames()
            return provider
        } catch {
            throw ProviderFileError(reason: error.reason, position: places.position(of: error.path))
        }
    }

    private func checkGrants() throws(CatalogueError) {
        let endpoints: [GrantType: ClientSettings.CodingKeys] = [
            .authorizationCode: .authorizationURL, .deviceCode: .deviceAuthorizationURL,
        ]
        for (index, grant) in grants.enumerated() {
            guard let endpoint = endpoints[grant]?.rawValue, template[endpoint] == nil else { continue }
            throw CatalogueError(
                "the grant \(grant.rawValue) needs the member \"\(endpoint)\"", at: ["grants", String(index)])
        }
    }

    private func checkNames() throws(CatalogueError) {
        let known = variables.map(\.name) + ["token", "endpoint"]
        for (name, value) in template.sorted(by: { $0.key < $1.key }) {
            try value.checkNames(known, at: [name])
        }
    }
}

extension JSONValue {
    fileprivate func checkNames(_ known: [String], at path: [String]) throws(CatalogueError) {
        switch self {
        case .string(let text):
            for match in text.matches(of: /\{([A-Za-z_][A-Za-z0-9_-]*)\}/) where !known.contains(String(match.1)) {
                throw CatalogueError("\(match.0) stands for nothing: there is no variable of this name", at: path)
            }
        case .array(let elements):
            for (index, element) in elements.enumerated() { try element.checkNames(known, at: path + [String(index)]) }
        case .object(let members):
            for (name, member) in members.sorted(by: { $0.key < $1.key }) { try member.checkNames(known, at: path + [name]) }
        case .null, .bool, .integer, .number: break
        }
    }
}
