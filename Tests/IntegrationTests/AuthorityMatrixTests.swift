import Foundation
import TestSupport
import Testing

extension MachineTests {
    /// Every request of every kind of caller, against what exactly it may come to.
    @Suite struct AuthorityMatrixTests {
        private static let whole: Set = ["client_id", "key_pair_since", "name", "provider", "settings", "tokens"]
        private static let offered: Set = ["api_url", "keeper", "name", "scopes", "state", "token"]
        private static let token: Set = ["access_token", "expires_at", "expires_in", "obtained_at", "scope", "token_type"]
        private static let problem: Set = ["code", "exit", "status", "title"]
        private static let status: Set = ["locked", "pid", "since", "vault"]
        /// Stand where API keys do.
        private static let canaries = ["made-up-canary-in-a-header", "made-up-canary-in-a-parameter", "made-up-canary-client"]

        private struct Case {
            let target: String
            /// For the keeper, the developer whom a rule allows the scope `read`, and a stranger.
            let statuses: [Int]
            /// Of a good answer, for the first two.
            let members: [Set<String>]
        }

        private static let cases = [
            Case(target: "/v1/credentials", statuses: [200, 200, 200], members: [whole, offered]),
            Case(target: "/v1/credentials/torq", statuses: [200, 200, 403], members: [whole, offered]),
            Case(target: "/v1/credentials/other", statuses: [200, 403, 403], members: [whole]),
            Case(target: "/v1/credentials/nobody", statuses: [404, 403, 403], members: []),
            Case(target: "/v1/tokens/torq", statuses: [200, 200, 403], members: [token, token]),
            Case(target: "/v1/tokens/torq?scope=read", statuses: [200, 200, 403], members: [token, token]),
            Case(target: "/v1/tokens/torq?scope=write", statuses: [200, 403, 403], members: [token]),
            Case(target: "/v1/tokens/torq?scope=read%20write", statuses: [200, 403, 403], members: [token]),
            Case(target: "/v1/tokens/torq?audience=a", statuses: [200, 403, 403], members: [token]),
            Case(target: "/v1/tokens/torq?take_over=1", statuses: [200, 403, 403], members: [token]),
            Case(target: "/v1/tokens/torq?resend=1", statuses: [200, 403, 403], members: [token]),
            Case(target: "/v1/tokens/torq?min_ttl=60", statuses: [200, 200, 403], members: [token, token]),
            // Who may have the token may have a proof; there is none to be had for one that is bound to no key.
            Case(target: "/v1/tokens/torq?proof=GET%20https://api.made-up.example/", statuses: [409, 409, 403], members: []),
            Case(target: "/v1/tokens/torq?proof=GET", statuses: [400, 400, 400], members: []),
            Case(target: "/v1/tokens/other", statuses: [200, 403, 403], members: [token]),
            Case(target: "/v1/tokens/nobody", statuses: [404, 403, 403], members: []),
            Case(target: "/v1/tokens/%FF", statuses: [400, 400, 400], members: []),
            Case(target: "/v1/tokens/torq%+a", statuses: [400, 400, 400], members: []),
            Case(target: "/v1/status", statuses: [200, 200, 200], members: [status.union(["failures"]), status, status]),
            Case(target: "/v1/nothing", statuses: [404, 404, 404], members: []),
        ]

