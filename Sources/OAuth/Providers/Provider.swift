import FoundationEssentials

/// What a person has to say of themselves before a provider's addresses are whole.
public struct ProviderVariable: Codable, Equatable, Sendable {
    public var name: String
    /// What it is, in the words that a person is asked with.
    public var title: String
    public var fallback: String?

    enum CodingKeys: String, CodingKey {
        case name, title
        case fallback = "default"
    }

    /// Whether a value can stand in an address without leading elsewhere: a host with or without a port, or one segment
    /// of a path.
    public static func allows(_ value: String) -> Bool {
        let parts = value.split(separator: ":", omittingEmptySubsequences: false)
        let word = parts[0]
        guard parts.count <= 2, word.first.map({ $0 != "." && $0 != "-" }) ?? false else { return false }
        let isWord = word.utf8.allSatisfy { byte in
            UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte || UInt8(ascii: "A")...UInt8(ascii: "Z") ~= byte
                || UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte
                || [UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_")].contains(byte)
        }
        return isWord && (parts.count == 1 || UInt16(parts[1]) != nil)
    }
}

/// What is known about a service: data, not code. Its JSON is one object with the members of `ClientSettings`, in whose texts
/// `{NAME}` stands for a variable, and with what people should know.
public struct Provider: Equatable, Sendable {
    /// What people should know.
    struct Facts: Codable, Equatable, Sendable {
        var name: String
        var title: String
        var documentation: String?
        var keysPage: String?
        var permissionsPage: String?
        var variables: [ProviderVariable]?
        var grants: [GrantType]
        var newSecretRevokesOld: Bool?
        var notes: [String]?
        var sources: [String]?

        enum CodingKeys: String, CodingKey, CaseIterable {
            case name, title, documentation, variables, grants, notes, sources
            case keysPage = "keys_page"
            case permissionsPage = "permissions_page"
            case newSecretRevokesOld = "old_pair_dies_at_once"
        }
    }

    private var facts: Facts
    /// Members of `ClientSettings`, before the variables are filled in.
    private(set) var template: [String: JSONValue]

    /// What `--provider` is given.
    public var name: String { facts.name }
    public var title: String { facts.title }
    /// The page of the service's own documentation that says so.
    public var documentation: String? { facts.documentation }
    /// Where a person makes and regenerates the key pair.
    public var keysPage: String? { facts.keysPage }
    /// Where a person ends what was granted, so that the next consent returns a refresh token again.
    public var permissionsPage: String? { facts.permissionsPage }
    /// What its texts leave open.
    public var variables: [ProviderVariable] { facts.variables ?? [] }
    public var grants: [GrantType] { facts.grants }
    /// Whether a new key pair kills the old one the moment it is made.
    public var newSecretRevokesOld: Bool { facts.newSecretRevokesOld == true }
    public var notes: [String] { facts.notes ?? [] }
    /// What its members were compared with.
    public var sources: [String] { facts.sources ?? [] }

    /// The settings of a new credential of this provider.
    /// - Parameter values: of the variables, by name; the fallback stands in for what is missing.
    /// - Throws: `CatalogueError` if one is missing or could lead elsewhere, or a member is not what it should be.
    public func settings(_ values: [String: String] = [:]) throws(CatalogueError) -> ClientSettings {
        let values = try complete(values)
        guard template["token_url"] != nil else { throw CatalogueError("the member \"token_url\" is missing", at: []) }
        var members: [String: JSONValue] = [
            "grant": .string((grants.first ?? .clientCredentials).rawValue), "client_authentication": .string("basic"),
            "placement": .string("body"),
        ]
        for name in ["scopes", "audiences", "resources", "parameters", "headers"] { members[name] = .array([]) }
        members.merge(template.mapValues { $0.filled(values) }) { $1 }
        do {
            return try JSONDecoder().decode(ClientSettings.self, from: Data(JSONValue.object(members).encoded().utf8))
        } catch {
            throw CatalogueError(error)
        }
    }

    private func complete(_ values: [String: String]) throws(CatalogueError) -> [String: String] {
        let known = variables.map(\.name)
        if let unknown = values.keys.filter({ !known.contains($0) }).min() {
            let there = known.isEmpty ? "there is none" : "there is \(known.joined(separator: ", "))"
            throw CatalogueError("it has no variable \(unknown.debugDescription); \(there)", at: [])
        }
        var all = values
        for variable in variables {
            guard let value = values[variable.name] ?? variable.fallback else {
                throw CatalogueError("\(variable.name) is missing: \(variable.title)", at: [])
            }
            guard ProviderVariable.allows(value) else {
                throw CatalogueError("\(variable.name) must be one word or a host: \(variable.title)", at: [])
            }
            all[variable.name] = value
        }
        return all
    }
}

extension Provider: Codable {
    public init(from decoder: any Decoder) throws {
        facts = try Facts(from: decoder)
        template = Self.renamed(try [String: JSONValue](from: decoder), "params_in", to: "placement")
        for key in Facts.CodingKeys.allCases { template[key.rawValue] = nil }
    }

