import Foundation
import TestSupport
import Testing

@testable import Linux

@Suite struct HostIdentityTests {
    private let folder = TemporaryFolder()
    private var state: String { folder.file("state/claviger") }
    private var file: String { state + "/host" }

    private func identity(
        in folder: String?, machine: String? = "made-up-machine", name: String? = "made-up-name",
        environment: [String: String] = [:]
    ) -> HostIdentity {
        HostIdentity.current(stateFolder: folder, environment: environment, machine: machine, name: name)
    }

    @Test func `makes a random id once and keeps it`() throws {
        let first = identity(in: state)
        #expect(first.id.count == 32 && first.legacy == "made-up-machine")
        #expect(identity(in: state) == first)
        #expect(try Path.status(of: file).permissions == 0o600)
        #expect(identity(in: folder.file("another")).id != first.id)
    }

    @Test func `a folder copied to another machine gets a new id`() throws {
        let first = identity(in: state)
        let copy = folder.file("copy")
        try FileManager.default.copyItem(atPath: state, toPath: copy)
        let second = identity(in: copy, machine: "another-machine")
        #expect(second.id != first.id && second.id.count == 32)
        #expect(identity(in: copy, machine: "another-machine") == second)
        #expect(!second.owns(first.id) && !second.owns(first.legacy))
        // Without a machine-id it can't be told that it is the same machine.
        #expect(identity(in: state, machine: nil).id != first.id)
    }

    @Test func `owns its own logins and those of the older mark`() {
        let here = HostIdentity(id: "new", legacy: "machine")
        #expect(here.owns("new") && here.owns("machine"))
        #expect(!here.owns("other") && !here.owns(""))
    }

    @Test func `the environment overrides the file`() throws {
        let environment = ["CLAVIGER_HOST_ID": "made-up-id"]
        #expect(identity(in: state, environment: environment) == HostIdentity(id: "made-up-id", legacy: "made-up-machine"))
        #expect(!Path.exists(file))
        #expect(identity(in: state, environment: ["CLAVIGER_HOST_ID": ""]).id.count == 32)
    }

    @Test func `without a folder the machine is known by its machine-id, else by its name`() {
        #expect(identity(in: nil).id == "made-up-machine")
        #expect(identity(in: nil, machine: nil).id == "made-up-name")
        #expect(identity(in: nil, machine: nil, name: nil).id == "unknown")
    }

    @Test func `a folder that cannot be written is as none`() throws {
        folder.write("file", "not a folder")
        #expect(identity(in: folder.file("file/state")) == HostIdentity(id: "made-up-machine", legacy: "made-up-machine"))
        #expect(identity(in: "/proc/made-up").id == "made-up-machine")
    }

    @Test(arguments: [
        "", "claviger-host-1", "claviger-host-2 00112233445566778899aabbccddeeff made-up-machine\n",
        "claviger-host-1 0 made-up-machine",
    ])
    func `a file that says something else is replaced`(_ text: String) throws {
        try Path.makeFolders(state)
        try Data(text.utf8).write(to: URL(fileURLWithPath: file))
        let made = identity(in: state)
        #expect(made.id.count == 32 && made.id != "00112233445566778899aabbccddeeff")
        #expect(identity(in: state) == made)
    }

    @Test func `many processes at once end with one id`() async throws {
        // Each has a lock of its own, as a process has: it belongs to the open file.
        let ids = await withTaskGroup(of: String.self) { group in
            for _ in 0..<64 { group.addTask { identity(in: state).id } }
            return await group.reduce(into: Set<String>()) { $0.insert($1) }
        }
        #expect(ids.count == 1)
        // So do those that find a copy.
        let copies = await withTaskGroup(of: String.self) { group in
            for _ in 0..<64 { group.addTask { identity(in: state, machine: "another-machine").id } }
            return await group.reduce(into: Set<String>()) { $0.insert($1) }
        }
        #expect(copies.count == 1 && copies != ids)
        #expect(Path.names(inFolder: state).filter { $0.contains(".new-") } == [])
    }

    @Test func `reads the id again when it has waited for another that made one`() async throws {
        try Path.makeFolders(state)
        var lock: File? = try File.openLock(file + ".lock")
        #expect(try lock?.tryLock(byte: 0) == true)
        let waiting = Task.detached { [state] in
            HostIdentity.current(stateFolder: state, environment: [:], machine: "made-up-machine", name: nil).id
        }
        // It has found no id by now, and waits.
        try await Task.sleep(for: .milliseconds(200))
        let id = "00112233445566778899aabbccddeeff"
        folder.write("state/claviger/host", "claviger-host-1 \(id) made-up-machine\n")
        lock = nil
        #expect(await waiting.value == id)
    }

    @Test func `this machine has an identity and a boot`() throws {
        let here = HostIdentity.current(stateFolder: nil, environment: [:])
        #expect(here.id == here.legacy && !here.id.isEmpty)
        #expect(UUID(uuidString: try #require(HostIdentity.boot)) != nil)
    }
}
