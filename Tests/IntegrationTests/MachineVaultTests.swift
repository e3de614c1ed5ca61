import Foundation
import TestSupport
import Testing

extension MachineTests {
    /// The vault of a machine, its keeper, and those whom it serves.
    @Suite struct MachineVaultTests {
        private func owners(_ folder: String) throws -> Set<Int> {
            let names = try FileManager.default.subpathsOfDirectory(atPath: folder)
            return Set(
                try names.map {
                    try #require(FileManager.default.attributesOfItem(atPath: folder + "/" + $0)[.ownerAccountID] as? Int)
                })
        }

        private func ready() async throws -> Machine {
            let machine = try await Machine()
            try await machine.makeVaultFolder()
            #expect(await machine.administer("--system", "init").status == 0)
            return machine
        }

        private func add(_ machine: Machine) async throws {
            let keys = try await machine.server.newKeys("torq")
            let url = machine.server.address + "/torq/v1/auth/token"
            let added = await machine.administer(
                "add", "torq", "--system", "--provider", "torq", "--token-url", url, "--from-json", "-", input: keys.json)
            #expect(added.status == 0, "\(added.errors)")
        }

        /// As the service does it.
        private func serve(_ machine: Machine) async {
            let started = await machine.administer("--system", "agent")
            #expect(started.status == 0, "\(started.errors)")
        }

        @Test func `an administrator works on it, and nothing there is root's`() async throws {
            let machine = try await ready()
            try await add(machine)
            #expect(await machine.administer("list").refuses(69, "the agent of this machine does not run"))
            await serve(machine)
            #expect(await machine.administer("--system", "allow", "torq", "--user", machine.developer).status == 0)
            let token = await machine.develop("token", "torq")
            #expect(token.status == 0, "\(token.errors)")
            #expect(await machine.administer("list").output.contains("torq"))
            #expect(await machine.administer("--system", "check", "torq").status == 0)
            // A command of the administrator's runs as the administrator.
            let who = await machine.administer("exec", "--system", "torq", "--", "/usr/bin/id", "-u")
            #expect(who.output == "0\n", "\(who.errors)")
            let keeper = unsafe try #require(getpwnam(machine.keeper)).pointee.pw_uid
            #expect(try owners(Machine.vaultFolder) == [Int(keeper)])
            #expect(try owners(Machine.folder) == [Int(keeper)])
        }

        @Test func `no second agent is ever started on it`() async throws {
            let machine = try await ready()
            // Nobody but its service starts it: only there is the folder that all may connect to.
            #expect(await machine.administer("--system", "unlock").refuses(69, "systemctl start claviger-agent"))
            await serve(machine)
            #expect(await machine.administer("--system", "lock").errors.contains("locked"))
            #expect(await machine.develop("token", "torq").refuses(77, "the agent of this machine is locked"))
            #expect(await machine.develop("token", "torq").errors.contains("tell " + machine.keeper))
            #expect(await machine.administer("token", "torq").refuses(77, "claviger --system unlock"))
            #expect(await machine.administer("unlock").refuses(77, "claviger --system works on it"))
            let named = ["CLAVIGER_VAULT": Machine.vaultFolder + "/vault", "CLAVIGER_KEY_FILE": Machine.vaultFolder + "/key"]
            let unlocked = await machine.run(as: machine.keeper, [machine.home.file("claviger"), "unlock"], named)
            #expect(unlocked.status == 0, "\(unlocked.errors)")
            #expect(await machine.administer("--system", "status").output.contains("unlocked"))
            #expect(await machine.administer("lock").refuses(69, "no agent of yours runs"))
            #expect(await machine.administer("agent", "stop").refuses(69, "--system"))
            #expect(await machine.administer("--system", "agent", "stop").status == 0)
            #expect(await machine.administer("--system", "agent", "stop").refuses(69, "no agent runs"))
        }

        @Test func `who is served by it is led to its keeper, and makes no vault`() async throws {
            let machine = try await ready()
            try await add(machine)
            #expect(await machine.develop("token", "torq").refuses(69, "the agent of this machine does not run"))
            await serve(machine)
            for command in [
                ["check", "torq"], ["rotate", "torq"], ["revoke", "torq"], ["policy", "list"],
                ["allow", "torq", "--user", machine.keeper],
                ["unlock"],
                ["key", "list"], ["edit", "torq", "--scope", "a"], ["log"], ["agent"],
            ] {
                let result = await machine.run(as: machine.developer, [machine.home.file("claviger")] + command)
                #expect(result.refuses(77, "that of this machine is kept by \(machine.keeper)"), "\(command): \(result.errors)")
                #expect(!result.errors.contains("init") && result.errors.contains("ask " + machine.keeper), "\(result.errors)")
            }
            #expect(await machine.develop("list").errors.contains("nothing in the vault of this machine is allowed to you"))
            // A vault of one's own is nobody's business, and --system then means the other.
            let key = ["CLAVIGER_KEY_FILE": machine.home.file("developer/key")]
            let program = [machine.home.file("claviger")]
            #expect(await machine.run(as: machine.developer, program + ["init"], key).status == 0)
            #expect(await machine.administer("--system", "allow", "torq", "--user", machine.developer).status == 0)
            #expect(await machine.run(as: machine.developer, program + ["token", "torq"], key).refuses(66, "no credential"))
            #expect(await machine.run(as: machine.developer, program + ["token", "torq", "--system"], key).status == 0)
            #expect(await machine.run(as: machine.developer, program + ["status"], key).output.contains("this machine's"))
            #expect(
                await machine.run(as: machine.developer, program + ["--system", "check", "torq"], key)
                    .refuses(77, "the vault of this machine is kept by"))
        }

        @Test func `--system is refused where it means nothing`() async throws {
            let machine = try await Machine()
            #expect(await machine.administer("--system", "--vault", "/tmp/x", "list").refuses(64, "exclude each other"))
            rmdir(Machine.folder)
            #expect(await machine.administer("--system", "list").refuses(66, "this machine has no vault of its own"))
        }
    }
}