    public func encode(to encoder: any Encoder) throws {
        try facts.encode(to: encoder)
        // Under both names, for those who read the one from before.
        try Self.renamed(template, "placement", to: "params_in").merging(template) { new, old in
            guard let new = new.object, let old = old.object else { return new }
            return .object(new.merging(old) { $1 })
        }.encode(to: encoder)
    }

    /// Where parameters go is `params_in` in a provider file, as it is everywhere else for people, and was `placement` before; the
    /// vault has it under that name.
    private static func renamed(_ members: [String: JSONValue], _ old: String, to new: String) -> [String: JSONValue] {
        var members = members
        if let value = members.removeValue(forKey: old) { members[new] = value }
        if let refresh = members["refresh"]?.object, refresh[old] != nil {
            members["refresh"] = .object(renamed(refresh, old, to: new))
        }
        return members
    }

    /// Reads a provider, and whether each of its members is one.
    /// - Throws: `CatalogueError`.
    init(json: [UInt8]) throws(CatalogueError) {
        guard let object = JSONValue(parsing: json)?.object else { throw CatalogueError("it is no JSON object", at: []) }
        for (part, path) in [(object, []), (object["refresh"]?.object ?? [:], ["refresh"])] {
            if let new = part["params_in"], let old = part["placement"], new != old {
                throw CatalogueError("the members \"params_in\" and \"placement\" are the same", at: path + ["placement"])
            }
        }
        try Self.refuseUnknown(object, Set(Facts.CodingKeys.allCases.map(\.rawValue)).union(Self.settings), at: [])
        try Self.refuseUnknown(
            object["refresh"]?.object, Set(RefreshFormat.CodingKeys.allCases.map(\.rawValue) + ["params_in"]), at: ["refresh"])
        try Self.refuseUnknown(object["answer"]?.object, Set(AnswerFormat.CodingKeys.allCases.map(\.rawValue)), at: ["answer"])
        try Self.refuseUnknown(
            object["assertion"]?.object, Set(AssertionSettings.CodingKeys.allCases.map(\.rawValue)), at: ["assertion"])
        do {
            self = try JSONDecoder().decode(Provider.self, from: Data(json))
        } catch {
            throw CatalogueError(error)
        }
        guard !name.isEmpty, !grants.isEmpty else { throw CatalogueError("a name and at least one grant are needed", at: []) }
        guard !variables.contains(where: { $0.name == "token" }) else {
            throw CatalogueError("no variable can be called token: {token} stands for a token", at: ["variables"])
        }
        guard !variables.contains(where: { "{\($0.name)}" == AssertionSettings.toEndpoint }) else {
            throw CatalogueError("no variable can be called endpoint: {endpoint} stands for an address", at: ["variables"])
        }
        // Any word shows whether the addresses are whole once their variables are filled in.
        _ = try settings(Dictionary(variables.map { ($0.name, $0.fallback ?? "example") }) { $1 })
    }

    /// The members of `ClientSettings` that a provider may have.
    private static var settings: Set<String> {
        Set(ClientSettings.CodingKeys.allCases.map(\.rawValue) + ["params_in"]).subtracting(["grant"])
    }

    private static func refuseUnknown(
        _ object: [String: JSONValue]?, _ known: Set<String>, at path: [String]
    ) throws(CatalogueError) {
        if let unknown = object?.keys.filter({ !known.contains($0) }).min() {
            let name = (path + [unknown]).joined(separator: ".")
            throw CatalogueError("the member \(name.debugDescription) is unknown", at: path + [unknown])
        }
    }
}

extension JSONValue {
    /// With the values of variables in the place of their names.
    fileprivate func filled(_ values: [String: String]) -> JSONValue {
        switch self {
        case .string(let text): .string(values.reduce(text) { $0.replacing("{\($1.key)}", with: $1.value) })
        case .array(let elements): .array(elements.map { $0.filled(values) })
        case .object(let members): .object(members.mapValues { $0.filled(values) })
        case .null, .bool, .integer, .number: self
        }
    }
}
