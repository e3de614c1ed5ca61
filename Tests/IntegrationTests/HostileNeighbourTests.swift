import Foundation
import TestSupport
import Testing

extension MachineTests {
    /// Users with and without a rule do all that they may to an agent, all at once, while its keeper works.
    @Suite(.enabled(if: Python.isThere, "make test makes the virtual environment that this needs"))
    struct HostileNeighbourTests {
        /// A process of another user's, ended with this value.
        private final class Attack: Sendable {
            private let child: pid_t
            private let files = TemporaryFolder()

            init(_ machine: Machine, _ kind: String, as user: String) {
                let script = machine.home.file("hostile_neighbour.py")
                // Niced, for the sake of the tests beside this one: a flood asks as much, and takes what the others leave.
                let identity = ["--reuid", user, "--regid", user, "--init-groups"]
                child = Program.spawn(
                    "/usr/bin/setpriv",
                    identity + ["/usr/bin/nice", "-n", "19", "/usr/bin/python3", script, Machine.folder + "/agent.sock", kind],
                    environment: [:], input: "/dev/null", output: files.file("out"), errors: files.file("err"))
            }

            var lines: [Substring] { String(decoding: bytes(ofFile: files.file("out")), as: UTF8.self).split(separator: "\n") }
            var errors: String { String(decoding: bytes(ofFile: files.file("err")), as: UTF8.self) }

            deinit {
                kill(child, SIGKILL)
                var status: Int32 = 0
                waitpid(child, &status, 0)
            }
        }

        private func monotonic() -> Int {
            var now = timespec()
            clock_gettime(CLOCK_MONOTONIC, &now)
            return now.tv_sec * 1_000_000_000 + now.tv_nsec
        }

        /// In kB, what an agent has in memory.
        private func memory(_ pid: Int) throws -> Int {
            let status = String(decoding: bytes(ofFile: "/proc/\(pid)/status"), as: UTF8.self)
            let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") })
            return try #require(Int(line.dropFirst(6).filter(\.isNumber)))
        }

        private func agent(_ machine: Machine) async throws -> Int {
            let status = await machine.ask(as: machine.keeper, "GET", "/v1/status").body
            let json = try #require(try JSONSerialization.jsonObject(with: Data(status.utf8)) as? [String: Any])
            return try #require(json["pid"] as? Int)
        }

        /// With a vault, and the script where other users can read it.
        private func machine() async throws -> Machine {
            let machine = try await Machine()
            let script = machine.home.file("hostile_neighbour.py")
            try FileManager.default.copyItem(atPath: Python.script("hostile_neighbour.py"), toPath: script)
            chmod(script, 0o644)
            try await machine.keep("init")
            try await machine.add("torq")
            return machine
        }

        @Test func `the keeper is served, and what others can take is bounded`() async throws {
            let machine = try await machine()
            try await machine.keep("agent")
            try await machine.keep("allow", "torq", "--user", machine.developer)
            try await machine.keep("token", "torq")
            let (pid, before) = (try await agent(machine), try await machine.server.counts().requests)
            var attacks = ["asks", "renews", "holds", "bodies", "lists"].map { Attack(machine, $0, as: machine.developer) }
            attacks += ["asks", "holds", "bodies", "lists"].map { Attack(machine, $0, as: machine.stranger) }
            let watch = Attack(machine, "watches", as: machine.developer)
            #expect(try await eventually { !watch.lines.isEmpty }, "\(watch.errors)")

            // Each of these is a process that connects, is served, and ends well.
            let (began, rounds) = (monotonic(), Torture.isLong ? 150 : 20)
            var slowest = 0
            for _ in 0..<rounds {
                let start = monotonic()
                try await machine.keep("token", "torq")
                slowest = max(slowest, monotonic() - start)
                try await machine.keep("status")
            }
            let held = try memory(pid)
            #expect(held < 200_000, "\(held) kB")
            // One forced renewal in a minute, and one for each other way to ask; nothing of the keeper's own.
            let minutes = (monotonic() - began) / 60_000_000_000 + 1
            let asked = try await machine.server.counts().requests - before
            #expect(asked <= 4 + 2 * minutes, "\(asked) requests in \(minutes) minutes")

            let start = monotonic()
            try await machine.keep("lock")
            let locked = monotonic()
            slowest = max(slowest, locked - start)
            // Time for those who wait for an answer to get one.
            for _ in 0..<5 { #expect(await machine.ask(as: machine.stranger, "GET", "/v1/tokens/torq").status != 200) }
            #expect(watch.lines.allSatisfy { Int($0).map { $0 < locked } ?? false })
            let errors = attacks.map(\.errors).joined()
            #expect(errors.isEmpty, "\(errors)")
            attacks = []
            withExtendedLifetime(watch) {}
            try await owners(lines: rounds, machine)
            Torture.record("hostile neighbour", "slowest of the keeper's, ms: \(slowest / 1_000_000)", rounds: rounds, lost: 0)
        }

        /// The keeper's lines are all there, and the chain is whole.
        private func owners(lines rounds: Int, _ machine: Machine) async throws {
            let variables = ["CLAVIGER_KEY_FILE": machine.home.file("keeper/key")]
            let claviger = machine.home.file("claviger")
            let log = await machine.run(as: machine.keeper, [claviger, "log", "--json"], variables)
            #expect(log.status == 0, "\(log.errors)")
            let number = unsafe try #require(getpwnam(machine.keeper)).pointee.pw_uid
            let tokens = log.output.split(separator: "\n").filter {
                $0.contains(#""event":"token""#) && $0.contains(#""uid":\#(number),"#) && $0.contains(#""outcome":"done""#)
            }
            #expect(tokens.count >= rounds, "\(tokens.count) of \(rounds); \(log.output.prefix(400))")
        }

        /// Nobody who is denied keeps a vault open that is left alone.
        @Test func `a vault that nobody may use locks for all their asking`() async throws {
            let machine = try await machine()
            try await machine.keep("agent", "--idle", "2s")
            let attacks = ["asks", "lists", "watches"].map { Attack(machine, $0, as: machine.stranger) }
            let isLocked = try await eventually {
                await machine.ask(as: machine.stranger, "GET", "/v1/status").body.contains(#""locked":true"#)
            }
            #expect(isLocked)
            withExtendedLifetime(attacks) {}
        }
    }
}
