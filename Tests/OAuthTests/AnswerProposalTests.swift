import OAuth
import Testing

@Suite struct AnswerProposalTests {
    private func proposal(_ body: String) -> AnswerProposal? { AnswerProposal(body: Array(body.utf8)) }

    @Test(arguments: [
        (#"{"access_token":"made-up","expires_in":60}"#, []),
        (
            #"{"code":0,"msg":"ok","tenant_access_token":"made-up","expire":7140}"#,
            ["access_token=/tenant_access_token", "expires_in=/expire", "success=/code=0"]
        ),
        (
            #"{"ok":true,"authed_user":{"access_token":"made-up","refresh_token":"r","expires_in":3600}}"#,
            [
                "access_token=/authed_user/access_token", "refresh_token=/authed_user/refresh_token",
                "expires_in=/authed_user/expires_in", "success=/ok=true",
            ]
        ),
        (
            #"{"data":[{"accessToken":"made-up","validUntil":"2026-12-01T00:00:00Z"}]}"#,
            ["access_token=/data/0/accessToken", "expires_at=/data/0/validUntil"]
        ),
        (
            #"{"token":"made-up","token_type":"x","id_token":"made-up","refreshToken":"r"}"#,
            ["access_token=/token", "refresh_token=/refreshToken"]
        ),
        (#"{"error":"invalid_client"}"#, []),
    ])
    func `the format that fits an answer`(_ body: String, _ members: [String]) {
        #expect(proposal(body)?.members == members)
    }

    @Test func `no value is in what is shown`() {
        let shape = proposal(#"{"a":"made-up","b":{"c":1,"d":[true,null]},"e":"","f":{}}"#)?.shape
        #expect(
            shape == [
                "/a: a text of 7 characters", "/b/c: a number", "/b/d/0: true or false", "/b/d/1: null", "/e: an empty text",
            ])
        #expect(proposal("<html>") == nil && proposal("") == nil)
    }
}
