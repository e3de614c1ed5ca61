import AgentProtocol
import Credentials
import Glibc
import Linux

/// The vault that a machine has for all its users: it belongs to a user of its own, whose agent serves it.
enum MachineVault {
    /// What `--system` means, before anything is read: the environment names the machine's vault, its agent and its key. Root
    /// becomes the vault's user, so that nothing there is ever root's; for a command of the caller's it stays root, and asks
    /// the agent only.
    /// - Throws: a problem where the machine has no such vault.
    static func enter(_ words: [String]) throws {
        guard !words.contains(where: { $0 == "--vault" || $0.hasPrefix("--vault=") }) else {
            throw Problem("--system and --vault exclude each other", .usage)
        }
        guard Locations.isShared, let keeper = Locations.systemKeeper else { throw Problem.noMachineVault }
        ChildProcess.setVariable("CLAVIGER_VAULT", Locations.systemVault)
        ChildProcess.setVariable("CLAVIGER_SOCKET", Locations.systemSocket)
        let runsCommand = words.contains { $0 == "exec" || $0 == "curl" }
        if geteuid() == 0, keeper != 0, !runsCommand {
            do throws(FileError) {
                try Account.become(keeper)
            } catch {
                throw Problem.system("become the user \(Self.keeper)", error.code)
            }
        }
        guard geteuid() == keeper else { return }
        for name in ["HOME", "XDG_STATE_HOME"] { ChildProcess.setVariable(name, Locations.systemHome) }
        for name in ["XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR"] { ChildProcess.setVariable(name, nil) }
        let key = Locations.systemHome + "/key"
        let opensOtherwise = ["KEY_FILE", "PASSPHRASE_FILE", "PASSPHRASE_COMMAND"].contains {
            Locations.variable("CLAVIGER_" + $0) != nil
        }
        // The first vault is made with a key file, which its agent finds at every start of the machine.
        if !opensOtherwise, Path.exists(key) || !Path.exists(Locations.systemVault) {
            ChildProcess.setVariable("CLAVIGER_KEY_FILE", key)
        }
    }

    /// Whether a path is that of the machine's vault, which its agent alone serves.
    static func isVault(_ path: String) -> Bool { path == Locations.systemVault }

    /// Whether somebody without a vault of theirs is served by the machine's agent, if by anybody.
    static func serves(_ session: Session) -> Bool {
        guard Locations.isShared, let path = try? session.absoluteVaultPath() else { return false }
        if isVault(path) { return geteuid() != Locations.systemKeeper }
        return !session.isVaultNamed && Locations.variable("CLAVIGER_SOCKET") == nil && !Path.exists(path)
    }

    /// The user who keeps it, as a person reads it.
    static var keeper: String { PlainText.of(Locations.systemKeeper.map { Account.name(of: $0) } ?? "root") }

    /// What is told to them of an agent that gives nothing; nil where its own words do.
    static func problem(_ problem: Problem) -> Problem? {
        switch problem.code {
        case .noAgent: .machineAgentIsAway
        case .agentLocked: .machineAgentIsLocked
        default: nil
        }
    }
}

extension Problem {
    static let noMachineVault = Problem(
        "this machine has no vault of its own", hint: "sudo make install-system makes its user and its folder", .noSuchVault)

    /// What somebody is told who would have to open the vault, and has none.
    static var machineVaultIsKept: Problem {
        Problem(
            Locations.namesSystemVault
                ? "the vault of this machine is kept by \(MachineVault.keeper)"
                : "you have no vault of your own, and that of this machine is kept by \(MachineVault.keeper)",
            hint: geteuid() == 0
                ? "claviger --system works on it"
                : .text("ask \(MachineVault.keeper); an administrator runs sudo claviger --system"),
            .ownerOnly)
    }

    static let noAgentOfYours = Problem("no agent of yours runs", hint: "with --system, that of this machine is meant", .noAgent)

    static var machineAgentIsAway: Problem {
        Problem("the agent of this machine does not run", hint: machineHint("systemctl start claviger-agent"), .noAgent)
    }

    static var machineAgentIsLocked: Problem {
        Problem("the agent of this machine is locked", hint: machineHint("claviger --system unlock"), .agentLocked)
    }

    private static func machineHint(_ command: String) -> Hint {
        .text(
            geteuid() == 0 || geteuid() == Locations.systemKeeper
                ? "\(geteuid() == 0 ? "" : "sudo ")\(command)" : "tell \(MachineVault.keeper), who keeps it")
    }
}
