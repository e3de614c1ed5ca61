import Foundation
import HTTPTypes
import Sodium
import Testing

@testable import OAuth

/// What a service has answered, by its documentation or a report of a user's; the values are made up.
struct RecordedAnswer: Sendable, CustomTestStringConvertible {
    enum Outcome: Equatable, Sendable {
        case token(String, life: Int? = nil, refresh: String? = nil, scopes: [String]? = nil)
        case refused(String)
        case unregistered
        case later(after: Int? = nil)
        case unusable
    }

    var name: String
    /// Of the catalogue, where its format matters.
    var provider: String?
    var status = 200
    var headers: HTTPFields = [:]
    var body: [UInt8]
    var outcome: Outcome

    var testDescription: String { name }

    init(
        _ name: String, of provider: String? = nil, status: Int = 200, headers: HTTPFields = [:], _ body: String,
        _ outcome: Outcome
    ) {
        self.init(name, of: provider, status: status, headers: headers, bytes: Array(body.utf8), outcome)
    }

    init(
        _ name: String, of provider: String? = nil, status: Int = 200, headers: HTTPFields = [:], bytes: [UInt8],
        _ outcome: Outcome
    ) {
        (self.name, self.provider, self.status, self.headers, body) = (name, provider, status, headers, bytes)
        self.outcome = outcome
    }

