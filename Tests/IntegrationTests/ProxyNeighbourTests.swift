import Foundation
import TestSupport
import Testing

/// Another user of the machine has the address of a proxy, out of the arguments of a program that was given it.
extension MachineTests.TwoUserTests {
    /// A command of the keeper's behind a proxy, with the address among its arguments as curl's has it.
    private struct Command: ~Copyable {
        let machine: Machine
        let files = TemporaryFolder()
        private let child: pid_t

        init(_ machine: Machine, _ options: [String] = []) {
            self.machine = machine
            let variables = ["HOME": machine.home.file("keeper"), "CLAVIGER_KEY_FILE": machine.home.file("keeper/key")]
            let sleeping = #"exec /usr/bin/python3 -c 'import time; time.sleep(60)' "$API_BASE_URL""#
            child = Program.spawn(
                "/usr/bin/setpriv",
                [
                    "--reuid", machine.keeper, "--regid", machine.keeper, "--init-groups", machine.home.file("claviger"), "exec",
                    "--proxy",
                ]
                    + options + ["api", "--", "/bin/sh", "-c", sleeping],
                environment: variables, input: "/dev/null", output: files.file("out"), errors: files.file("err"))
        }

        deinit {
            kill(child, SIGKILL)
            var status: Int32 = 0
            waitpid(child, &status, 0)
        }

        var errors: String { String(decoding: bytes(ofFile: files.file("err")), as: UTF8.self) }

        /// What every user reads in /proc.
        func address() async throws -> String {
            let script = #"tr '\0' '\n' < /proc/\#(child)/cmdline | grep '^http://127.0.0.1:[0-9]*/[0-9a-f]*$'"#
            var address = ""
            _ = try await eventually {
                address = await machine.run(as: machine.developer, ["/bin/sh", "-c", script]).output
                return !address.isEmpty
            }
            try #require(!address.isEmpty, "\(errors)")
            return address.trimmingCharacters(in: .newlines)
        }
    }

    private func api(_ machine: Machine) async throws -> PracticeServer {
        let certificates = try await Certificates()
        let api = try await PracticeServer(
            program: Python.program, arguments: [Python.script("api_server.py")] + certificates.pair("good"))
        let authority = machine.home.file("authority")
        try FileManager.default.copyItem(atPath: certificates.authority, toPath: authority)
        chmod(authority, 0o644)
        try await machine.keep("init")
        try await machine.add("api")
        try await machine.keep("edit", "api", "--api-url", api.address + "/v1", "--ca-file", authority)
        return api
    }

    /// curl's body and status.
    private static func ask(_ address: String) -> [String] {
        ["/usr/bin/curl", "-s", "-w", " %{http_code}", address + "/echo"]
    }

    @Test(.enabled(if: Python.isThere, "make test makes the virtual environment that this needs"))
    func `a neighbour who has the address is refused`() async throws {
        let machine = try await Machine()
        let api = try await api(machine)
        let command = Command(machine)
        let address = try await command.address()
        for _ in 0..<3 {
            let answer = await machine.run(as: machine.developer, Self.ask(address))
            #expect(answer.output.contains("this address is not for your user") && answer.output.hasSuffix(" 403"), "\(answer)")
        }
        // Root, who runs the tests, is another user, too.
        let root = Self.ask(address)
        #expect(await Program.run(root[0], Array(root.dropFirst())).output.hasSuffix(" 403"))
        let served = await machine.run(as: machine.keeper, Self.ask(address))
        #expect(served.output.contains(#""bearer": true"#) && served.output.hasSuffix(" 200"), "\(served)")
        let lines = command.errors.split(separator: "\n")
        #expect(
            lines.count == 2 && lines[0].contains("the user \(machine.developer) has tried to use the proxy's address"),
            "\(lines)")
        #expect(lines.last?.contains("the user root has tried") == true)
        withExtendedLifetime(api) {}
    }

    @Test(.enabled(if: Python.isThere, "make test makes the virtual environment that this needs"))
    func `a neighbour who is named is served`() async throws {
        let machine = try await Machine()
        let api = try await api(machine)
        let command = Command(machine, ["--proxy-user", machine.developer])
        let address = try await command.address()
        for user in [machine.developer, machine.keeper] {
            let served = await machine.run(as: user, Self.ask(address))
            #expect(served.output.contains(#""bearer": true"#) && served.output.hasSuffix(" 200"), "\(served)")
        }
        #expect(command.errors.isEmpty)
        withExtendedLifetime(api) {}
    }
}
