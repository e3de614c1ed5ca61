import Foundation
import TestSupport
import Testing

/// A login whose server gives no refresh token, as GitHub, Notion and LinkedIn do: its access token can't be acquired again, so
/// nothing may throw it away.
@Suite(
    .enabled(if: Python.isThere, "make test makes the virtual environment that this needs"),
    .timeLimit(.minutes(3)))
struct LoginWithoutRefreshTokenTests {
    /// A person has logged in, and the token never ends.
    private func loggedIn(_ more: String...) async throws -> (RotatingServer, token: String) {
        let rotating = try await RotatingServer(isLoggedIn: false, ["--no-refresh-token"] + more)
        try await rotating.server.request("POST", "/admin/lifetime/0")
        try await rotating.fail(#"{"no_refresh_token": true}"#)
        try await rotating.logIn()
        let token = await rotating.run("token", "a")
        try #require(token.status == 0, "\(token.errors)")
        return (rotating, token.output)
    }

    private func survives(_ rotating: RotatingServer, _ token: String) async throws {
        let after = await rotating.run("token", "a")
        #expect(after.status == 0 && after.output == token, "\(after.errors)")
    }

    @Test func `survives token --rejected, which says that only a person can help`() async throws {
        let (rotating, token) = try await loggedIn()
        let rejected = await rotating.run("token", "a", "--rejected")
        #expect(rejected.refuses(77, "log"), "\(rejected.errors)")
        try await survives(rotating, token)
    }

    @Test func `survives token --fresh`() async throws {
        let (rotating, token) = try await loggedIn()
        #expect(await rotating.run("token", "a", "--fresh").status == 77)
        try await survives(rotating, token)
    }

    @Test func `survives a 401 under exec --proxy`() async throws {
        let (rotating, token) = try await loggedIn()
        let edited = await rotating.run("edit", "a", "--api-url", rotating.server.address)
        try #require(edited.status == 0, "\(edited.errors)")
        try await rotating.server.request("POST", "/expire")
        let job = await rotating.run(
            "exec", "--proxy", "a", "--", "/bin/sh", "-c", #"curl -s -o /dev/null -w '%{http_code}' "$A_BASE_URL/api""#)
        #expect(job.output == "401", "\(job.errors)")
        try await survives(rotating, token)
    }

    /// RFC 8693 section 2.2.2: a subject token that the server does not take is an invalid request.
    @Test func `survives an exchange that is answered with invalid_request`() async throws {
        let (rotating, token) = try await loggedIn()
        let added = await rotating.run(
            "add", "x", "--grant", "token-exchange", "--subject", "a", "--token-url", rotating.server.address + "/token",
            "--client-id", "client_secret_post", "--client-auth", "post", "--secret-file", rotating.secretFile)
        try #require(added.status == 0, "\(added.errors)")
        try await rotating.server.request("POST", "/expire")
        #expect(await rotating.run("token", "x", "--fresh").status == 77)
        try await survives(rotating, token)
    }

    @Test func `survives edit --redirect-uri`() async throws {
        let (rotating, token) = try await loggedIn()
        let edited = await rotating.run("edit", "a", "--redirect-uri", "http://127.0.0.1:8123/callback")
        #expect(edited.status == 0, "\(edited.errors)")
        try await survives(rotating, token)
    }

    @Test func `survives rotate --no-verify`() async throws {
        let (rotating, token) = try await loggedIn()
        let rotated = await rotating.run("rotate", "a", "--no-verify", "--secret-file", try await rotating.newSecret())
        #expect(rotated.status == 0, "\(rotated.errors)")
        try await survives(rotating, token)
    }

    @Test func `survives rotate, which can't prove the pair`() async throws {
        let (rotating, token) = try await loggedIn()
        _ = await rotating.run("rotate", "a", "--secret-file", try await rotating.newSecret())
        try await survives(rotating, token)
    }

    @Test func `is said to work by check`() async throws {
        let (rotating, token) = try await loggedIn()
        let checked = await rotating.run("check", "a")
        #expect(checked.status == 0, "\(checked.output) \(checked.errors)")
        try await survives(rotating, token)
    }

    @Test func `is said to work by check, where the server can be asked`() async throws {
        let (rotating, token) = try await loggedIn()
        let edited = await rotating.run("edit", "a", "--introspection-url", rotating.server.address + "/introspect")
        try #require(edited.status == 0, "\(edited.errors)")
        #expect(await rotating.run("check", "a").output.contains("active"))
        try await rotating.server.request("POST", "/expire")
        #expect(await rotating.run("check", "a").status == 1)
        try await survives(rotating, token)
    }

    @Test func `is ready in list and show`() async throws {
        let (rotating, _) = try await loggedIn()
        #expect(await rotating.run("list").output.contains("ready"))
    }
}

/// Logins that are marked as ended and are not.
@Suite(
    .enabled(if: Python.isThere, "make test makes the virtual environment that this needs"),
    .timeLimit(.minutes(3)))
struct EndedLoginTests {
    /// A refresh token belongs to its client (RFC 6749 section 6), so another client's pair is refused with `invalid_grant`.
    @Test func `rotate --rollback brings back a login that another client's pair has ended`()
        async throws
    {
        let rotating = try await RotatingServer()
        let rotated = await rotating.run("rotate", "a", "--client-id", "other", "--secret-file", rotating.secretFile)
        // Nothing is asked of rotate but that it can be undone, or changes nothing.
        if rotated.status == 0 {
            let back = await rotating.run("rotate", "a", "--rollback")
            #expect(back.status == 0, "\(back.errors)")
        }
        #expect(await rotating.run("list").output.contains("ready"))
        let token = await rotating.run("token", "a", "--fresh")
        #expect(token.status == 0, "\(token.errors)")
        let state = try await rotating.state()
        #expect(state.reuses == 0 && state.families == 1)
    }

    /// RFC 6749 section 5.2 in the body of a 200, with the member that some servers always write.
    @Test(
        arguments: [#"{\"access_token\": null, \"error\": \"invalid_grant\"}"#, #"{\"error\": \"invalid_grant\"}"#])
    func `invalid_grant beside an access token that is null ends the login`(_ body: String) async throws {
        let rotating = try await RotatingServer()
        try await rotating.fail(#"{"when": "before", "status": 200, "body": "\#(body)"}"#, #"{"when": "before", "close": true}"#)
        let refused = await rotating.run("token", "a", "--fresh")
        #expect(refused.refuses(77, "the login has ended"), "\(refused.errors)")
        #expect(await rotating.run("list").output.contains("login needed"))
    }

    /// They say "later", with whatever status: nothing has been refused.
    @Test(arguments: ["temporarily_unavailable", "server_error", "slow_down"], [200, 400])
    func `an error that is for a while is waited for`(_ code: String, _ status: Int) async throws {
        let rotating = try await RotatingServer()
        try await rotating.fail(#"{"when": "before", "status": \#(status), "body": "{\"error\": \"\#(code)\"}"}"#)
        let before = try await rotating.state()
        let token = await rotating.run("token", "a", "--fresh")
        #expect(token.status == 0, "\(token.errors)")
        let after = try await rotating.state()
        #expect(after.requests == before.requests + 2 && after.reuses == 0)
    }

    /// One that lasts is reported as what it is: a server that fails, and a login that lives.
    @Test(arguments: ["temporarily_unavailable", "server_error", "slow_down"])
    func `an error that is for a while ends nothing`(_ code: String) async throws {
        let rotating = try await RotatingServer()
        let fault = #"{"when": "before", "status": 400, "body": "{\"error\": \"\#(code)\"}"}"#
        try await rotating.fail(fault, fault, fault, fault, fault, fault)
        let failed = await rotating.run("token", "a", "--fresh")
        #expect([69, 75].contains(failed.status), "\(failed.errors)")
        #expect(await rotating.run("list").output.contains("ready"))
        #expect(await rotating.run("token", "a").status == 0)
    }
}

/// What `revoke` says and forgets, where a server answers otherwise than RFC 7009 section 2.2 would like.
@Suite(
    .enabled(if: Python.isThere, "make test makes the virtual environment that this needs"),
    .timeLimit(.minutes(3)))
struct RevocationAnswerTests {
    private func refusal(_ hint: String, status: Int, _ body: String) -> String {
        #"{"path": "/revoke", "hint": "\#(hint)", "when": "before", "status": \#(status), "body": "\#(body)"}"#
    }

    /// `invalid_token` says that it is dead, which is what was wanted.
    @Test func `a refresh token that is dead does not keep the access token from being sent`()
        async throws
    {
        let rotating = try await RotatingServer()
        let token = String(await rotating.run("token", "a").output.dropLast())
        try #require(try await rotating.server.isAccepted(token))
        try await rotating.fail(refusal("refresh_token", status: 400, #"{\"error\": \"invalid_token\"}"#))
        let revoked = await rotating.run("revoke", "a")
        #expect(revoked.status == 0, "\(revoked.errors)")
        #expect(try await rotating.state().revoked == ["refresh_token", "access_token"])
        #expect(try await rotating.server.isAccepted(token) == false)
        #expect(await rotating.run("token", "a").refuses(77, "nobody is logged in"))
    }

    @Test(arguments: ["invalid_token", "invalid_grant"])
    func `an access token that died with the refresh token is forgotten`(_ code: String) async throws {
        let rotating = try await RotatingServer()
        try await rotating.fail(refusal("access_token", status: 400, #"{\"error\": \"\#(code)\"}"#))
        let revoked = await rotating.run("revoke", "a")
        #expect(revoked.status == 0, "\(revoked.errors)")
        #expect(await rotating.run("token", "a").refuses(77, "nobody is logged in"))
    }

    /// RFC 7009 section 2.2.1: the server can't revoke tokens of this kind.
    @Test
    func `an access token that can't be revoked is reported with its end, and not handed out`() async throws {
        let rotating = try await RotatingServer()
        try await rotating.fail(refusal("access_token", status: 400, #"{\"error\": \"unsupported_token_type\"}"#))
        let revoked = await rotating.run("revoke", "a")
        #expect(revoked.errors.contains("ended the login at the server"), "\(revoked.errors)")
        #expect(revoked.errors.contains("until 20"), "\(revoked.errors)")
        #expect(await rotating.run("token", "a").refuses(77, "nobody is logged in"))
    }

    /// Slack and others refuse with the status 200.
    @Test(
        arguments: [#"{\"ok\": false}"#, #"{\"ok\": false, \"error\": \"made_up\"}"#, #"{\"error\": \"invalid_client\"}"#])
    func `a refusal with the status 200 is none the less one`(_ body: String) async throws {
        let rotating = try await RotatingServer()
        try await rotating.fail(
            refusal("refresh_token", status: 200, body), refusal("access_token", status: 200, body))
        let revoked = await rotating.run("revoke", "a")
        #expect(revoked.status != 0, "\(revoked.errors)")
        #expect(!revoked.errors.contains("revoked 1") && !revoked.errors.contains("ended the login"), "\(revoked.errors)")
        #expect(try await rotating.state().families == 1)
    }

    /// An answer without a body, or with an empty object, is what the RFC asks for.
    @Test(arguments: ["", "{}", #"{\"ok\": true}"#])
    func `a status 200 that says nothing else is a success`(_ body: String) async throws {
        let rotating = try await RotatingServer()
        try await rotating.fail(refusal("refresh_token", status: 200, body), refusal("access_token", status: 200, body))
        let revoked = await rotating.run("revoke", "a")
        #expect(revoked.status == 0, "\(revoked.errors)")
        #expect(revoked.errors.contains("ended the login at the server"), "\(revoked.errors)")
    }
}

/// A key pair that was regenerated elsewhere: servers lock the account of who goes on trying.
@Suite(
    .enabled(if: Python.isThere, "make test makes the virtual environment that this needs"),
    .timeLimit(.minutes(3)))
struct RefusedPairTests {
    @Test(arguments: [false, true])
    func `a refused pair is not sent on every call`(_ isLogin: Bool) async throws {
        let rotating = try await RotatingServer(isLoggedIn: isLogin, isLogin ? [] : ["--grant", "client-credentials"])
        let regenerated = try await rotating.newSecret(endsOthers: true)
        let before = try await rotating.state()
        for call in 1...44 {
            let refused = await rotating.run("token", "a", "--fresh")
            #expect(refused.refuses(77, "invalid_client"), "call \(call): \(refused.errors)")
            #expect(refused.errors.contains("claviger rotate a"))
        }
        #expect(try await rotating.state().requests <= before.requests + 3)
        // A new pair is tried at once.
        let rotated = await rotating.run("rotate", "a", "--secret-file", regenerated)
        #expect(rotated.status == 0, "\(rotated.errors)")
        #expect(await rotating.run("token", "a", "--fresh").status == 0)
        #expect(try await rotating.state().reuses == 0)
    }
}