    static let tokens: [RecordedAnswer] = [
        .init(
            "Torq", of: "torq", #"{"access_token":"a","expires_in":3600,"token_type":"bearer","scope":""}"#,
            .token("a", life: 3600)),
        .init(
            "QA names a scope unasked", of: "qa", #"{"access_token":"a","expires_in":36000,"token_type":"Bearer","scope":"all"}"#,
            .token("a", life: 36000, scopes: ["all"])),
        .init(
            "IoT-X: a lifetime in a text", of: "iot-x", #"{"access_token":"a","token_type":"access","expires_in":"899"}"#,
            .token("a", life: 899)),
        .init(
            "Google", of: "google",
            #"{"access_token":"ya29.a","expires_in":3599,"scope":"https://www.googleapis.com/auth/drive openid","token_type":"Bearer","id_token":"e30.e30.x","refresh_token_expires_in":604799,"refresh_token":"1//r"}"#,
            .token("ya29.a", life: 3599, refresh: "1//r", scopes: ["https://www.googleapis.com/auth/drive", "openid"])),
        .init(
            "Dropbox", of: "dropbox",
            #"{"access_token":"sl.a","token_type":"bearer","expires_in":14400,"refresh_token":"r","scope":"files.read","uid":"12","account_id":"dbid:x"}"#,
            .token("sl.a", life: 14400, refresh: "r", scopes: ["files.read"])),
        .init(
            "GitHub as a form", of: "github", "access_token=gho_a&scope=repo%2Cgist&token_type=bearer",
            .token("gho_a", scopes: ["repo,gist"])),
        .init(
            "GitHub App, a user", of: "github-app",
            #"{"access_token":"ghu_a","expires_in":28800,"refresh_token":"ghr_r","refresh_token_expires_in":15897600,"scope":"","token_type":"bearer"}"#,
            .token("ghu_a", life: 28800, refresh: "ghr_r")),
        .init(
            "GitHub App, an installation", of: "github-installation", status: 201,
            headers: [.date: "Thu, 01 Jan 2026 00:00:00 GMT"],
            #"{"token":"ghs_a","expires_at":"2026-01-01T01:00:00Z","permissions":{"issues":"write"},"repository_selection":"all"}"#,
            .token("ghs_a", life: 3600)),
        .init(
            "Slack, a bot", of: "slack",
            #"{"ok":true,"access_token":"xoxb-a","token_type":"bot","scope":"commands,incoming-webhook","bot_user_id":"U0","app_id":"A0","expires_in":43200,"refresh_token":"xoxe-1-r","team":{"name":"T","id":"T9"},"authed_user":{"id":"U1"}}"#,
            .token("xoxb-a", life: 43200, refresh: "xoxe-1-r", scopes: ["commands,incoming-webhook"])),
        .init(
            "Slack, a user", of: "slack-user",
            #"{"ok":true,"app_id":"A0","authed_user":{"id":"U1","scope":"chat:write","access_token":"xoxp-a","token_type":"user","refresh_token":"xoxe-1-u","expires_in":43200},"team":{"id":"T1"}}"#,
            .token("xoxp-a", life: 43200, refresh: "xoxe-1-u", scopes: ["chat:write"])),
        .init(
            "Slack, a user's refresh", of: "slack-user",
            #"{"ok":true,"access_token":"xoxp-b","refresh_token":"xoxe-1-v","expires_in":43200,"token_type":"user","scope":"chat:write"}"#,
            .token("xoxp-b", life: 43200, refresh: "xoxe-1-v", scopes: ["chat:write"])),
        .init(
            "Salesforce says no lifetime", of: "salesforce",
            #"{"access_token":"00D!a","signature":"x","scope":"api refresh_token","instance_url":"https://x.my.salesforce.com","id":"https://login.salesforce.com/id/0/1","token_type":"Bearer","issued_at":"1700000000000","refresh_token":"5Aep"}"#,
            .token("00D!a", refresh: "5Aep", scopes: ["api", "refresh_token"])),
        .init(
            "Azure AD, version 1", headers: [.date: "Thu, 01 Jan 2026 00:00:00 GMT"],
            #"{"token_type":"Bearer","expires_on":"1767229199","ext_expires_in":"3599","not_before":"1767225300","resource":"https://graph.windows.net","access_token":"eyJa","refresh_token":"r"}"#,
            .token("eyJa", life: 3599, refresh: "r")),
        .init(
            "Azure AD, version 1, both",
            #"{"token_type":"Bearer","expires_in":"3599","expires_on":"1767229199","access_token":"a"}"#, .token("a", life: 3599)),
        .init(
            "Entra", of: "entra-login",
            #"{"token_type":"Bearer","scope":"User.Read profile openid email","expires_in":4736,"ext_expires_in":4736,"access_token":"eyJa","refresh_token":"0.r"}"#,
            .token("eyJa", life: 4736, refresh: "0.r", scopes: ["User.Read", "profile", "openid", "email"])),
        .init("Lark", of: "lark", #"{"code":0,"msg":"ok","tenant_access_token":"t-a","expire":7140}"#, .token("t-a", life: 7140)),
        .init(
            "Shopify", of: "shopify", #"{"access_token":"shpat_a","scope":"read_products,write_orders","expires_in":86399}"#,
            .token("shpat_a", life: 86399, scopes: ["read_products,write_orders"])),
        .init(
            "Shopify, an offline token that expires", of: "shopify-login",
            #"{"access_token":"shpat_a","expires_in":3600,"refresh_token":"shprt_r","refresh_token_expires_in":7776000,"scope":"read_orders"}"#,
            .token("shpat_a", life: 3600, refresh: "shprt_r", scopes: ["read_orders"])),
        .init(
            "Webex, from a device", of: "webex-device",
            #"{"scope":"spark:all","expires_in":64799,"token_type":"Bearer","refresh_token":"r","refresh_token_expires_in":7697037,"access_token":"a"}"#,
            .token("a", life: 64799, refresh: "r", scopes: ["spark:all"])),
        .init(
            "Zoho", of: "zoho",
            #"{"access_token":"1000.a","expires_in":3600,"api_domain":"https://www.zohoapis.com","token_type":"Bearer"}"#,
            .token("1000.a", life: 3600)),
        .init(
            "QuickBooks", of: "quickbooks",
            #"{"x_refresh_token_expires_in":8726400,"refresh_token":"RT1","access_token":"eyJa","token_type":"bearer","expires_in":3600}"#,
            .token("eyJa", life: 3600, refresh: "RT1")),
        .init(
            "HubSpot", of: "hubspot", #"{"token_type":"bearer","refresh_token":"r","access_token":"a","expires_in":1800}"#,
            .token("a", life: 1800, refresh: "r")),
        .init(
            "Twitch: scopes in an array", of: "twitch",
            #"{"access_token":"a","expires_in":14124,"refresh_token":"r","scope":["channel:read","bits:read"],"token_type":"bearer"}"#,
            .token("a", life: 14124, refresh: "r", scopes: ["channel:read", "bits:read"])),
        .init("Facebook as a form", "access_token=EAAa&expires=5183999", .token("EAAa", life: 5_183_999)),
        .init("Stack Exchange as a form", "access_token=a&expires=86399", .token("a", life: 86399)),
        .init("Mailchimp: 0 means for ever", of: "mailchimp", #"{"access_token":"a","expires_in":0,"scope":null}"#, .token("a")),
        .init(
            "Stripe", of: "stripe",
            #"{"access_token":"sk_a","livemode":false,"refresh_token":"rt_r","token_type":"bearer","stripe_publishable_key":"pk","stripe_user_id":"acct_1","scope":"express"}"#,
            .token("sk_a", refresh: "rt_r", scopes: ["express"])),
        .init(
            "SAP", of: "sap",
            #"{"access_token":"eyJa","token_type":"bearer","expires_in":43199,"scope":"uaa.resource","jti":"x"}"#,
            .token("eyJa", life: 43199, scopes: ["uaa.resource"])),
        .init("Docker Hub", of: "docker-hub", #"{"access_token":"a","token":"a","refresh_token":""}"#, .token("a")),
        .init(
            "Kubernetes' registry: a time of issue",
            #"{"token":"x","access_token":"a","expires_in":300,"issued_at":"2026-01-01T00:00:00Z"}"#, .token("a", life: 300)),
        .init("a lifetime with a fraction", #"{"access_token":"a","expires_in":3600.0}"#, .token("a", life: 3600)),
        .init("a lifetime with a fraction in a text", #"{"access_token":"a","expires_in":"3600.0"}"#, .token("a", life: 3600)),
        .init("a byte order mark and a NUL", "\u{FEFF}{\"access_token\":\"a\",\"expires_in\":60}\0", .token("a", life: 60)),
        .init("Latin-1", bytes: Array(#"{"access_token":"a","name":"Jos"#.utf8) + [0xE9] + Array(#""}"#.utf8), .token("a")),
        .init("an error that is false beside a token", #"{"error":false,"access_token":"a"}"#, .token("a")),
    ]

    static let refusals: [RecordedAnswer] = [
        .init(
            "GitHub: an error with 200", of: "github",
            #"{"error":"bad_verification_code","error_description":"The code passed is incorrect or expired."}"#,
            .refused("invalid_grant")),
        .init("GitHub: the client", of: "github", #"{"error":"incorrect_client_credentials"}"#, .refused("invalid_client")),
        .init(
            "GitHub: the refresh token", of: "github-app", #"{"error":"bad_refresh_token","error_description":"x"}"#,
            .refused("invalid_grant")),
        .init(
            "GitHub: the JWT", of: "github-installation", status: 401,
            #"{"message":"A JSON web token could not be decoded","documentation_url":"https://docs.github.com/rest"}"#,
            .unregistered),
        .init(
            "Slack: the refresh token", of: "slack", #"{"ok":false,"error":"invalid_refresh_token"}"#, .refused("invalid_grant")),
        .init("Slack: the client", of: "slack", #"{"ok":false,"error":"bad_client_secret"}"#, .refused("invalid_client")),
        .init("Slack: the rate", of: "slack", #"{"ok":false,"error":"ratelimited"}"#, .later()),
        .init("Slack: a word of its own", of: "slack", #"{"ok":false,"error":"made_up"}"#, .unregistered),
        .init("Lark", of: "lark", #"{"code":10014,"msg":"app secret invalid"}"#, .refused("invalid_client")),
        .init(
            "Lark: the id", of: "lark", #"{"code":10003,"data":{},"msg":"invalid param"}"#, .refused("invalid_client")),
        .init("Lark: another code", of: "lark", #"{"code":99991,"msg":"made up"}"#, .unregistered),
        .init(
            "HubSpot", of: "hubspot", status: 400,
            #"{"status":"BAD_REFRESH_TOKEN","message":"missing or invalid refresh token","correlationId":"x"}"#,
            .refused("invalid_grant")),
        .init(
            "Atlassian", of: "atlassian", status: 403,
            #"{"error":"unauthorized_client","error_description":"refresh_token is invalid"}"#, .refused("invalid_grant")),
        .init(
            "Atlassian: the word of the RFC", of: "atlassian", status: 403,
            #"{"error":"invalid_grant","error_description":"Unknown or invalid refresh token."}"#, .refused("invalid_grant")),
        .init(
            "Webex: the person has not agreed yet", of: "webex-device", status: 428,
            #"{"message":"made up","errors":[{"description":"authorization_pending"}],"trackingId":"x"}"#,
            .refused("authorization_pending")),
        .init(
            "Webex: the refresh token", of: "webex-device", status: 400, #"{"error":"invalid_grant"}"#, .refused("invalid_grant")),
        .init(
            "Zoom", of: "zoom", status: 400, #"{"reason":"Invalid Token!","error":"invalid_grant"}"#, .refused("invalid_grant")),
        .init(
            "LinkedIn", of: "linkedin", status: 401,
            #"{"error":"invalid_client","error_description":"Client authentication failed"}"#, .refused("invalid_client")),
        .init(
            "QuickBooks", of: "quickbooks", status: 400,
            #"{"error":"invalid_grant","error_description":"Incorrect or invalid refresh token"}"#, .refused("invalid_grant")),
        .init(
            "Twitch", of: "twitch", status: 400, #"{"status":400,"message":"Invalid refresh token"}"#, .refused("invalid_grant")),
        .init(
            "Twitch: the client", of: "twitch", status: 403, #"{"status":403,"message":"invalid client secret"}"#,
            .refused("invalid_client")),
        .init(
            "Reddit says nothing", of: "reddit", status: 400, #"{"message":"Bad Request","error":400}"#, .refused("invalid_grant")
        ),
        .init(
            "Reddit: a refresh token of another client", of: "reddit", status: 400, #"{"error":"invalid_request"}"#,
            .refused("invalid_grant")),
        .init("Reddit: the code, with 200", of: "reddit", #"{"error":"invalid_grant"}"#, .refused("invalid_grant")),
        .init("Zoho: an error with 200", of: "zoho", #"{"error":"invalid_code"}"#, .refused("invalid_grant")),
        .init(
            "Zoho: the rate", of: "zoho", status: 400,
            #"{"error_description":"You have made too many requests continuously.","error":"Access Denied","status":"failure"}"#,
            .later()),
        .init(
            "Google: expired or revoked", of: "google", status: 400,
            #"{"error":"invalid_grant","error_description":"Token has been expired or revoked."}"#, .refused("invalid_grant")),
        .init(
            "Google: consent is wanted again", status: 400,
            #"{"error":"invalid_grant","error_subtype":"invalid_rapt","error_uri":"x"}"#, .refused("invalid_grant")),
        .init(
            "Entra", of: "entra-login", status: 400,
            #"{"error":"interaction_required","error_description":"AADSTS50076: ...","error_codes":[50076],"suberror":"basic_action"}"#,
            .refused("interaction_required")),
        .init(
            "Entra: the secret has ended", of: "entra", status: 401,
            #"{"error":"invalid_client","error_description":"AADSTS7000222: ...","error_codes":[7000222]}"#,
            .refused("invalid_client")),
        .init("DocuSign", status: 400, #"{"error":"consent_required"}"#, .refused("consent_required")),
        .init(
            "DocuSign: the key", of: "docusign-jwt", status: 400,
            #"{"error":"invalid_grant","error_description":"no_valid_keys_or_signatures"}"#, .refused("invalid_grant")),
        .init(
            "Salesforce: in capitals", status: 400,
            #"{"error":"INVALID_GRANT","error_description":"expired access/refresh token"}"#, .refused("invalid_grant")),
        .init(
            "with a description in the word", status: 400, #"{"error":"invalid_grant: Token is expired or invalid."}"#,
            .refused("invalid_grant")),
        .init("with a space after it", status: 401, #"{"error":"invalid_client "}"#, .refused("invalid_client")),
        .init("in an object", status: 400, #"{"error":{"code":"invalid_grant","message":"x"}}"#, .refused("invalid_grant")),
        .init("beside a null token", #"{"access_token":null,"error":"invalid_grant"}"#, .refused("invalid_grant")),
        .init(
            "Facebook", status: 400, #"{"error":{"message":"Error validating access token","type":"OAuthException","code":190}}"#,
            .unregistered),
        .init("WeChat: an error with 200", #"{"errcode":40029,"errmsg":"invalid code"}"#, .unusable),
        .init(
            "Okta", status: 400, #"{"error":"invalid_grant","error_description":"The refresh token is invalid or expired."}"#,
            .refused("invalid_grant")),
        .init(
            "Spring: nothing but a status", status: 401, headers: [.wwwAuthenticate: #"Basic realm="oauth2/client""#],
            #"{"timestamp":"x","status":401,"error":"Unauthorized"}"#, .refused("invalid_client")),
        .init("a gateway's page", status: 401, "<html><h1>401 Authorization Required</h1></html>", .unregistered),
        .init("a page with 200", "<!DOCTYPE html><title>Log in</title>", .unusable),
        .init(
            "a limit with 403", status: 403, headers: [.retryAfter: "30"], #"{"message":"API rate limit exceeded"}"#,
            .later(after: 30)),
        .init("a limit with 400", status: 400, headers: [.retryAfter: "5"], "{}", .later(after: 5)),
        .init("a limit with 429", status: 429, headers: [.retryAfter: "5"], "{}", .later(after: 5)),
        .init("for a while, with 400", status: 400, #"{"error":"temporarily_unavailable"}"#, .later()),
        .init(
            "Dropbox", status: 400, #"{"error_description":"refresh token is invalid or revoked","error":"invalid_grant"}"#,
            .refused("invalid_grant")),
        .init("nothing", "", .unusable),
    ]
}

@Suite struct RecordedAnswerTests {
    @Test(arguments: RecordedAnswer.tokens + RecordedAnswer.refusals)
    func `comes out as it is meant`(_ recorded: RecordedAnswer) throws {
        var format = AnswerFormat()
        if let name = recorded.provider {
            let provider = try #require(Catalogue.builtIn[name])
            let values = Dictionary(provider.variables.map { ($0.name, $0.fallback ?? "made-up.example") }) { $1 }
            format = try provider.settings(values).answer ?? format
        }
        let answer = TokenResponse.read(
            status: recorded.status, headers: recorded.headers, body: recorded.body, format: format,
            now: Date(timeIntervalSince1970: 1_767_225_600))
        #expect(Self.outcome(answer) == recorded.outcome)
    }

    private static func outcome(_ answer: TokenAnswer) -> RecordedAnswer.Outcome {
        switch answer.result {
        case .success(let tokens):
            .token(
                tokens.accessToken.revealed(), life: tokens.expiresIn, refresh: answer.refreshToken?.revealed(),
                scopes: tokens.scopes.flatMap { $0.isEmpty ? nil : $0 })
        case .failure(.oauth(.registered(let word))): .refused(word)
        case .failure(.oauth(.unregistered)): .unregistered
        case .failure(.transient(_, let seconds)): .later(after: seconds)
        case .failure: .unusable
        }
    }

    @Test func `there are enough of them`() {
        #expect(RecordedAnswer.tokens.count + RecordedAnswer.refusals.count >= 70)
    }
}
