import Foundation
import TestSupport
import Testing

extension MachineTests {
    @Suite struct TwoUserTests {
        @Test func aDeveloperHasTokensAndNoSecrets() async throws {
            let machine = try await Machine()
            try await machine.keep("init")
            for name in ["torq", "other"] { try await machine.add(name) }
            try await machine.keep("agent")
            #expect(await machine.develop("token", "torq").refuses(77, "no rule allows you to use"))
            #expect(await machine.develop("list").output.isEmpty)

            try await machine.keep("allow", "torq", "--user", machine.developer)
            let token = await machine.develop("token", "torq")
            #expect(token.status == 0, "\(token.errors)")
            #expect(try await machine.server.isAccepted(token.output.trimmingCharacters(in: .newlines)))
            #expect(await machine.develop("list").output.contains("torq"))
            #expect(await !machine.develop("list").output.contains("other"))
            #expect(
                await machine.develop("exec", "torq", "--", "/bin/sh", "-c", "echo $TORQ_ACCESS_TOKEN").output == token.output)

            // Who has a vault is not taken to the machine's agent: the names in it are others.
            let owner = ["HOME": machine.home.file("developer"), "CLAVIGER_KEY_FILE": machine.home.file("developer/key")]
            let program = [machine.home.file("claviger")]
            #expect(await machine.run(as: machine.developer, program + ["init"], owner).status == 0)
            #expect(
                await machine.run(as: machine.developer, program + ["token", "torq"], owner).refuses(66, "there is no credential")
            )
            try FileManager.default.removeItem(atPath: machine.home.file("developer/.local/share/claviger"))

            // What was not allowed, and what is not there, look the same.
            for name in ["other", "nobody"] {
                #expect(await machine.develop("token", name).refuses(77, "no rule allows you to use"))
                #expect(await machine.develop("show", name).refuses(77, "no rule allows you to use"))
            }
            #expect(await machine.develop("token", "torq", "--scope", "more").refuses(77, "no other scopes than"))
            #expect(await machine.develop("token", "torq", "--take-over").refuses(77, "no rule allows you to use"))
            for command in [["lock"], ["agent", "stop"]] {
                let own = await machine.run(as: machine.developer, [machine.home.file("claviger")] + command)
                #expect(own.refuses(69, "no agent of yours runs"), "\(own.errors)")
            }
            for command in [["lock", "--system"], ["agent", "stop", "--system"], ["--system", "lock"]] {
                let result = await machine.run(as: machine.developer, [machine.home.file("claviger")] + command)
                #expect(result.refuses(77, "only the agent's own user and root"), "\(result.errors)")
            }

            // The vault, the key, and the agent's memory, environment and core are out of reach, and so is a debugger.
            let status = await machine.run(
                as: machine.developer,
                ["/usr/bin/curl", "-s", "--unix-socket", Machine.folder + "/agent.sock", "http://agent/v1/status"])
            let document = try #require(try JSONSerialization.jsonObject(with: Data(status.output.utf8)) as? [String: Any])
            let pid = try #require(document["pid"] as? Int)
            #expect(document["failures"] == nil)
            let vault = machine.home.file("keeper/.local/share/claviger/vault")
            #expect(FileManager.default.fileExists(atPath: vault))
            for path in [
                vault, vault + ".previous", machine.home.file("keeper/key"), "/proc/\(pid)/environ", "/proc/\(pid)/mem",
                "/proc/\(pid)/maps",
            ] {
                let read = await machine.run(as: machine.developer, ["/bin/cat", path])
                #expect(read.status != 0 && read.output.isEmpty, "\(path)")
            }
            for signal in ["ABRT", "USR1", "KILL"] {
                #expect(await machine.run(as: machine.developer, ["/bin/kill", "-\(signal)", "\(pid)"]).status != 0)
            }
            if FileManager.default.isExecutableFile(atPath: "/usr/bin/strace") {
                #expect(await machine.run(as: machine.developer, ["/usr/bin/strace", "-p", "\(pid)"]).status != 0)
                // Not even the agent's own user can look into it, since it is not dumpable.
                #expect(await machine.run(as: machine.keeper, ["/usr/bin/strace", "-p", "\(pid)"]).status != 0)
            }
            #expect(await machine.run(as: machine.keeper, ["/bin/cat", "/proc/\(pid)/environ"]).output.isEmpty)

