import Access
import AgentProtocol
import ArgumentParser
import Credentials
import FoundationEssentials
import Glibc
import Sodium
import Vault

struct KeyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "key",
        abstract: "List, add and remove the passphrases and key files that open the vault.",
        subcommands: [ListKeys.self, AddKey.self, RemoveKey.self, Passwd.self])

    struct ListKeys: ParsableCommand {
        static let configuration = CommandConfiguration(commandName: "list", abstract: "List what opens the vault.")

        @Flag(help: "Print JSON.")
        var json = false

        @OptionGroup var vaultOptions: VaultOptions

        func run() throws {
            let slots = try Session(vaultOptions).unlock().keySlots()
            if json { return try Terminal.output(Report.json(slots.map(SlotReport.init))) }
            let rows = slots.map { slot in
                [
                    slot.id.prefix(8).description, slot.kind.words,
                    slot.created.map { Report.time(Date(timeIntervalSince1970: Double($0))) } ?? "unknown",
                    Terminal.plain(slot.label),
                ]
            }
            try Terminal.output(Report.table([["ID", "KIND", "SINCE", "LABEL"]] + rows))
        }
    }

    struct AddKey: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "add",
            abstract: "Let another passphrase or key file open the vault.",
            discussion: """
                The vault is opened with one of its keys first. The new passphrase is asked for twice, unless it comes from \
                --new-passphrase-file.
                """)

        @OptionGroup var new: NewKeyOptions

        @Option(help: ArgumentHelp("What the list calls it.", valueName: "text"))
        var label: String?

        @OptionGroup var vaultOptions: VaultOptions

        func run() throws {
            let (vault, key) = try Session(vaultOptions).unlockWithKey()
            let (added, kind) = try new.key(Session(vaultOptions))
            guard try vault.keySlots(openedBy: added).isEmpty else {
                throw Problem("this \(kind) opens the vault already", .usage)
            }
            try Session(vaultOptions).record(.keyAdd, in: vault) { log in
                try vault.addKey(added, label: label ?? kind, with: key) { $0.seal(log) }
            }
            Terminal.note("the vault opens with the new \(kind), too")
        }
    }

    struct RemoveKey: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "remove",
            abstract: "Let a passphrase or key file open the vault no longer.",
            discussion: """
                The vault has to be opened with another of its keys. Who had the removed one and a copy of the vault's file \
                can still open that copy, and what the copy's key opens: see claviger-security(7).
                """)

        @Argument(help: "The key's id, or how that begins.")
        var id: String

        @OptionGroup var vaultOptions: VaultOptions

        func run() throws {
            let (vault, key) = try Session(vaultOptions).unlockWithKey()
            try Session(vaultOptions).record(.keyRemove, in: vault) { log in
                try vault.removeKey(id, with: key) { $0.seal(log) }
            }
            Terminal.note("the vault does not open with it any more; an agent that has it open goes on until it is locked")
        }
    }
}

private struct SlotReport: Encodable {
    var id: String
    var kind: String
    var since: String?
    var label: String

    init(_ slot: KeySlot) {
        id = slot.id
        kind = slot.kind.words.replacing(" ", with: "_")
        since = slot.created.map { Report.time(Date(timeIntervalSince1970: Double($0))) }
        label = slot.label
    }
}

extension SlotKind {
    var words: String {
        switch self {
        case .passphrase: "passphrase"
        case .keyFile: "key file"
        case .recipient: "recipient"
        }
    }
}
