import Foundation
import TestSupport
import Testing

extension MachineTests {
    /// What users find on machines that are not like ours.
    @Suite struct OddMachineTests {
        /// Runs the program as the developer, who has a vault with a key file.
        private func run(_ machine: Machine, _ arguments: String..., variables: [String: String] = [:]) async -> ProgramResult {
            let key = ["CLAVIGER_KEY_FILE": machine.home.file("developer/key")]
            return await machine.run(
                as: machine.developer, [machine.home.file("claviger")] + arguments, key.merging(variables) { $1 })
        }

        /// Cron, su and services are not told where the session's agent is.
        @Test func `the agent is found by whoever is the user`() async throws {
            let machine = try await Machine()
            #expect(await run(machine, "init").status == 0)
            let user = unsafe try #require(getpwnam(machine.developer)).pointee.pw_uid
            let folder = "/run/user/\(user)"
            let isNew = mkdir("/run/user", 0o755) == 0
            defer {
                try? FileManager.default.removeItem(atPath: folder)
                if isNew { rmdir("/run/user") }
            }
            try #require(mkdir(folder, 0o700) == 0 && chown(folder, user, user) == 0)
            let session = ["XDG_RUNTIME_DIR": folder]
            #expect(await run(machine, "unlock", variables: session).status == 0)
            #expect(access(folder + "/claviger/agent.sock", F_OK) == 0)
            for variables in [session, [:], ["XDG_RUNTIME_DIR": Machine.folder], ["XDG_RUNTIME_DIR": "/run/user/0"]] {
                let status = await run(machine, "status", variables: variables)
                #expect(status.output.contains("unlocked"), "\(variables): \(status)")
            }
            #expect(await run(machine, "agent", "stop").status == 0)
            // Where there is no session, one is started in the home folder, and found from a session that begins then.
            try FileManager.default.removeItem(atPath: folder)
            #expect(await run(machine, "unlock").status == 0)
            try #require(mkdir(folder, 0o700) == 0 && chown(folder, user, user) == 0)
            #expect(await run(machine, "lock", variables: session).errors.contains("locked"))
            #expect(await run(machine, "agent", "stop", variables: session).status == 0)
        }

        /// People give it a capability so that it may lock memory; glibc then reads no tunables.
        @Test(.enabled(if: access("/usr/sbin/setcap", X_OK) == 0))
        func `a program with capabilities starts its agent`() async throws {
            let machine = try await Machine()
            #expect(await run(machine, "init").status == 0)
            let given = await Program.run("/usr/sbin/setcap", ["cap_ipc_lock+ep", machine.home.file("claviger-core")])
            try #require(given.status == 0, "\(given.errors)")
            #expect(await run(machine, "unlock").errors.contains("unlocked"))
            #expect(await run(machine, "list").status == 0)
            #expect(await run(machine, "agent", "stop").status == 0)
        }
    }
}
