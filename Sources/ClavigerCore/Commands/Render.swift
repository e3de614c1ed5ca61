import AgentProtocol
import ArgumentParser
import Credentials
import FoundationEssentials
import Linux
import Sodium
import TokenEngine
import Vault

struct Render: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "render",
        abstract: "Fill a text's places for tokens: {{ torq.access_token }}.",
        discussion: """
            A place is NAME.MEMBER between braces: access_token, token_type, expires_at, scope, id_token, or a member of the \
            server's answer such as instance_url; {{ $.integrations.NAME.access_token }}, as Torq writes it, is one, too. \
            {{ "{{" }} is a literal. Nothing is written unless every place can be filled.
            """)

    @Argument(help: ArgumentHelp("The text; - for standard input.", valueName: "file|-"), completion: .file())
    var file = "-"

    @Option(
        name: [.customShort("o"), .customLong("output")],
        help: ArgumentHelp("Write to this file, for its owner alone and in one step.", valueName: "file"), completion: .file())
    var output: String?

    @Flag(help: "Go on, and write the file anew before a token ends.")
    var watch = false

    @Flag(help: "Say what would be used, and whether it is there; ask for no token.")
    var check = false

    @Option(help: ArgumentHelp("What it is for: for the log.", valueName: "text"))
    var reason: String?

    @OptionGroup var vaultOptions: VaultOptions

    /// Bytes of a template.
    private static let limit = 16 << 20

    func validate() throws {
        if watch, output == nil { throw ValidationError("--watch needs a file to keep: -o FILE") }
        if watch, file == "-" { throw ValidationError("--watch reads its text again and again, and needs a file") }
        if check, watch || output != nil { throw ValidationError("--check writes nothing: leave --watch and -o out") }
    }

    func run() async throws {
        if check { return try await tell() }
        if watch { return try await keep() }
        _ = try await fill(nil)
    }

    /// - Returns: what was written, and when it should be written again.
    private func fill(_ before: [UInt8]?) async throws -> (bytes: [UInt8], renewal: Date?) {
        let template = try template()
        let values = try await Session(vaultOptions).withTokenAgent(reason: reason) {
            try await TemplateValues(template, from: $0)
        }
        var bytes = template.filled { values.values[$0] ?? "" }
        if let output {
            if bytes != before || !Path.exists(output) { try OutputFile.write(bytes, to: output) }
        } else {
            defer { bytes.wipe() }
            try Terminal.write(bytes, to: 1)
        }
        return (bytes, values.renewal)
    }

    private func template() throws -> Template {
        let bytes = try SecretInput.contents(file, limit: Self.limit, what: "text", isSecret: false)
        do throws(Template.Refusal) {
            return try Template(bytes)
        } catch {
            let place = "\(file == "-" ? "standard input" : Terminal.plain(file)):\(error.place.line):\(error.place.column)"
            throw Problem(
                "\(place): \(error.reason)",
                hint: #"a place is {{ NAME.access_token }}; two braces that are meant are {{ "{{" }}"#,
                .damaged)
        }
    }

    /// Until somebody ends it. What can't be written now is tried again; the file stays, unless its tokens must not be used.
    private func keep() async throws {
        var (written, failures): ([UInt8]?, Int) = (nil, 0)
        while true {
            var pause = 60.0
            do {
                let (bytes, renewal) = try await fill(written)
                if failures > 0 || written == nil { Terminal.note("wrote \(Terminal.plain(output ?? ""))") }
                (written, failures) = (bytes, 0)
                pause = min(pause, max(1, renewal?.timeIntervalSinceNow ?? pause))
            } catch {
                let problem = Problem(describing: error)
                if problem.code == .blocked, let output, Path.exists(output) {
                    Path.remove(output)
                    Terminal.note("removed \(Terminal.plain(output))")
                }
                // At the start, a person is there to read it.
                if written == nil { throw problem }
                if failures == 0 { Terminal.note(Terminal.plain(problem.title)) }
                failures += 1
                pause = min(pause, Double(1 << min(failures, 6)))
            }
            try await Task.sleep(for: .seconds(pause))
        }
    }

    private func tell() async throws {
        let template = try template()
        let all = try await Session(vaultOptions).withTokenAgent { try await $0.list() }
        let states = Dictionary(all.map { ($0.name, ListedReport($0, now: .now).state) }) { $1 }
        var missing: Set<String> = []
        let rows = template.pieces.compactMap { piece -> [String]? in
            guard case .value(let reference, let place) = piece else { return nil }
            if states[reference.name] == nil { missing.insert(reference.name) }
            return [
                "\(place.line):\(place.column)", Terminal.plain(reference.name), reference.member,
                states[reference.name] ?? "NOT THERE",
            ]
        }
        if rows.isEmpty { return Terminal.note("the text has no place for a token") }
        try Terminal.output(Report.table([["PLACE", "CREDENTIAL", "MEMBER", "STATE"]] + rows))
        guard let first = missing.min() else { return }
        throw Problem(describing: VaultError.noSuchCredential(name: first, near: nil))
    }
}
