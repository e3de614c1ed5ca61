import AgentProtocol
import Linux

/// The options that every command takes, as they stand among a command's words. They are about the whole process, and obeyed
/// before anything else is read.
struct CommonWords {
    let isSystem: Bool
    let isQuiet: Bool
    let isVerbose: Bool
    let socket: String?
    /// The words that are claviger's own, and no other program's.
    let own: [String]

    static let flags = ["--system", "--quiet", "-q", "--verbose", "-v"]

    /// - Parameter words: of the command line, without the program's name.
    init(_ words: [String]) {
        var own = Array(words.prefix { $0 != "--" })
        // What stands behind the address is curl's.
        if own.contains("curl"), let address = own.firstIndex(where: { $0.contains("://") }) { own = Array(own[...address]) }
        self.own = own
        isSystem = own.contains("--system")
        isQuiet = own.contains("--quiet") || own.contains("-q")
        isVerbose = own.contains("--verbose") || own.contains("-v")
        if let index = own.firstIndex(of: "--socket"), index + 1 < own.count {
            socket = own[index + 1]
        } else {
            socket = own.first { $0.hasPrefix("--socket=") }.map { String($0.dropFirst("--socket=".count)) }
        }
    }

    /// - Throws: a problem for what can't be together.
    func obey() throws {
        Terminal.isQuiet = isQuiet
        if isVerbose { ChildProcess.setVariable(ExchangeWords.variable, "1") }
        if let socket {
            if isSystem { throw Problem("--system and --socket exclude each other", .usage) }
            guard Locations.isAbsolute(socket) else { throw Problem("--socket takes an absolute path", .usage) }
            ChildProcess.setVariable("CLAVIGER_SOCKET", socket)
        }
        if isSystem { try MachineVault.enter(own) }
    }
}
