import Agent
import ArgumentParser

struct Revoke: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Revoke the tokens of a credential at the server, and forget them.",
        discussion: """
            Where the server has no revocation endpoint (RFC 7009), the tokens are forgotten here, and it is said until \
            when they stay valid. The key pair stays: claviger remove takes it out of the vault.
            """)

    @Argument(help: "The credential.")
    var name: String

    @Flag(help: "Print what was done as JSON.")
    var json = false

    @OptionGroup var global: GlobalOptions

    private struct Document: Encodable {
        var revoked: Int
        var forgotten: Int
        var validUntil: String?

        enum CodingKeys: String, CodingKey {
            case revoked, forgotten
            case validUntil = "valid_until"
        }
    }

    func run() async throws {
        let report = try await naming(name) { try await global.withAgent { try await $0.revoke(name) } }
        if json {
            let document = Document(
                revoked: report.revoked, forgotten: report.forgotten, validUntil: report.validUntil.map(Report.time))
            return try Terminal.output(Report.json(document))
        }
        Terminal.note(words(report))
    }

    private func words(_ report: RevocationReport) -> String {
        if report.revoked + report.forgotten == 0, !report.endedLogin { return "there was no valid token to revoke" }
        var parts = report.endedLogin ? ["ended the login at the server"] : []
        if report.revoked > 0 { parts.append("revoked \(report.revoked) token\(report.revoked == 1 ? "" : "s") at the server") }
        if report.forgotten > 0 {
            let until = report.validUntil.map { "until \(Report.time($0))" } ?? "for as long as the server likes"
            parts.append(
                "forgot \(report.forgotten) token\(report.forgotten == 1 ? "" : "s"), which the server has no way to revoke: "
                    + "whoever has a copy can use it \(until)")
        }
        return parts.joined(separator: "; ")
    }
}