            try await machine.keep("deny", "torq", "--user", machine.developer)
            #expect(await machine.develop("token", "torq").refuses(77, "no rule allows you to use"))
            // The agent's own user has all the while had everything.
            try await machine.keep("token", "other")
        }

        @Test func rulesOfGroupsScopesAndLives() async throws {
            let machine = try await Machine()
            try await machine.keep("init")
            try await machine.add("torq")
            try await machine.keep("agent")
            try await machine.keep("allow", "torq", "--group", machine.group, "--scope", "read", "--scope", "write")
            let token = await machine.develop("token", "torq", "--format", "json")
            #expect(token.output.contains(#""scope" : "read write""#), "\(token.errors)")
            #expect(await machine.develop("token", "torq", "--scope", "read").status == 0)
            #expect(await machine.develop("token", "torq", "--scope", "admin").refuses(77, "only the scopes read write"))

            // Tokens of this server live 3,600 s.
            try await machine.keep("allow", "torq", "--group", machine.group, "--max-ttl", "30m")
            #expect(await machine.develop("token", "torq").refuses(77, "live longer than the 1800 s"))
            try await machine.keep("allow", "torq", "--group", machine.group, "--max-ttl", "1h")
            #expect(await machine.develop("token", "torq").status == 0)

            // A rule goes with its credential, and not to another that takes its name.
            try await machine.keep("rename", "torq", "new")
            #expect(await machine.develop("token", "new").status == 0)
            try await machine.keep("remove", "new", "--yes")
            try await machine.add("new")
            #expect(await machine.develop("token", "new").refuses(77, "no rule allows you to use"))
        }

        @Test func `somebody who leaves has nothing more, and leaves it to nobody`() async throws {
            let machine = try await Machine()
            try await machine.keep("init")
            for name in ["torq", "other"] { try await machine.add(name) }
            let number = unsafe try #require(getpwnam(machine.stranger)).pointee.pw_uid
            for name in ["torq", "other"] { try await machine.keep("allow", name, "--user", machine.stranger) }
            try await machine.keep("allow", "torq", "--user", machine.developer)
            try await machine.keep("agent")
            func token() async -> ProgramResult {
                await machine.run(as: machine.stranger, [machine.home.file("claviger"), "token", "torq"])
            }
            #expect(await token().status == 0)

            // The number goes to a new user.
            try await machine.keep("agent", "stop")
            #expect(await Program.run("/usr/sbin/usermod", ["--login", "clavigertest5", machine.stranger]).status == 0)
            defer { Task { await Program.run("/usr/sbin/userdel", ["clavigertest5"]) } }
            try await machine.keep("agent")
            let heir = await machine.run(
                as: "clavigertest5", group: "\(number)", [machine.home.file("claviger"), "token", "torq"])
            #expect(heir.refuses(77, "no rule allows you to use"), "\(heir.errors)")
            #expect(await machine.develop("token", "torq").status == 0)
            let listed = await machine.run(as: machine.keeper, [machine.home.file("claviger"), "policy"], machine.keys)
            #expect(listed.output.contains("gives nothing: the name is gone"), "\(listed)")
            let explained = await machine.run(
                as: machine.keeper, [machine.home.file("claviger"), "policy", "explain", "torq", "--user", "clavigertest5"],
                machine.keys)
            #expect(explained.output.contains("no rule lets clavigertest5"), "\(explained)")

            // By the name as it was; the developer's rule stays.
            try await machine.keep("deny", "--user", machine.stranger)
            let rest = await machine.run(as: machine.keeper, [machine.home.file("claviger"), "policy"], machine.keys)
            #expect(!rest.output.contains(machine.stranger) && rest.output.contains(machine.developer))
            let log = await machine.run(
                as: machine.keeper, [machine.home.file("claviger"), "log", "--kind", "deny", "--credential", "other"],
                machine.keys)
            #expect(log.output.contains("user " + machine.stranger), "\(log)")
            let again = await machine.run(
                as: machine.keeper, [machine.home.file("claviger"), "deny", "--user", machine.stranger], machine.keys)
            #expect(again.refuses(66, "there is no rule for the user"), "\(again.errors)")
            // A rule that was made by number is for whoever has it.
            try await machine.keep("allow", "torq", "--user", "\(number)")
            let numbered = await machine.run(
                as: "clavigertest5", group: "\(number)", [machine.home.file("claviger"), "token", "torq"])
            #expect(numbered.status == 0, "\(numbered.errors)")
            try await machine.keep("deny", "--user", "\(number)")
            try await machine.keep("agent", "stop")
        }
    }
}
