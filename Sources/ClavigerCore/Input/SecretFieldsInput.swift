import AgentProtocol
import Credentials
import OAuth

/// A secret parameter or header as it is written on the command line: its name, and the file that holds its value.
struct SecretFieldFile {
    let name: String
    /// `-` for standard input.
    let path: String

    /// `key=file`.
    static func parameter(_ text: String) throws -> SecretFieldFile {
        guard let equals = text.firstIndex(of: "="), equals > text.startIndex else {
            throw Problem("--param-file takes key=file", .usage)
        }
        return SecretFieldFile(name: String(text[..<equals]), path: String(text[text.index(after: equals)...]))
    }

    /// `name: file`.
    static func header(_ text: String) throws -> SecretFieldFile {
        guard let colon = text.firstIndex(of: ":") else { throw Problem("--header-file takes 'name: file'", .usage) }
        let name = String(text[..<colon])
        guard HeaderRules.isName(name) else {
            throw Problem("--header-file has characters that no header may have", .usage)
        }
        return SecretFieldFile(name: name, path: String(text[text.index(after: colon)...].drop { $0 == " " }))
    }

    fileprivate func read(_ kind: String) throws -> SecretField {
        SecretField(name, try SecretInput.file(path, what: "value of the \(kind) \(PlainText.quoted(name))"))
    }
}

extension SettingsOptions {
    /// How many there may be of each. Every secret takes a place in the credential's record, which its tokens need as well.
    private static let limit = 16

    /// The files that secret parameters and headers are read from.
    var secretFiles: [String] {
        get throws {
            try (paramFile.map(SecretFieldFile.parameter) + headerFile.map(SecretFieldFile.header)).map(\.path)
        }
    }

    /// Reads the values of the secret parameters and headers that were given.
    func secretFields() throws -> SecretFields {
        SecretFields(
            parameters: try paramFile.map { try SecretFieldFile.parameter($0).read("parameter") },
            headers: try headerFile.map { try SecretFieldFile.header($0).read("header") })
    }

    /// Writes the parameters and headers that were given over those that are there, and the names of the secret ones.
    func applyFields(to settings: inout ClientSettings) throws {
        try Self.apply(
            param.map(SettingInput.parameter), paramFile.map(SecretFieldFile.parameter), option: "--param",
            to: &settings.parameters, &settings.secretParameters
        ) { $0 }
        // RFC 9110 section 5.1: the case of a header's name says nothing.
        try Self.apply(
            header.map(SettingInput.headerField), headerFile.map(SecretFieldFile.header), option: "--header",
            to: &settings.headers, &settings.secretHeaders
        ) { $0.lowercased() }
    }

    /// A list that was given replaces the list. What was given as a secret is not plain any more, and the other way round.
    /// - Parameter key: what is the same for two spellings of one name.
    private static func apply(
        _ plain: [Parameter], _ secret: [SecretFieldFile], option: String, to fields: inout [Parameter],
        _ secretNames: inout [String]?, key: (String) -> String
    ) throws {
        let plainKeys = Set(plain.map { key($0.name) })
        let secretKeys = Set(secret.map { key($0.name) })
        guard secretKeys.count == secret.count else { throw Problem("\(option)-file gives one name twice", .usage) }
        guard secretKeys.isDisjoint(with: plainKeys) else {
            throw Problem("\(option) and \(option)-file give the same name", .usage)
        }
        guard secret.count <= limit else { throw Problem("\(option)-file can be given \(limit) times at most", .usage) }
        if !plain.isEmpty { fields = plain }
        if !secret.isEmpty { secretNames = secret.map(\.name) }
        fields.removeAll { secretKeys.contains(key($0.name)) }
        secretNames?.removeAll { plainKeys.contains(key($0)) }
        if secretNames?.isEmpty == true { secretNames = nil }
    }
}

extension SecretFields {
    /// With what a provider's settings name besides, and nobody has given: it is asked for.
    /// - Parameter credential: the name of the one that it is for.
    /// - Throws: a problem that names the option, where there is no terminal.
    func askingForOthers(of settings: ClientSettings, for credential: String) throws -> SecretFields {
        var all = self
        all.parameters += try Self.asked(settings.secretParameters, parameters, "parameter", "--param-file %=FILE", credential)
        all.headers += try Self.asked(settings.secretHeaders, headers, "header", "--header-file '%: FILE'", credential)
        return all
    }

    private static func asked(
        _ names: [String]?, _ given: [SecretField], _ kind: String, _ option: String, _ credential: String
    ) throws -> [SecretField] {
        try (names ?? []).filter { name in !given.contains { $0.name.utf8.elementsEqual(name.utf8) } }.map { name in
            let what = "value of the \(kind) \(PlainText.quoted(name))"
            let missing = Problem(
                "no \(what) was given, and there is no terminal to ask for it",
                hint: .text("use \(option.replacing("%", with: Terminal.plain(name)))"), .usage)
            let question = "\(what) for \(Terminal.plain(credential)), not shown: "
            return SecretField(name, try Terminal.promptSecret(question, madeElsewhere: what, otherwise: missing))
        }
    }
}
