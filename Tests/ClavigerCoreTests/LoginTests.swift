import Foundation
import FoundationNetworking
import Synchronization
import TestSupport
import Testing

extension CommandFixture {
    /// Adds a credential of the practice server whose refresh tokens rotate.
    func addLogin(_ server: PracticeServer, _ grant: String, _ more: [String] = [], refreshToken: String? = nil)
        async throws
        -> ProgramResult
    {
        let keys = try await server.newKeys("logins")
        let token = refreshToken.map { #","refresh_token":"\#($0)""# } ?? ""
        let json = #"{"client_id":"\#(keys.id)","client_secret":"\#(keys.secret)"\#(token)}"#
        return await Program.run(
            Program.claviger,
            [
                "add", "a", "--grant", grant, "--client-auth", "post", "--token-url", server.address + "/logins/token",
                "--authorization-url", server.address + "/logins/authorize", "--device-url", server.address + "/logins/device",
                "--revocation-url", server.address + "/revoke", "--from-json", "-",
            ] + more, environment: environment, input: json)
    }

    /// Puts a new login in the place of the stored one.
    func logInAgain(_ server: PracticeServer) async -> ProgramResult {
        guard let token = try? await server.newLogin() else { return ProgramResult(status: -1, output: "", errors: "") }
        return await run("login", "a", "--refresh-token-file", "-", input: token)
    }

    /// A credential that is logged in, with its first refresh done.
    /// - Parameter grace: seconds in which the server accepts a refresh token that it has replaced.
    func loggedIn(_ server: PracticeServer, grace: Int? = nil) async throws {
        let added = try await addLogin(server, "refresh-token", refreshToken: try await server.newLogin())
        try #require(added.status == 0, "\(added.errors)")
        guard let grace else { return }
        try await server.request("POST", "/admin/grace/\(grace * 1000)")
        let edited = await run("edit", "a", "--refresh-token-grace", "\(grace)")
        try #require(edited.status == 0, "\(edited.errors)")
    }
}

@Suite(.timeLimit(.minutes(3))) struct LoginTests {
    private func browse(_ address: String) async throws -> (status: Int, page: String) {
        let (data, response) = try await URLSession(configuration: .ephemeral).data(from: URL(string: address)!)
        return ((response as? HTTPURLResponse)?.statusCode ?? 0, String(decoding: data, as: UTF8.self))
    }

    /// The address that a login shows.
    private func address(_ screen: String) throws -> String {
        let line = try #require(screen.split(whereSeparator: \.isNewline).first { $0.contains("response_type=code") })
        return String(line.drop { $0 != "h" })
    }

    private func login(
        _ fixture: CommandFixture, _ arguments: String..., environment: [String: String] = [:]
    ) -> PseudoTerminal {
        PseudoTerminal(
            Program.claviger, ["login", "a"] + arguments, environment: fixture.environment.merging(environment) { $1 },
            output: fixture.folder.file("out"))
    }

    /// Where the server would send the browser, without going there.
    private func landing(_ address: String) async -> String {
        await Program.run("/usr/bin/curl", ["-s", "-o", "/dev/null", "-w", "%{redirect_url}", address]).output
    }

    @Test func `over ssh, the browser and what is pasted wait side by side`() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        _ = try await fixture.addLogin(server, "authorization-code")
        let ssh = ["SSH_CONNECTION": "192.0.2.1 1 192.0.2.2 22"]
        let pasting = login(fixture, "--no-browser", environment: ssh)
        let landed = await landing(try address(try await pasting.expect("not shown: ")))
        pasting.type("https://127.0.0.1/?code=x&state=wrong\r")
        #expect(try await pasting.expect("not shown: ").contains("the answer to another login"))
        pasting.type("<\(landed)>\r")
        #expect(try await pasting.expect("logged in to").contains("logged in to “a”"))
        #expect(await pasting.wait() == 0)
        let browsing = login(fixture, "--no-browser", environment: ssh)
        let address = try address(try await browsing.expect("not shown: "))
        #expect(try await browse(address).page.contains("Logged in"))
        #expect(try await browsing.expect("logged in to").contains("logged in to “a”"))
        #expect(await browsing.wait() == 0 && browsing.echoes)
    }

