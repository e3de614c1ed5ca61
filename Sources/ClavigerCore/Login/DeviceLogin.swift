import AgentProtocol
import Credentials
import FoundationEssentials
import OAuth
import TokenEngine

/// The login on another device (RFC 8628): show a code, and ask the server until somebody has typed it there.
struct DeviceLogin {
    let agent: any CredentialManager
    let name: String
    let drawsCode: Bool

    func run() async throws -> CredentialView {
        let codes = try await agent.deviceCodes(name)
        Terminal.tell("open \(Terminal.plain(codes.verificationURI)) on any device, and type:")
        Terminal.tell("  " + Terminal.plain(codes.userCode))
        if let complete = codes.completeURI { Terminal.tell("or open \(Terminal.plain(complete))") }
        if drawsCode, let picture = QRCode(codes.completeURI ?? codes.verificationURI) {
            _ = Terminal.draw(picture.drawing, columns: picture.columns)
        }
        Terminal.note("waiting for \(Report.duration(Double(codes.expiresIn)))")
        var interval = codes.interval
        let end = Date().addingTimeInterval(Double(codes.expiresIn))
        while Date() < end {
            try await Task.sleep(for: .seconds(interval))
            do {
                return try await agent.logIn(name, with: .deviceCode(codes.deviceCode))
            } catch TokenError.refused(.registered("authorization_pending")) {
                continue
            } catch TokenError.refused(.registered("slow_down")) {
                // Section 3.5: five seconds more for this and all later questions.
                interval += 5
            } catch TokenError.refused(.registered("access_denied")) {
                throw Problem("the login was refused (access_denied)", hint: again, .refused)
            } catch TokenError.refused(.registered("expired_token")) {
                break
            } catch TokenError.unreachable, TokenError.serverFailing, TokenError.busy {
                // Section 3.5: a question that found no answer is asked again, later.
                interval += 5
            }
        }
        throw Problem("nobody typed the code in time", hint: again, .tryAgain)
    }

    private var again: Hint { .loginAgain(name) }
}
