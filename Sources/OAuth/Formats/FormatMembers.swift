import FoundationEssentials

/// Formats as people write them on a command line: a member and its value, with the names of a provider file.
extension AnswerFormat {
    /// - Parameter members: a list of words has its name once for each word.
    /// - Throws: `CatalogueError`, which names the member.
    public init(members: [Parameter]) throws(CatalogueError) {
        let lists: [CodingKeys] = [.loginEnded, .clientRefused, .tryAgain]
        var object: [String: JSONValue] = [:]
        for member in members {
            guard let key = CodingKeys(stringValue: member.name) else {
                throw .unknown(member.name, CodingKeys.allCases.map(\.stringValue))
            }
            let value = JSONValue.string(member.value)
            guard lists.contains(key) else {
                object[member.name] = value
                continue
            }
            guard case .array(let words) = object[member.name] else {
                object[member.name] = .array([value])
                continue
            }
            object[member.name] = .array(words + [value])
        }
        self = try .init(object: object, at: "answer")
    }
}

extension RefreshFormat {
    /// - Parameter members: a parameter has the name `parameters.NAME`, the server's name of one `parameter_names.NAME`.
    /// - Throws: `CatalogueError`, which names the member.
    public init(members: [Parameter]) throws(CatalogueError) {
        var object: [String: JSONValue] = [:]
        for member in members {
            let parts = member.name.split(separator: ".", maxSplits: 1).map(String.init)
            let value = JSONValue.string(member.value)
            switch (CodingKeys(stringValue: parts.first ?? ""), parts.dropFirst().first) {
            case (.parameters, let name?):
                guard case .array(let others) = object["parameters"] ?? .array([]) else { continue }
                object["parameters"] = .array(others + [.object(["name": .string(name), "value": value])])
            case (.parameterNames, let name?):
                object["parameter_names"] = .object((object["parameter_names"]?.object ?? [:]).merging([name: value]) { $1 })
            case (.scopes, nil): object["scopes"] = ["true": JSONValue.bool(true), "false": .bool(false)][member.value] ?? value
            case (.url, nil), (.method, nil), (.placement, nil), (.clientAuthentication, nil): object[member.name] = value
            default:
                throw .unknown(
                    member.name,
                    CodingKeys.allCases.map { [.parameters, .parameterNames].contains($0) ? $0.rawValue + ".NAME" : $0.rawValue })
            }
        }
        self = try .init(object: object, at: "refresh")
    }
}

extension CatalogueError {
    fileprivate static func unknown(_ name: String, _ known: [String]) -> CatalogueError {
        CatalogueError("there is no member \(name.debugDescription); there are \(known.joined(separator: ", "))", at: [name])
    }
}

extension Decodable {
    fileprivate init(object: [String: JSONValue], at path: String) throws(CatalogueError) {
        do {
            let document = JSONValue.object([path: .object(object)]).encoded()
            self = try JSONDecoder().decode([String: Self].self, from: Data(document.utf8))[path]!
        } catch {
            throw CatalogueError(error)
        }
    }
}