    @Test func `a browser comes back with everybody's cookies and a long code`() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        _ = try await fixture.addLogin(server, "authorization-code", ["--redirect-uri", "http://127.0.0.1/back?app=%2F1"])
        let terminal = login(fixture, "--no-browser")
        let address = try address(try await terminal.expect("code_challenge_method=S256\r\n"))
        let landed = await landing(address)
        #expect(landed.contains("/back?app=%2F1&"))
        let cookies = fixture.folder.write("cookies", "-H \"Cookie: \(String(repeating: "made=up; ", count: 2000))\"\n")
        let long = landed.replacing("code=", with: "code=" + String(repeating: "x", count: 20_000))
        let page = await Program.run("/usr/bin/curl", ["-s", "-K", cookies, long])
        #expect(page.output.contains("Not logged in"), "\(page.output.prefix(300))")
        #expect(try await terminal.expect("hint").contains("invalid_grant"))
        #expect(await terminal.wait() != 0)
    }

    @Test func `a denial without a state ends the login at once`() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        _ = try await fixture.addLogin(server, "authorization-code")
        let terminal = login(fixture, "--no-browser")
        let landed = await landing(try address(try await terminal.expect("code_challenge_method=S256\r\n")))
        let base = try #require(landed.split(separator: "?").first.map(String.init))
        #expect(try await browse(base + "?error=access_denied").page.contains("Not logged in"))
        #expect(try await terminal.expect("hint").contains("error: the login was refused (access_denied)"))
        #expect(await terminal.wait() == 77)
    }

    @Test func theBrowserComesBackWithALogin() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        let added = try await fixture.addLogin(server, "authorization-code")
        #expect(added.errors.contains("log in with claviger login a"))
        #expect(await fixture.run("token", "a").refuses(77, "nobody is logged in"))
        let terminal = login(fixture, "--no-browser")
        let screen = try await terminal.expect("code_challenge_method=S256\r\n")
        let address = try address(screen)
        // Another page that guesses the port, and a browser that asks for an icon, end nothing.
        let base = try #require(URLComponents(string: address)?.queryItems?.first { $0.name == "redirect_uri" }?.value)
        #expect(try await browse(base + "?code=x&state=wrong").page.contains("another login"))
        #expect(try await browse(base.replacing("/callback", with: "/favicon.ico")).status == 404)
        let landed = try await browse(address)
        #expect(landed.page.contains("Logged in") && landed.page.contains("You can close this tab"))
        #expect(!landed.page.contains("<script"))
        #expect(try await terminal.expect("logged in to").contains("logged in to “a”"))
        #expect(await terminal.wait() == 0)
        let token = await fixture.run("token", "a").output
        #expect(try await server.isAccepted(String(token.dropLast())))
        #expect(await fixture.run("show", "a").output.contains("logged in since"))
        #expect(await fixture.run("revoke", "a").errors.contains("ended the login at the server; revoked 1 token"))
        #expect(await fixture.run("list").output.contains("login needed"))
    }

    @Test func aDenialHasItsWords() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        _ = try await fixture.addLogin(server, "authorization-code", ["--authorization-param", "deny=1"])
        let terminal = login(fixture, "--no-browser")
        let address = try address(try await terminal.expect("deny=1\r\n"))
        #expect(try await browse(address).page.contains("Not logged in"))
        #expect(try await terminal.expect("hint").contains("error: the login was refused (access_denied)"))
        #expect(await terminal.wait() == 77)
    }

    @Test func aLoginWithoutARefreshTokenIsNone() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        let keys = try await server.newKeys("logins")
        let added = await fixture.run(
            "add", "a", "--provider", "google", "--token-url", server.address + "/logins/token", "--authorization-url",
            server.address + "/logins/authorize", "--from-json", "-", input: keys.json)
        #expect(added.status == 0, "\(added.errors)")
        try await server.fail(#"{"body":"{\"access_token\":\"a\",\"expires_in\":3600}"}"#)
        let terminal = login(fixture, "--no-browser")
        let address = try address(try await terminal.expect("prompt=consent\r\n"))
        #expect(try await browse(address).page.contains("Not logged in"))
        #expect(try await terminal.expect("again").contains("https://myaccount.google.com/permissions"))
        #expect(await terminal.wait() == 69)
        #expect(await fixture.run("token", "a").refuses(77, "nobody is logged in"))
    }

    @Test func aPortThatIsTaken() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        let taken = server.address.replacing("http://127.0.0.1:", with: "")
        _ = try await fixture.addLogin(server, "authorization-code", ["--redirect-uri", "http://127.0.0.1:\(taken)/callback"])
        #expect(await fixture.run("login", "a", "--no-browser").refuses(69, "cannot listen on port \(taken)"))
        #expect(await fixture.run("login", "a", "--no-browser", "--port", "1").refuses(64, "has the port \(taken)"))
    }

    /// `localhost` may be either address for the browser: whoever listens on the other one would get the code.
    @Test func `a port that another process has on the other address of this machine`() async throws {
        let other = socket(AF_INET6, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(other) }
        var address = sockaddr_in6()
        address.sin6_family = sa_family_t(AF_INET6)
        address.sin6_addr = in6addr_loopback
        var length = socklen_t(MemoryLayout<sockaddr_in6>.size)
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(other, $0, length) == 0 && listen(other, 1) == 0 && getsockname(other, $0, &length) == 0
            }
        }
        // A machine without IPv6 has no other address.
        guard isBound else { return }
        let port = UInt16(bigEndian: address.sin6_port)
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        _ = try await fixture.addLogin(server, "authorization-code", ["--redirect-uri", "http://localhost:\(port)/callback"])
        #expect(await fixture.run("login", "a", "--no-browser").refuses(69, "cannot listen on port \(port)"))
    }

    @Test func logInsThatAreNone() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        _ = try await fixture.addTorq(server)
        #expect(await fixture.run("login", "torq").refuses(64, "client-credentials needs no login"))
        _ = try await fixture.addLogin(server, "authorization-code", ["--redirect-uri", "https://127.0.0.1"])
        #expect(await fixture.run("login", "a").refuses(64, "a login needs somebody at a terminal"))
        #expect(await fixture.run("login", "a", "--timeout", "0").refuses(64, "--timeout"))
    }

    @Test func nobodyComing() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        _ = try await fixture.addLogin(server, "authorization-code")
        #expect(
            await fixture.run("login", "a", "--no-browser", "--timeout", "1").errors.contains(
                "error: nobody logged in within 1 s"))
    }

    @Test func theBrowserOfTheEnvironmentIsOpened() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        _ = try await fixture.addLogin(server, "authorization-code")
        let browser = fixture.folder.write("browser", "#!/bin/sh\nexec curl --silent --location --output /dev/null \"$1\"\n")
        chmod(browser, 0o700)
        let result = await fixture.run("login", "a", environment: fixture.environment.merging(["BROWSER": browser]) { $1 })
        #expect(result.status == 0, "\(result.errors)")
        #expect(result.errors.contains("logged in to “a”"))
    }

    @Test func theAddressIsPastedWhereTheBrowserCannotComeBack() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        _ = try await fixture.addLogin(server, "authorization-code", ["--redirect-uri", "https://127.0.0.1"])
        let terminal = login(fixture)
        let screen = try await terminal.expect("not shown: ")
        let headers = await Program.run("/usr/bin/curl", ["--silent", "--head", "--request", "GET", try address(screen)])
        let line = try #require(
            headers.output.split(whereSeparator: \.isNewline).first { $0.lowercased().hasPrefix("location: ") })
        terminal.type(line.dropFirst(10) + "\n")
        #expect(try await terminal.expect("logged in to").contains("logged in to “a”"))
        #expect(await terminal.wait() == 0)
    }

    @Test func anotherDeviceTypesTheCode() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        _ = try await fixture.addLogin(server, "device-code")
        let terminal = login(fixture)
        let screen = try await terminal.expect("waiting for")
        #expect(screen.contains("https://example.com/device"))
        let code = try #require(screen.split(whereSeparator: \.isNewline).first { $0.count == 21 && $0.contains("-") }).suffix(9)
        try await server.request("POST", "/admin/device/\(code)?approve=1")
        #expect(try await terminal.expect("logged in to").contains("logged in to “a”"))
        #expect(await terminal.wait() == 0)
    }

    @Test func aRefreshTokenThatAPersonHolds() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        let refused = try await fixture.addLogin(server, "refresh-token", refreshToken: "made-up-wrong")
        #expect(refused.refuses(77, "the login has ended"))
        #expect(await fixture.run("list").errors.contains("the vault is empty"))
        try await fixture.loggedIn(server)
        #expect(await fixture.run("token", "a").status == 0)
        #expect(await fixture.run("token", "a", "--fresh").status == 0)
        #expect(try await server.reuses() == 0)
    }

    @Test func aUserAndPasswordInTheQuery() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        func add(_ password: String) async -> ProgramResult {
            await fixture.run(
                "add", "sim", "--provider", "iot-x", "--token-url", server.address + "/query", "--username", "made-up-user",
                "--password-file", "-", input: password)
        }
        #expect(await add("made-up-wrong").refuses(77, "does not accept"))
        let added = await add("made-up-password")
        #expect(added.status == 0, "\(added.errors)")
        #expect(await fixture.run("token", "sim", "--format", "json").output.contains(#""token_type" : "access""#))
        #expect(await fixture.run("token", "sim", "--format", "header").output.hasPrefix("Authorization: Bearer "))
        #expect(fixture.folder.filesHolding("made-up-password") == [])
    }

    @Test func rotatingTheKeyPairOfALogin() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        try await fixture.loggedIn(server)
        let new = try await server.newKeys("logins")
        #expect(await fixture.run("rotate", "a", "--secret-file", "-", input: "made-up-wrong").refuses(77, "invalid_client"))
        let rotated = await fixture.run("rotate", "a", "--from-json", "-", input: new.json)
        #expect(rotated.status == 0, "\(rotated.errors)")
        #expect(await fixture.run("token", "a", "--fresh").status == 0)
        #expect(try await server.reuses() == 0)
    }
}

