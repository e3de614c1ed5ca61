import HTTPTypes
import Foundation
import Sodium
import Testing

@testable import OAuth

@Suite struct DPoPProofTests {
    /// RFC 9449 section 7.1.
    @Test func `the example of the RFC`() throws {
        let token = try Secret(utf8: "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU")
        let request = ProofRequest(method: "GET", url: try EndpointURL("https://resource.example.org/protectedresource"))
        #expect(
            DPoPProof.claims(request, id: "e1j3V_bKic8-LAEB", issued: 1_562_262_618, token: token) == [
                "jti": .string("e1j3V_bKic8-LAEB"), "htm": .string("GET"),
                "htu": .string("https://resource.example.org/protectedresource"), "iat": .integer(1_562_262_618),
                "ath": .string("fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"),
            ])
    }

    @Test func `a proof names an address without its query`() throws {
        let request = ProofRequest(method: "POST", url: try EndpointURL("https://API.example:8443/a%2fb?c=d"), nonce: "n")
        let claims = DPoPProof.claims(request, id: "x", issued: 1, token: nil)
        #expect(claims["htu"] == .string("https://api.example:8443/a%2fb"))
        #expect(claims["nonce"] == .string("n") && claims["ath"] == nil)
    }

    @Test(arguments: ["GET https://a.example/x?y", "M-SEARCH https://a.example n.o-n_c~e", "post http://127.0.0.1:1/"])
    func `a request for a proof is read back as it was written`(_ text: String) {
        #expect(ProofRequest(text: text)?.text == text)
    }

    @Test(arguments: [
        "", "GET", "GET ", " https://a.example", "GET  https://a.example", "G(T https://a.example", "GET http://a.example",
        "GET https://a.example ", "GET https://a.example n n", "GET https://a.example \"", "GET https://u@a.example/",
        "GET https://a.example/#f", "GET https://a.example é",
    ])
    func `what is no request is refused`(_ text: String) {
        #expect(ProofRequest(text: text) == nil)
    }

    private func read(_ type: String?, isBound: Bool) -> TokenAnswer {
        let member = type.map { #","token_type":"\#($0)""# } ?? ""
        return TokenResponse.read(
            status: 200, headers: [:], body: Array(#"{"access_token":"made-up","refresh_token":"made-up-r"\#(member)}"#.utf8),
            now: .now, isBound: isBound)
    }

    @Test(arguments: ["DPoP", "dpop", "DPOP"])
    func `a bound token is taken where one is wanted`(_ type: String) throws {
        #expect(try read(type, isBound: true).result.get().tokenType == "DPoP")
    }

    @Test func `a bound token is refused where none is wanted, and the other way round`() {
        for (type, isBound) in [("DPoP", false), ("Bearer", true), (nil, true)] {
            let answer = read(type, isBound: isBound)
            guard case .failure(.unusable(let reason)) = answer.result else {
                Issue.record("\(type ?? "none") is taken")
                continue
            }
            #expect(reason.contains("--dpop"))
            // What keeps the login alive is kept.
            #expect(answer.refreshToken != nil)
        }
    }
}
