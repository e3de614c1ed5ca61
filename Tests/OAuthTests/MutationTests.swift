import Foundation
import HTTPTypes
import Sodium
import TestSupport
import Testing

@testable import OAuth

/// What a server sends may be anything: every parser of its words ends, and with its own kind of error.
@Suite struct MutationTests {
    private static let rounds = 4000

    /// Seeds with bytes changed, dropped, doubled, and pieces of other seeds put in.
    private func mutants(of seeds: [String], _ body: ([UInt8]) throws -> Void) rethrows {
        var random = SeededGenerator(seed: 7)
        let pieces = [
            "\"", "{", "[", "\\u0000", "\\ud800", "1e999", "null", "-", "%", "%f", "\u{FF}", "&state=", ":", ",",
            "99999999999999999999",
        ]
        for _ in 0..<Self.rounds {
            var bytes = Array(seeds.randomElement(using: &random)!.utf8)
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                let index = Int.random(in: 0...bytes.count, using: &random)
                switch Int.random(in: 0..<5, using: &random) {
                case 0 where index < bytes.count: bytes[index] = UInt8.random(in: 0...255, using: &random)
                case 1 where index < bytes.count: bytes.remove(at: index)
                case 2: bytes.insert(contentsOf: pieces.randomElement(using: &random)!.utf8, at: index)
                case 3: bytes.removeLast(bytes.count - index)
                default: bytes.insert(contentsOf: seeds.randomElement(using: &random)!.utf8.prefix(20), at: index)
                }
            }
            try body(bytes)
        }
    }

    @Test func `reads any answer of a token endpoint`() throws {
        let seeds = [
            #"{"access_token":"2YotnFZFEjr1zCsicMWpAA","token_type":"example","expires_in":3600,"refresh_token":"tGz","x":[1,{"y":null}]}"#,
            #"{"error":"invalid_client","error_description":"no"}"#,
            #"{"access_token":"a","expires_in":"899","scope":["a","b"]}"#,
            #"{'refresh_token':'tGz','x':"\ud83d\ude00"}{"refresh_token":"x"}"#,
            "access_token=a&refresh_token=t%47z&x=y",
        ]
        var granted = 0
        var kept = 0
        mutants(of: seeds) { bytes in
            for status in [200, 400, 503] {
                let answer = TokenResponse.read(
                    status: status, headers: [:], body: bytes, isWhole: bytes.count % 2 == 0, now: Date())
                if let refreshToken = answer.refreshToken?.withBytes({ $0.array() }) {
                    kept += 1
                    #expect(refreshToken.count > 0 && refreshToken.first! > 0x20 && refreshToken.last! > 0x20)
                    #expect(status == 200 || refreshToken.allSatisfy { (0x21...0x7E).contains($0) })
                }
                guard case .success(let tokens) = answer.result else { continue }
                granted += 1
                let token = tokens.accessToken.withBytes { $0.array() }
                #expect(!token.isEmpty && token.allSatisfy { (0x21...0x7E).contains($0) })
                #expect(tokens.expiresIn.map { (0...315_360_000).contains($0) } ?? true)
            }
            _ = RevocationAnswer.read(status: 200, headers: [:], body: bytes, now: Date())
        }
        #expect(granted > 0 && kept > granted)
    }

    /// What is wrong elsewhere in an answer takes nothing away: bytes before and after the member change, none within it.
    @Test func `keeps the refresh token of a damaged answer`() {
        let member = #","refresh_token":"tGz","#
        mutants(of: [#""scope":"a b","expires_in":3600,"x":[true,{"y":1.5e3}]}"#, "\"x\":\u{1}"]) { bytes in
            let body = Array("{\"access_token\":\"a\"\(member)".utf8) + bytes.filter { !Array("\"'{}[]\\".utf8).contains($0) }
            let answer = TokenResponse.read(status: 200, headers: [:], body: body, isWhole: false, now: Date())
            #expect(answer.refreshToken?.revealed() == "tGz")
        }
    }

    @Test func `mends JSON without changing what is whole`() {
        mutants(of: [#"{"a":"\ud83d\ude00\n\u0041","b":[1,"\\\""]}"#]) { bytes in
            guard let value = JSONValue(parsing: bytes), String(validating: bytes, as: UTF8.self) != nil else { return }
            #expect(JSONValue(parsing: AnswerBody.mended(bytes)) == value)
        }
    }

    @Test func nestingEnds() throws {
        for open in ["[", "{\"a\":"] {
            let body = Array(String(repeating: open, count: 200_000).utf8)
            #expect(JSONValue(parsing: body) == nil)
        }
    }

    @Test func metadata() throws {
        let issuer = try EndpointURL("https://server.example.com")
        let seed =
            #"{"issuer":"https://server.example.com","token_endpoint":"https://server.example.com/token","grant_types_supported":["password"]}"#
        mutants(of: [seed]) { bytes in
            if let metadata = try? ServerMetadata(parsing: bytes, issuer: issuer) {
                #expect(metadata.issuer == "https://server.example.com")
                #expect(metadata.tokenURL.scheme == "https" || metadata.tokenURL.isLoopback)
            }
        }
    }

    @Test func deviceCodes() {
        let seed =
            #"{"device_code":"GmRh","user_code":"WDJB-MJHT","verification_uri":"https://example.com/device","expires_in":1800,"interval":5}"#
        mutants(of: [seed]) { bytes in
            guard let json = JSONValue(parsing: bytes), let codes = try? DeviceCodes(parsing: json) else { return }
            #expect((1...86_400).contains(codes.expiresIn) && (1...3600).contains(codes.interval))
        }
    }

    @Test func retryAfter() {
        mutants(of: ["120", "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]) {
            bytes in
            let seconds = RetryAfter.seconds(
                String(decoding: bytes, as: UTF8.self), now: Date(timeIntervalSince1970: 784_111_770))
            #expect(seconds.map { (0...86_400).contains($0) } ?? true)
        }
    }

    @Test func redirectedAddresses() throws {
        var settings = ClientSettings(grant: .authorizationCode, tokenURL: try EndpointURL("https://example.com/token"))
        settings.authorizationURL = try EndpointURL("https://example.com/authorize")
        let request = try #require(try settings.authorizationRequest(clientID: "id", redirectURI: "http://127.0.0.1:7/callback"))
        mutants(of: ["code=made%2Bup&state=\(request.state)&iss=x", "error=access_denied&state=\(request.state)"]) { bytes in
            let query = String(decoding: bytes, as: UTF8.self)
            if (try? request.code(fromQuery: query)) != nil {
                #expect(FormEncoding.decode(query).contains { $0.name == "state" && $0.value == request.state })
            }
            _ = try? request.code(fromPasted: query)
        }
    }

    @Test func addresses() {
        mutants(of: ["https://example.com:8443/oauth/token?a=b", "http://127.0.0.1/x", "http://[::1]:9/"]) { bytes in
            guard let url = try? EndpointURL(String(decoding: bytes, as: UTF8.self)) else { return }
            #expect(url.scheme == "https" || url.isLoopback)
            // What is sent to is what was judged.
            let again = try? EndpointURL("\(url.scheme)://\(url.authority)\(url.path)")
            #expect(again?.host == url.host && again?.port == url.port)
        }
    }
}
