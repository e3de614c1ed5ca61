import AgentProtocol
import Credentials
import HTTPTypes
import OAuth
import TokenEngine

/// Says of each request where it went and how it ended: the address without its query, in which some services want secrets.
struct VerboseTransport: HTTPTransport {
    /// Says that a process is to tell; its refreshers do, too.
    static let variable = "CLAVIGER_VERBOSE"
    static var isWanted: Bool { Locations.variable(variable) != nil }

    let inner: any HTTPTransport

    func send(_ request: EndpointRequest) async throws(TransportFailure) -> EndpointAnswer {
        let clock = ContinuousClock()
        let start = clock.now
        let path = (request.head.path ?? "/").prefix { $0 != "?" }
        let what = "\(request.head.method.rawValue) \(request.head.scheme ?? "")://\(request.head.authority ?? "")\(path)"
        func tell(_ end: String) {
            let time = (clock.now - start).components
            let milliseconds = time.seconds * 1000 + time.attoseconds / 1_000_000_000_000_000
            Terminal.note(Terminal.plain("\(what): \(end) in \(milliseconds) ms"))
        }
        do throws(TransportFailure) {
            let answer = try await inner.send(request)
            tell("status \(answer.status)")
            return answer
        } catch {
            tell(Problem(describing: error).title)
            throw error
        }
    }
}
