import Foundation
import TestSupport
import Testing

/// There is one place that sends token requests, so that there is one place that spends refresh tokens.
@Suite struct TransportCallersTests {
    /// Every Swift file of the project, by its path in `Sources`, without its comments.
    private func sources() throws -> [String: String] {
        let root = URL(fileURLWithPath: Program.root).appendingPathComponent("Sources")
        let paths = try #require(FileManager.default.enumerator(atPath: root.path)).compactMap { $0 as? String }
        let files = paths.filter { $0.hasSuffix(".swift") }
        try #require(files.count > 100, "the sources are not where they were")
        return try Dictionary(
            uniqueKeysWithValues: files.map { path in
                (path, Self.code(try String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)))
            })
    }

    private static func code(_ text: String) -> String { text.replacing(#/\/\/[^\n]*/#, with: "") }

    /// How often this code sends with a transport, whatever it calls it.
    private static func sendings(_ code: String) -> Int {
        let declared = code.matches(of: #/(\w+)\s*:\s*(?:borrowing |consuming )?(?:any |some )?HTTP(?:Client)?Transport\b/#)
        let made = code.matches(of: #/(\w+) = HTTPClientTransport\(/#)
        let given = code.matches(of: #/withTransport\s*\{\s*(?:\[[^\]]*\]\s*)?(\w+)/#)
        let names = Set((declared.map(\.1) + made.map(\.1) + given.map(\.1)).map(String.init)).union(["transport"])
        return code.matches(of: #/(\w+)\??\s*\.send\b/#).filter { names.contains(String($0.1)) }.count
            + code.matches(of: #/HTTPClientTransport\([^\n]*\)\.send\b/#).count
    }

    private static func files(_ sources: [String: String], _ isWanted: (String) -> Bool) -> [String] {
        sources.filter { isWanted($0.value) }.keys.sorted()
    }

    @Test func `token requests and endpoint requests are sent from one place each`() throws {
        let found = try sources().mapValues(Self.sendings).filter { $0.value > 0 }
        #expect(found == ["TokenEngine/EndpointClient.swift": 1, "TokenEngine/TokenRequests.swift": 1])
    }

    @Test func `there is one transport`() throws {
        let found = Self.files(try sources()) {
            $0.contains(#/(class|struct|enum|actor|extension) [^{]*: [^{]*\bHTTPTransport\b/#)
        }
        #expect(found == ["HTTP/Client/HTTPClientTransport.swift"])
    }

    @Test func `the driver alone sends token requests`() throws {
        let found = Self.files(try sources()) { $0.contains(#/\bTokenRequests\b/#) }
        #expect(found == ["TokenEngine/TokenDriver.swift", "TokenEngine/TokenRequests.swift"])
    }

    @Test(arguments: [
        ("let transport: any HTTPTransport\n try await transport.send(request)", 1),
        ("func ask(_ network: any HTTPTransport) { await network.send(request) }", 1),
        ("func ask(_ network: some HTTPTransport) { await network\n    .send(request) }", 1),
        ("withTransport { http in try await http.send(request) }", 1),
        ("let own = HTTPClientTransport()\n own.send(a); own.send(b)", 2),
        ("HTTPClientTransport(proxies: none).send(request)", 1),
        ("let send = transport.send", 1),
        ("let socket: MessageSocket\n socket.send(request)", 0),
        ("// transport.send(request)", 0),
    ])
    func `a caller is found, whatever it calls the transport`(_ code: String, _ count: Int) {
        #expect(Self.sendings(Self.code(code)) == count)
    }
}
