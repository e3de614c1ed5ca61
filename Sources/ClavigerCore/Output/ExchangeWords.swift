import AgentProtocol
import Credentials
import HTTP

/// What `--verbose` says of each request to a server.
enum ExchangeWords {
    /// Says that a process is to tell; its refreshers do, too.
    static let variable = "CLAVIGER_VERBOSE"
    static var areWanted: Bool { Locations.variable(variable) != nil }

    static func tell(_ exchange: HTTPClientTransport.Exchange) {
        let end =
            switch exchange.end {
            case .success(let status): "status \(status)"
            case .failure(let failure): Problem(describing: failure).title
            }
        let time = exchange.time.components
        let milliseconds = time.seconds * 1000 + time.attoseconds / 1_000_000_000_000_000
        Terminal.note(Terminal.plain("\(exchange.method) \(exchange.address): \(end), after \(milliseconds) ms"))
    }
}
