import Agent
import Credentials
import AgentProtocol
import ArgumentParser
import FoundationEssentials
import TokenEngine

struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Show everything at a glance: the agent, the tokens, the key pairs, and what needs a person.")

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var vaultOptions: VaultOptions

    func run() async throws {
        let agent = try await agentStatus()
        let path =
            try Session(vaultOptions).isVaultNamed
            ? Session(vaultOptions).absoluteVaultPath() : agent?.vault ?? Session(vaultOptions).absoluteVaultPath()
        if !json { try Terminal.output(Report.table(overview(agent, path) + machineRow(agent))) }
        let all = try await Session(vaultOptions).withTokenAgent { try await $0.list() }
        let now = Date()
        let needs = Self.needs(all, now, agent?.vault == path ? agent?.failures ?? [] : [])
        if json {
            try Terminal.output(Report.json(Document(agent: agent, credentials: all, needs: needs, now: now)))
        } else {
            try show(all, needs, now)
        }
        try ListedReport.refuseDamaged(all)
    }

    private func show(_ all: [ListedCredential], _ needs: [ToDo], _ now: Date) throws {
        guard !all.isEmpty else { return ListedReport.noteNone(Session(vaultOptions)) }
        let rows = all.map { ListedReport($0, now: now) }.map { credential in
            [Terminal.plain(credential.name), credential.state, credential.token, credential.keyPairAge]
        }
        try Terminal.output("\n" + Report.table([["NAME", "STATE", "TOKEN", "KEY PAIR AGE"]] + rows))
        guard !needs.isEmpty else { return }
        try Terminal.output(
            "\nTo do:\n" + needs.map { "  \(Terminal.plain($0.credential)): \(Terminal.plain($0.what))" }.joined(separator: "\n"))
    }

    /// Nil where none runs.
    private func agentStatus() async throws -> AgentStatus? {
        do {
            return try await Session.agent().status()
        } catch AgentSocket.Failure.nobody {
            return nil
        }
    }

    private func overview(_ agent: AgentStatus?, _ vault: String) -> [[String]] {
        guard let agent else { return [["vault", Terminal.plain(vault)], ["agent", "none runs"]] }
        var words = agent.locked ? "locked; claviger unlock opens its vault" : "unlocked"
        if let locksAt = agent.locksAt { words += ", locks at \(Report.time(locksAt))" }
        if agent.vault != vault { words = "serves \(Terminal.plain(agent.vault))" }
        return [
            ["vault", Terminal.plain(vault)], ["agent", words + " (process \(agent.pid), since \(Report.time(agent.since)))"],
        ]
    }

    /// A second agent that there is, besides one's own.
    private func machineRow(_ agent: AgentStatus?) -> [[String]] {
        guard Locations.isShared, !Locations.namesSystemVault, agent?.vault != Locations.systemVault else { return [] }
        return [["this machine's", "an agent of \(MachineVault.keeper); --system asks it"]]
    }

    struct ToDo: Encodable {
        var credential: String
        var what: String

        init(credential: String, what: String) { (self.credential, self.what) = (credential, what) }

        init(unreadable name: String, _ reason: UnreadableRecord) {
            credential = name
            what =
                switch reason {
                case .newer: "a newer claviger has written it, and only one as new can use it"
                case .damaged: "its record is damaged; claviger show \(Hint.shellWord(name)) says how"
                }
        }
    }

    /// What does not mend itself, or has not yet.
    private static func needs(_ all: [ListedCredential], _ now: Date, _ failures: [RefreshFailure]) -> [ToDo] {
        var needs: [ToDo] = []
        for listed in all {
            let name = listed.name
            switch listed {
            case .readable(let view):
                if let what = Self.unblocking(view) ?? Self.remedy(view.state(at: now).state, name) {
                    needs.append(ToDo(credential: name, what: what))
                } else if let end = view.loginEnd(soonAt: now) {
                    needs.append(ToDo(credential: name, what: "its login ends at \(Report.time(end)): claviger login \(name)"))
                } else if let end = view.keyPairEnd(soonAt: now) {
                    let way = view.registrationURL == nil ? "" : " --via-registration"
                    needs.append(
                        ToDo(
                            credential: name,
                            what: "its key pair ends at \(Report.time(end)): claviger rotate \(name)\(way)"))
                } else if let end = view.idleEnd(soonAt: now) {
                    needs.append(
                        ToDo(
                            credential: name,
                            what: "its login ends at \(Report.time(end)) if it is not used: claviger check \(name)"))
                }
            case .offered(let offered):
                guard ![.ready, .rotationUnfinished, .beingRotated].contains(offered.state) else { continue }
                let reason = offered.reason.map { " (\($0))" } ?? ""
                let state = Report.state(offered.state, blockedSince: offered.since) + reason
                needs.append(ToDo(credential: name, what: "\(state); \(offered.keeper) can mend it"))
            case .unreadable(_, let reason): needs.append(ToDo(unreadable: name, reason))
            }
        }
        let known = Set(needs.map(\.credential))
        for failure in failures where !known.contains(failure.credential) {
            let hint = failure.hint.map { "; \($0)" } ?? ""
            needs.append(
                ToDo(credential: failure.credential, what: "\(failure.title), since \(Report.time(failure.since))\(hint)"))
        }
        return needs
    }

    private static func unblocking(_ view: CredentialView) -> String? {
        guard let since = view.blockedSince else { return nil }
        let (reason, name) = (view.blockedReason.map { " (\($0))" } ?? "", Hint.shellWord(view.name))
        return "blocked since \(Report.time(since))\(reason); make its key pair anew, claviger rotate \(name), then "
            + "claviger unblock \(name)"
    }

    private static func remedy(_ state: CredentialState, _ name: String) -> String? {
        let name = Hint.shellWord(name)
        return switch state {
        // What is blocked has its own words.
        case .ready, .blocked, .beingRotated: nil
        case .keyPairRefused: "the server refuses the key pair; make a new one, and claviger rotate \(name)"
        case .rotationUnfinished: "a new key pair is not proven yet; claviger rotate \(name) --resume"
        case .refreshRefused: "the server refuses to renew the login and does not say why; claviger login \(name)"
        case .loginNeeded: "somebody has to log in; claviger login \(name)"
        }
    }

    private struct Document: Encodable {
        struct AgentMember: Encodable {
            var locked: Bool
            var vault: String
            var pid: Int32
            var since: String
            var locksAt: String?

            enum CodingKeys: String, CodingKey {
                case locked, vault, pid, since
                case locksAt = "locks_at"
            }
        }

        var agent: AgentMember?
        var credentials: [ListedReport]
        var needs: [ToDo]

        enum CodingKeys: String, CodingKey {
            case agent, credentials
            case needs = "to_do"
        }

        init(agent: AgentStatus?, credentials: [ListedCredential], needs: [ToDo], now: Date) {
            self.agent = agent.map {
                AgentMember(
                    locked: $0.locked, vault: $0.vault, pid: $0.pid, since: Report.time($0.since),
                    locksAt: $0.locksAt.map(Report.time))
            }
            self.credentials = credentials.map { ListedReport($0, now: now) }
            self.needs = needs
        }
    }
}
