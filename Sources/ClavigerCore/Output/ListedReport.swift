import AgentProtocol
import Credentials
import FoundationEssentials

/// A credential in a list, as a row of a table and in the form of `--json`. One that can't be read has a name and a state.
struct ListedReport: Encodable {
    let name: String
    let state: String
    /// Nil if the record can't be read.
    let report: CredentialReport?

    private enum CodingKeys: String, CodingKey {
        case name, state
    }

    init(_ listed: ListedCredential, now: Date) {
        name = listed.name
        switch listed {
        case .readable(let view):
            let report = CredentialReport(view, now: now)
            (state, self.report) = (report.readiness.rawValue, report)
        case .unreadable(_, let reason): (state, report) = (reason.rawValue, nil)
        }
    }

    func encode(to encoder: any Encoder) throws {
        if let report { return try report.encode(to: encoder) }
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(name, forKey: .name)
        try container.encode(state, forKey: .state)
    }

    /// A list that has been shown as far as it can be read is no success if a record of it is damaged.
    static func refuseDamaged(_ all: [ListedCredential]) throws {
        let damaged = all.filter { if case .unreadable(_, .damaged) = $0 { true } else { false } }.map(\.name)
        if !damaged.isEmpty { throw Problem.damagedRecords(damaged) }
    }
}