@Suite struct RotatingALoginTests {
    /// The server takes the new pair and not the refresh token: the pair must not be lost with the login.
    @Test func theNewPairOutlivesALoginThatHasEnded() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        try await fixture.loggedIn(server)
        let new = try await server.newKeys("logins")
        try await server.fail(#"{"status":400,"body":"{\"error\":\"invalid_grant\"}"}"#)
        let rotated = await fixture.run("rotate", "a", "--from-json", "-", input: new.json)
        #expect(rotated.status == 0, "\(rotated.errors)")
        #expect(rotated.errors.contains("log in with claviger login a"))
        #expect(try await fixture.show("a")["client_id"] as? String == new.id)
        #expect(await fixture.run("list").output.contains("login needed"))
        #expect(await fixture.run("login", "a", "--refresh-token-file", "-", input: try await server.newLogin()).status == 0)
        #expect(await fixture.run("token", "a", "--fresh").status == 0)
    }
}

/// What claviger exists for: with rotation and reuse detection on, no login is lost.
private enum Strace {
    static let program = "/usr/bin/strace"
    static let isThere = geteuid() == 0 && FileManager.default.isExecutableFile(atPath: program)

    /// Nobody may have waited for it yet.
    static func hasEnded(_ process: pid_t) -> Bool {
        let status = String(decoding: bytes(ofFile: "/proc/\(process)/status"), as: UTF8.self)
        return status.isEmpty || status.contains("State:\tZ")
    }

