import Foundation
import Synchronization
import TestSupport
import Testing

extension MachineTests {
    /// The day that it is for: an administrator, two developers, and a key pair that dies.
    @Suite struct DayTests {
        /// What became of the pulls of one user.
        private final class Pulls: Sendable {
            struct Pull {
                var status: Int32
                var errors: String
                /// Whether the API took the token, at once or after `--rejected`.
                var isGood: Bool
            }
            private let all = Mutex<[Pull]>([])
            private let over = Atomic(false)
            var isOver: Bool { over.load(ordering: .relaxed) }
            func end() { over.store(true, ordering: .relaxed) }
            var pulls: [Pull] { all.withLock { $0 } }
            func add(_ pull: Pull) { all.withLock { $0.append(pull) } }
        }

        private func pull(_ machine: Machine, as user: String, _ name: String) async throws -> Pulls.Pull {
            func token(_ more: String...) async -> ProgramResult {
                await machine.run(as: user, [machine.home.file("claviger"), "token", name] + more)
            }
            func works(_ result: ProgramResult) async throws -> Bool {
                guard result.status == 0 else { return false }
                return try await machine.server.isAccepted(result.output.trimmingCharacters(in: .newlines))
            }
            let first = await token()
            if try await works(first) { return .init(status: 0, errors: "", isGood: true) }
            guard first.status == 0 else { return .init(status: first.status, errors: first.errors, isGood: false) }
            let second = await token("--rejected")
            return .init(status: second.status, errors: second.errors, isGood: try await works(second))
        }

        /// Two users pull every 100 ms while something is done.
        private func pulling(_ machine: Machine, _ name: String, _ body: () async throws -> Void) async throws -> [Pulls.Pull] {
            let pulls = Pulls()
            try await withThrowingTaskGroup { group in
                for user in [machine.developer, machine.stranger] {
                    group.addTask {
                        while !pulls.isOver {
                            pulls.add(try await pull(machine, as: user, name))
                            try await Task.sleep(for: .milliseconds(100))
                        }
                    }
                }
                try await body()
                pulls.end()
                try await group.waitForAll()
            }
            return pulls.pulls
        }

        private func refusals(_ machine: Machine) async throws -> Int {
            let counts = try await machine.server.counts()
            return counts.requests - counts.granted
        }

