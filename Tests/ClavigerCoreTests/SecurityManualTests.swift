import Foundation
import TestSupport
import Testing

/// claviger-security(7) promises nothing that no test shows.
@Suite struct SecurityManualTests {
    @Test func `each threat says what stops it, which tests show it, and what is accepted`() throws {
        let page = String(decoding: bytes(ofFile: Program.root + "/man/claviger-security.7"), as: UTF8.self)
        let threats = page.components(separatedBy: "\n.Ss ").dropFirst()
        #expect(threats.count > 10)
        let suites = try self.suites()
        for threat in threats {
            let title = threat.prefix { $0 != "\n" }
            for part in ["Stopped by", "Shown by", "Accepted"] {
                #expect(threat.components(separatedBy: "\n.It \(part)\n").count == 2, "\(title): \(part)")
            }
            let shown = threat.components(separatedBy: "\n.It Shown by\n").last?.components(separatedBy: "\n.It ").first ?? ""
            let names = shown.components(separatedBy: CharacterSet(charactersIn: ",\n")).filter { !$0.isEmpty }
            #expect(!names.isEmpty, "\(title)")
            for name in names { #expect(suites.contains(name), "\(title): there is no \(name)") }
        }
    }

    /// The names of all suites.
    private func suites() throws -> Set<String> {
        let folder = Program.root + "/Tests"
        let files = try #require(FileManager.default.enumerator(atPath: folder)?.allObjects as? [String])
        let sources = files.filter { $0.hasSuffix(".swift") }.map {
            String(decoding: bytes(ofFile: folder + "/" + $0), as: UTF8.self)
        }
        return Set(sources.flatMap { $0.matches(of: /struct (\w+Tests)\b/).map { String($0.1) } })
    }
}