    /// Each of its threads: strace takes them one after the other.
    static func isTracing(_ process: pid_t) -> Bool {
        let threads = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(process)/task")) ?? []
        return !threads.isEmpty
            && threads.allSatisfy {
                let status = String(decoding: bytes(ofFile: "/proc/\(process)/task/\($0)/status"), as: UTF8.self)
                return !status.contains("TracerPid:\t0\n")
            }
    }

    /// Ends the process at the nth call of this name that one of its threads makes.
    static func killing(at call: String, _ step: Int) -> [String] {
        ["-qq", "-f", "-o", "/dev/null", "-e", "trace=\(call)", "-e", "inject=\(call):signal=KILL:when=\(step)"]
    }
}

@Suite(.timeLimit(.minutes(10)), .serialized) struct NeverLoseALoginTests {
    /// How often a race is run; `CLAVIGER_TEST_ROUNDS=200 make test` runs it more often than patience allows each time.
    private static func rounds(_ usual: Int) -> Int {
        ProcessInfo.processInfo.environment["CLAVIGER_TEST_ROUNDS"].flatMap(Int.init) ?? usual
    }

    @Test func manyProcessesAndOneRotatingRefreshToken() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        try await fixture.loggedIn(server)
        for round in 0..<Self.rounds(20) {
            // A token that has ended when it is stored, then 32 processes that all need another.
            try await server.fail(#"{"expires_in":0}"#)
            #expect(await fixture.logInAgain(server).status == 0)
            let before = try await server.counts().requests
            let outputs = await withTaskGroup(of: ProgramResult.self) { group in
                for _ in 0..<32 { group.addTask { await fixture.run("token", "a") } }
                return await group.reduce(into: []) { $0.append($1) }
            }
            #expect(outputs.allSatisfy { $0.status == 0 }, "round \(round): \(outputs.first { $0.status != 0 }?.errors ?? "")")
            #expect(Set(outputs.map(\.output)).count == 1)
            #expect(try await server.counts().requests == before + 1)
        }
        #expect(try await server.reuses() == 0)
    }

    /// Killed at any moment of a refresh: with a grace period, the login survives each time.
    @Test func killedAtAnyMoment() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        try await fixture.loggedIn(server, grace: 60)
        try await server.expireAtOnce(Self.rounds(60) * 2)
        for _ in 0..<Self.rounds(60) {
            let child = Program.spawn(
                Program.core, ["token", "a"], environment: fixture.environment, input: "/dev/null", output: "/dev/null",
                errors: "/dev/null")
            usleep(UInt32.random(in: 0...60_000))
            kill(child, SIGKILL)
            _ = await Program.wait(child)
            let next = await fixture.run("token", "a")
            #expect(next.status == 0, "\(next.errors)")
        }
        #expect(try await server.reuses() == 0)
    }

    /// An agent that refreshes the login of `home`, and is ended at one step of it. Whoever comes next has the key.
    /// - Returns: whether the step was reached.
    private func killsAgent(_ home: AgentHome, at call: String, _ step: Int, afterTheRequest: Bool) async throws -> Bool {
        let before = try await home.server.counts().requests
        try await home.unlock()
        let agent = try home.pid
        func trace() async throws -> Task<ProgramResult, Never> {
            let arguments = Strace.killing(at: call, step) + ["-p", "\(agent)"]
            let tracing = Task { await Program.run(Strace.program, arguments) }
            _ = try await eventually { Strace.isTracing(agent) || Strace.hasEnded(agent) }
            return tracing
        }
        var tracing = afterTheRequest ? nil : try await trace()
        async let caller = home.run("token", "a", as: home.admin)
        if afterTheRequest {
            while try await home.server.counts().requests == before { try await Task.sleep(for: .milliseconds(5)) }
            tracing = try await trace()
        }
        let result = await caller
        #expect(result.status == 0, "\(call) \(step): \(result.errors)")
        let isDead = Strace.hasEnded(agent)
        if !isDead { kill(agent, SIGKILL) }
        _ = await tracing?.value
        let next = await home.run("token", "a", as: home.admin)
        #expect(next.status == 0, "\(call) \(step): \(next.errors)")
        return isDead
    }

    /// - Returns: how many steps of each kind of call were reached. It differs from run to run, since strace counts for each
    ///   thread by itself, and which thread makes a call is the scheduler's choice.
    private func killAtEachStep(_ calls: [String], afterTheRequest: Bool) async throws -> [String: Int] {
        let home = try await AgentHome()
        try await home.fixture.loggedIn(home.server, grace: 60)
        // Every token has ended when it is stored, so that every call refreshes.
        try await home.server.expireAtOnce(400, delay: afterTheRequest ? 300 : 0)
        #expect(await home.fixture.logInAgain(home.server).status == 0)
        var steps = [String: Int]()
        for call in calls {
            for step in 1...12 {
                guard try await killsAgent(home, at: call, step, afterTheRequest: afterTheRequest) else { break }
                steps[call, default: 0] += 1
            }
        }
        #expect(try await home.server.reuses() == 0)
        return steps
    }

    /// Killed at each step: strace ends the agent at its first, second, third ... call of each kind that changes anything,
    /// until there is no further one. Afterwards the login works each time.
    @Test(.enabled(if: Strace.isThere, "make test installs strace, and root may use it"))
    func killedAtEachStepUpToTheRequest() async throws {
        let calls = ["fallocate", "ftruncate", "fsync", "rename", "connect"]
        let steps = try await killAtEachStep(calls, afterTheRequest: false)
        #expect(Set(steps.keys) == Set(calls))
    }

    /// The same from the moment on in which the request is with the server.
    @Test(.enabled(if: Strace.isThere, "make test installs strace, and root may use it"))
    func killedAtEachStepAfterTheRequest() async throws {
        let calls = ["openat", "ftruncate", "fsync", "rename"]
        let steps = try await killAtEachStep(calls, afterTheRequest: true)
        #expect(Set(steps.keys) == Set(calls))
    }

    /// A command that is stopped in the middle of a refresh keeps nobody waiting: its refresher goes on.
    @Test func `a stopped command keeps nobody from its token`() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        try await fixture.loggedIn(server)
        let before = try await server.counts().requests
        try await server.fail(#"{"delay":300}"#)
        let stopped = Program.spawn(
            Program.core, ["token", "a", "--fresh"], environment: fixture.environment, input: "/dev/null",
            output: fixture.folder.file("stopped"), errors: "/dev/null")
        while try await server.counts().requests == before { try await Task.sleep(for: .milliseconds(5)) }
        kill(stopped, SIGSTOP)
        // The cached token is handed out all the same: readers take no claim.
        #expect(await fixture.run("token", "a").status == 0)
        // Whoever wants a new one waits for the one that is on its way.
        let other = await fixture.run("token", "a", "--fresh")
        #expect(other.status == 0, "\(other.errors)")
        #expect(try await server.counts().requests == before + 1)
        kill(stopped, SIGCONT)
        #expect(await Program.wait(stopped) == 0)
        let output = String(decoding: bytes(ofFile: fixture.folder.file("stopped")), as: UTF8.self)
        #expect(output == other.output)
        #expect(try await server.reuses() == 0)
    }

    /// Killed after the server has rotated and before the answer came: without a grace period the login is lost, and the
    /// truth is told.
    @Test func killedBetweenTheServersWorkAndItsAnswer() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        try await fixture.loggedIn(server)
        // No token lives that a second try could cost.
        try await server.expireAtOnce(1)
        #expect(await fixture.logInAgain(server).status == 0)
        try await server.fail(#"{"lose_answer":true}"#)
        let lost = await fixture.run("token", "a")
        #expect(lost.refuses(77, "the server's answer was lost at"))
        #expect(lost.errors.contains("claviger login a"))
        #expect(await fixture.run("token", "a").refuses(77, "the login has ended"))
        #expect(await fixture.run("list").output.contains("login needed"))
        let again = try await server.newLogin()
        #expect(await fixture.run("login", "a", "--refresh-token-file", "-", input: again).status == 0)
        #expect(await fixture.run("token", "a", "--fresh").status == 0)
    }

    @Test func withAGracePeriodALostAnswerCostsNothing() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        try await fixture.loggedIn(server, grace: 60)
        try await server.fail(#"{"lose_answer":true}"#)
        #expect(await fixture.run("token", "a", "--fresh").status == 0)
        #expect(await fixture.run("token", "a", "--fresh").status == 0)
    }

    /// Found out before the refresh token is spent.
    @Test(.enabled(if: geteuid() == 0, "needs root, to mount a small file system"))
    func aFullDiskSpendsNothing() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        try await fixture.loggedIn(server)
        let disk = fixture.folder.file("disk")
        mkdir(disk, 0o700)
        #expect(await Program.run("/usr/bin/mount", ["-t", "tmpfs", "-o", "size=64k", "none", disk]).status == 0)
        try FileManager.default.copyItem(atPath: fixture.vault, toPath: disk + "/vault")
        let before = try await server.counts().requests
        let full = await fixture.run("token", "a", "--fresh", "--vault", disk + "/vault")
        let after = try await server.counts().requests
        _ = await Program.run("/usr/bin/umount", ["-l", disk])
        #expect(full.refuses(74, "the disk is full"))
        #expect(before == after)
        #expect(await fixture.run("token", "a", "--fresh").status == 0)
    }

    @Test func aVaultThatCannotBeWrittenSpendsNothing() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        try await fixture.loggedIn(server)
        let before = try await server.counts().requests
        // Even root can't make a file where a folder of that name is in the way of the lock.
        unlink(fixture.vault + ".lock")
        mkdir(fixture.vault + ".lock", 0o700)
        #expect(await fixture.run("token", "a", "--fresh").status == 66)
        #expect(try await server.counts().requests == before)
        rmdir(fixture.vault + ".lock")
        #expect(await fixture.run("token", "a", "--fresh").status == 0)
    }
}
