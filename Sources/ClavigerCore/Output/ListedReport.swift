import AgentProtocol
import Credentials
import FoundationEssentials
import OAuth

/// A credential in a list, as cells of a table and in the form of `--json`: as much of it as the caller may see.
struct ListedReport: Encodable {
    let name: String
    /// With a time, if it is blocked.
    let state: String
    /// The service, as far as it is known.
    let server: String
    let keyPairAge: String
    let token: String
    private let json: any Encodable

    private struct Unreadable: Encodable {
        let name: String
        let state: String
    }

    init(_ listed: ListedCredential, now: Date) {
        name = listed.name
        switch listed {
        case .readable(let view):
            let report = CredentialReport(view, now: now)
            (state, token, keyPairAge) = (report.stateWords, report.tokenWords, report.keyPairAge)
            server = view.provider ?? view.settings.tokenURL.host
            json = report
        case .offered(let offered):
            let report = OfferedReport(offered: offered, now: now)
            state = Report.state(offered.state, blockedSince: offered.since)
            (token, keyPairAge) = (report.tokenWords, "-")
            server = offered.apiURL?.host ?? "-"
            json = report
        case .unreadable(let name, let reason):
            (state, token, keyPairAge, server) = (reason.rawValue, "-", "-", "-")
            json = Unreadable(name: name, state: reason.rawValue)
        }
    }

    /// What is said where there is nothing to list.
    static func noteNone(_ session: Session) {
        Terminal.note(
            MachineVault.serves(session)
                ? "nothing in the vault of this machine is allowed to you: ask \(MachineVault.keeper), who keeps it"
                : "the vault is empty; claviger add stores a credential")
    }

    func encode(to encoder: any Encoder) throws { try json.encode(to: encoder) }

    /// A list that has been shown as far as it can be read is no success if a record of it is damaged.
    static func refuseDamaged(_ all: [ListedCredential]) throws {
        let damaged = all.filter { if case .unreadable(_, .damaged) = $0 { true } else { false } }.map(\.name)
        if !damaged.isEmpty { throw Problem.damagedRecords(damaged) }
    }
}