        @Test func `the day goes smoothly for everybody`() async throws {
            let machine = try await Machine()
            let address = machine.server.address
            try await machine.keep("init")

            // Five services.
            try await machine.add("torq")
            for (name, provider) in [("qa", "qa"), ("academy", "cloudacademy")] {
                let keys = try await machine.server.newKeys("qa")
                let url = address + "/qa/oauth2/token/"
                try await machine.keep(
                    ["add", name, "--provider", provider, "--token-url", url, "--from-json", "-"], input: keys.json)
                if name == "qa" { continue }
                // One pair for each user: QA's died with this one.
                try await machine.keep(["rotate", "qa", "--from-json", "-"], input: keys.json)
            }
            try await machine.keep(
                [
                    "add", "iot", "--provider", "iot-x", "--token-url", address + "/query", "--username", "made-up-user",
                    "--password-file", "-",
                ], input: "made-up-password")
            let keys = try await machine.server.newKeys("logins")
            let login = try await machine.server.newLogin()
            try await machine.keep(
                [
                    "add", "dropbox", "--provider", "dropbox", "--client-auth", "post", "--token-url", address + "/logins/token",
                    "--revocation-url", address + "/revoke", "--from-json", "-",
                ],
                input: #"{"client_id":"\#(keys.id)","client_secret":"\#(keys.secret)"}"#)
            try await machine.keep(["login", "dropbox", "--refresh-token-file", "-"], input: login)
            try await machine.keep("agent")
            for user in [machine.developer, machine.stranger] {
                for name in ["torq", "qa", "dropbox"] { try await machine.keep("allow", name, "--user", user) }
            }

            // The pair is regenerated, its tokens die with it, and a pipe brings the new one.
            var before = try await refusals(machine)
            let command =
                "/usr/bin/curl -s -X POST \(address)/admin/keys/qa | \(machine.home.file("claviger")) rotate qa --from-json -"
            var pulls = try await pulling(machine, "qa") {
                try await Task.sleep(for: .milliseconds(300))
                try await machine.server.request("POST", "/admin/expire")
                let rotated = await machine.run(as: machine.keeper, ["/bin/sh", "-c", command], machine.keys)
                #expect(rotated.status == 0, "\(rotated.errors)")
                try await machine.server.request("POST", "/admin/expire")
                try await Task.sleep(for: .milliseconds(500))
            }
            #expect(pulls.count > 6)
            for pull in pulls { #expect(pull.isGood, "\(pull)") }
            #expect(try await refusals(machine) - before < 10)

            // By hand: it takes a person a while, and everybody is told what is going on.
            before = try await refusals(machine)
            let pipe = machine.home.file("keeper/pipe")
            try #require(mkfifo(pipe, 0o666) == 0)
            chmod(pipe, 0o666)
            pulls = try await pulling(machine, "qa") {
                let rotating = Program.spawn(
                    "/usr/bin/setpriv",
                    [
                        "--reuid", machine.keeper, "--regid", machine.keeper, "--init-groups", "/bin/sh", "-c",
                        #"exec "$0" rotate qa --from-json - < "$1""#, machine.home.file("claviger"), pipe,
                    ],
                    environment: machine.keys.merging(["HOME": machine.home.file("keeper")]) { $1 }, input: "/dev/null",
                    output: "/dev/null", errors: machine.home.file("rotate.err"))
                let writer = try #require(FileHandle(forWritingAtPath: pipe))
                // The provider's button is pressed when the prompt is there.
                #expect(try await eventually { await machine.develop("list").output.contains("being rotated") })
                let keys = try await machine.server.newKeys("qa")
                try await machine.server.request("POST", "/admin/expire")
                try await Task.sleep(for: .seconds(6))
                try writer.write(contentsOf: Data(keys.json.utf8))
                try writer.close()
                #expect(await Program.wait(rotating) == 0)
                try await Task.sleep(for: .milliseconds(500))
            }
            let failed = pulls.filter { !$0.isGood }
            #expect(failed.count > 2 && pulls.suffix(4).allSatisfy(\.isGood))
            for pull in failed {
                #expect(pull.status == 75, "\(pull.errors)")
                #expect(pull.errors.contains("is being rotated, since 20") || pull.errors.contains("try again"), "\(pull.errors)")
            }
            #expect(try await refusals(machine) - before < 10)

            // A leak: nothing more is handed out until somebody says so.
            try await machine.keep("block", "torq", "--reason", "in a public repository, ask Ana")
            let blocked = await machine.develop("token", "torq")
            #expect(blocked.refuses(77, "blocked since") && blocked.errors.contains("ask Ana"), "\(blocked.errors)")
            let revoked = await machine.run(
                as: machine.keeper, [machine.home.file("claviger"), "revoke", "--all", "--yes"], machine.keys)
            #expect(revoked.status == 1 && revoked.output.contains("NOT REVOKED"), "\(revoked)")
            try await machine.keep("unblock", "torq")

            // A reviewer: who had this token?
            let token = await machine.develop("token", "torq").output
            let had = await machine.run(
                as: machine.keeper, [machine.home.file("claviger"), "log", "--token", "-"], machine.keys, input: token)
            #expect(had.output.contains(machine.developer) && !had.output.contains(machine.stranger), "\(had)")

            // A leaver.
            try await machine.keep("deny", "--user", machine.stranger)
            let left = await machine.run(as: machine.stranger, [machine.home.file("claviger"), "token", "torq"])
            #expect(left.refuses(77, "no rule allows you"))
            #expect(await machine.develop("token", "torq").status == 0)
            try await machine.keep("log", "--verify")
            try await machine.keep("agent", "stop")
        }
    }
}
