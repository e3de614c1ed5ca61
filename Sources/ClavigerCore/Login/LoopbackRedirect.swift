import AgentProtocol
import OAuth

/// Where on this machine the browser comes back to (RFC 8252 section 7.3).
struct LoopbackRedirect {
    /// As it stands in the registered address.
    let host: String
    /// 0 for any free one.
    let port: Int
    let path: String
    /// What follows host and port in the address, byte for byte as it is registered.
    private let target: String

    /// - Returns: nil where the registered address is one that we can't listen on: another machine's, another scheme's,
    ///   or https, for which no certificate could be trusted.
    /// - Throws: a problem where `--port` is not the registered one.
    init?(registered: String?, port: Int?) throws {
        guard let registered else {
            self.init(host: "127.0.0.1", port: port ?? 0, path: "/callback", target: "/callback")
            return
        }
        guard let url = try? EndpointURL(registered), url.scheme == "http",
            ["127.0.0.1", "localhost", "::1"].contains(url.host)
        else { return nil }
        if let fixed = url.port, let port, port != fixed {
            throw Problem("the registered redirect address has the port \(fixed)", hint: "leave --port out", .usage)
        }
        let target = registered.dropFirst("http://".count).drop { !"/?".contains($0) }
        self.init(host: url.host, port: url.port ?? port ?? 0, path: url.path, target: String(target))
    }

    private init(host: String, port: Int, path: String, target: String) {
        self.host = host
        self.port = port
        self.path = path
        self.target = target
    }

    /// The addresses to listen on: both families for a name that may mean either.
    var addresses: [String] {
        switch host {
        case "127.0.0.1": ["127.0.0.1"]
        case "localhost": ["127.0.0.1", "::1"]
        default: ["::1"]
        }
    }

    /// The address to register with this request.
    func uri(port: Int) -> String {
        "http://\(host == "::1" ? "[::1]" : host):\(port)\(target)"
    }
}