        @Test func `every request comes to exactly what the caller may have`() async throws {
            let machine = try await Machine()
            try await machine.keep("init")
            for name in ["torq", "other"] {
                try await machine.add(
                    name, "--header", "X-Api-Key: " + Self.canaries[0], "--param", "api_key=" + Self.canaries[1], "--scope",
                    "read",
                    "--api-url", "https://api.made-up.example/v1")
            }
            try await machine.keep("agent")
            try await machine.keep("allow", "torq", "--user", machine.developer, "--scope", "read")
            let callers = [machine.keeper, machine.developer, machine.stranger]
            for one in Self.cases {
                for (index, caller) in callers.enumerated() {
                    let answer = await machine.ask(as: caller, "GET", one.target)
                    let place = "GET \(one.target) by caller \(index)"
                    #expect(answer.status == one.statuses[index], "\(place): \(answer.status)")
                    let json = try JSONSerialization.jsonObject(with: Data(answer.body.utf8))
                    let documents = json as? [[String: Any]] ?? [json as? [String: Any] ?? [:]]
                    for document in documents {
                        let wanted = answer.status != 200 ? Self.problem : index < one.members.count ? one.members[index] : []
                        #expect(Set(document.keys).subtracting(["hint"]) == wanted, "\(place): \(document.keys.sorted())")
                    }
                    if index > 0 { for canary in Self.canaries { #expect(!answer.body.contains(canary), "\(place)") } }
                }
            }
            // The list holds what a rule names, and nothing else.
            #expect(await machine.ask(as: machine.stranger, "GET", "/v1/credentials").body == "[]")
            #expect(await !machine.ask(as: machine.developer, "GET", "/v1/credentials").body.contains("other"))
            let keeper = await machine.ask(as: machine.developer, "GET", "/v1/credentials/torq").body
            #expect(keeper.contains(#""keeper":"\#(machine.keeper)""#))
            try await troubles(machine)
            try await others(machine)
        }

        /// Why there is no token is told in a kind: where the server is, is no part of what others see.
        private func troubles(_ machine: Machine) async throws {
            let secret = ["--client-id", Self.canaries[2], "--secret-file", "-", "--no-verify"]
            try await machine.keep(["add", "down", "--token-url", "http://127.0.0.1:1/token"] + secret, input: "made-up-secret")
            try await machine.keep("allow", "down", "--user", machine.developer)
            for (caller, isTold) in [(machine.keeper, true), (machine.developer, false)] {
                let answer = await machine.ask(as: caller, "GET", "/v1/tokens/down")
                #expect(answer.status == 502 && answer.body.contains("127.0.0.1") == isTold, "\(answer)")
                #expect(isTold || answer.body.contains("ask \(machine.keeper)"), "\(answer)")
            }
        }

        /// What changes the agent is for its keeper, and a method that there is not is answered with the one that there is.
        private func others(_ machine: Machine) async throws {
            for caller in [machine.developer, machine.stranger] {
                for target in ["/v1/lock", "/v1/unlock", "/v1/shutdown"] {
                    #expect(await machine.ask(as: caller, "POST", target).status == 403, "\(target)")
                }
            }
            for (target, method, others) in [
                ("/v1/status", "GET", ["POST", "PUT", "DELETE", "OPTIONS"]), ("/v1/credentials", "GET", ["POST", "DELETE"]),
                ("/v1/credentials/torq", "GET", ["PUT", "PATCH", "DELETE"]), ("/v1/tokens/torq", "GET", ["POST", "DELETE"]),
                ("/v1/lock", "POST", ["GET", "DELETE"]), ("/v1/unlock", "POST", ["GET"]), ("/v1/shutdown", "POST", ["GET"]),
            ] {
                for other in others {
                    let answer = await machine.ask(as: machine.keeper, other, target)
                    #expect(answer.status == 405 && answer.allow == method, "\(other) \(target): \(answer)")
                }
            }
            #expect(await machine.ask(as: machine.keeper, "POST", "/v1/lock").status == 204)
            for caller in [machine.keeper, machine.developer, machine.stranger] {
                #expect(await machine.ask(as: caller, "GET", "/v1/tokens/torq").status == 423)
            }
            #expect(await machine.ask(as: machine.keeper, "POST", "/v1/shutdown").status == 204)
        }

        /// The same, as the command shows it.
        @Test func `a developer sees how it stands and whom to ask`() async throws {
            let machine = try await Machine()
            try await machine.keep("init")
            try await machine.add("torq", "--header", "X-Api-Key: " + Self.canaries[0])
            try await machine.keep("agent")
            try await machine.keep("allow", "torq", "--user", machine.developer)
            let text = await machine.develop("show", "torq").output
            #expect(text.contains("kept by  \(machine.keeper)") && text.contains("state    ready"), "\(text)")
            #expect(await machine.develop("list").output.contains("torq  api.torq.io  ready"))
            #expect(await machine.develop("list", "--json").output.contains(#""keeper" : "\#(machine.keeper)""#))
            #expect(await machine.develop("status").status == 0)
            for command in [["show", "torq", "--json"], ["list", "--json"], ["status", "--json"]] {
                let result = await machine.run(as: machine.developer, [machine.home.file("claviger")] + command)
                #expect(result.status == 0 && !result.output.contains(Self.canaries[0]), "\(command)")
            }
        }
    }
}
