import Foundation
import AgentProtocol
import Sodium
import TestSupport
import Testing

@testable import ClavigerCore

/// Keys and secrets as people have them in files.
@Suite struct PEMTextTests {
    private static let content = Data((0..<90).map { UInt8($0) }).base64EncodedString()
    private static let lines = [content.prefix(64), content.dropFirst(64)].map(String.init)
    private static let good =
        "-----BEGIN PRIVATE KEY-----\n\(lines.joined(separator: "\n"))\n-----END PRIVATE KEY-----\n"

    private static func key(_ text: String) throws -> String {
        var bytes = Array(text.utf8)
        return try SecretInput.privateKey(&bytes, from: "made-up.pem").revealed()
    }

    @Test(arguments: [
        good, good.replacing("\n", with: "\r\n"), good.replacing("\n", with: "\\n"), good.replacing("\n", with: " "),
        good.replacing("\n", with: "\n    "), "\u{FEFF}" + good, "\n\n" + good + "\n\n", good.replacing("\n", with: "\\r\\n"),
        "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n" + good,
        "Bag Attributes\n    friendlyName: made up\n" + good, good.replacing("\n", with: "\r"),
    ])
    func `a key is taken as it is meant`(_ text: String) throws {
        #expect(try Self.key(text) == Self.good)
    }

    @Test func `a key that was encrypted before PKCS #8 keeps its header`() throws {
        let old = Self.good.replacing(
            "KEY-----\n\(Self.lines[0])",
            with: "KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: DES-EDE3-CBC,0011\n\n\(Self.lines[0])")
        #expect(try Self.key(old.replacing("\n", with: "\r\n  ")) == old)
    }

    @Test func `a certificate stays beside its key`() throws {
        let certificate = Self.good.replacing("PRIVATE KEY", with: "CERTIFICATE")
        #expect(try Self.key(certificate + Self.good) == certificate + Self.good)
    }

    @Test(arguments: [
        (String(good.dropLast(40)), "cut off or damaged"), (good.replacing("AAEC", with: "A!EC"), "cut off or damaged"),
        (good.replacing("PRIVATE KEY", with: "CERTIFICATE"), "there is no private key"),
        (good.replacing("PRIVATE KEY", with: "PUBLIC KEY"), "there is no private key"), ("made-up", "there is no private key"),
    ])
    func `what is none is named`(_ text: String, _ words: String) {
        #expect {
            try Self.key(text)
        } throws: { error in
            (error as? Problem)?.title.contains(words) == true
        }
    }

    @Test(arguments: [
        ("made-up", "made-up"), ("\u{FEFF}made-up\r\n", "made-up"), ("\u{A0}made-up\u{200B}\n", "made-up"),
        ("\u{200B}\u{A0}made up\u{2060}\u{A0}", "made up"), (" made-up ", " made-up "), ("made\u{200B}up", "made\u{200B}up"),
    ])
    func `a secret is what the provider has made`(_ text: String, _ secret: String) throws {
        var bytes = Array(text.utf8)
        #expect(try SecretLine.pasted(&bytes, what: "client secret", from: "a test", remark: { _ in }).revealed() == secret)
    }

    @Test func `a passphrase is what is typed`() throws {
        var marked = Array("\u{FEFF}made up \r\n".utf8)
        #expect(try SecretLine.secret(&marked, what: "passphrase", from: "a test").revealed() == "made up ")
    }
}
