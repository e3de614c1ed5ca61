import Foundation
import OAuth

/// libFuzzer's own loop: SwiftPM names the program's entry itself, so that its `main` can't be used.
@_silgen_name("LLVMFuzzerRunDriver")
private func runFuzzer(
    _ count: UnsafeMutablePointer<CInt>, _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
    _ callback: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

/// Gives the fuzzer's bytes to the parser that `$FUZZ_TARGET` names; a crash, a hang or a broken promise ends it.
@main
enum Fuzz {
    static func main() {
        var count = CommandLine.argc
        var arguments = CommandLine.unsafeArgv
        exit(
            runFuzzer(&count, &arguments) { start, count in
                target(Array(UnsafeBufferPointer(start: start, count: count)))
                return 0
            })
    }
}

private let target: @Sendable ([UInt8]) -> Void =
    switch ProcessInfo.processInfo.environment["FUZZ_TARGET"] {
    case "token-response": tokenResponse
    case "refresh-token": refreshToken
    case "revocation": revocation
    case "metadata": metadata
    case "device-codes": deviceCodes
    case "retry-after": retryAfter
    case "redirect": redirect
    default: fatalError("set FUZZ_TARGET")
    }

private let now = Date(timeIntervalSince1970: 784_111_770)

/// Tokens and errors: the first byte chooses the status, and whether the body was cut off.
@Sendable private func tokenResponse(_ bytes: [UInt8]) {
    let statuses = [200, 201, 302, 400, 401, 429, 500, 999]
    let first = Int(bytes.first ?? 0)
    let answer = TokenResponse.read(
        status: statuses[first % statuses.count], headers: [:], body: Array(bytes.dropFirst()), isWhole: first < 128, now: now)
    if let refreshToken = answer.refreshToken?.withBytes({ $0.array() }) {
        precondition(refreshToken.count > 0 && refreshToken[0] > 0x20 && refreshToken[refreshToken.count - 1] > 0x20)
    }
    guard case .success(let tokens) = answer.result else { return }
    precondition(tokens.accessToken.withBytes { $0.array() }.allSatisfy { (0x21...0x7E).contains($0) })
    precondition(tokens.expiresIn.map { (0...315_360_000).contains($0) } ?? true)
}

/// The scanner alone: an answer that begins with a whole refresh token keeps it, whatever follows and wherever that ends, but
/// for another refresh token and for characters that make JSON of it.
@Sendable private func refreshToken(_ bytes: [UInt8]) {
    let rest = bytes.filter { !Array("\"'{}[]\\".utf8).contains($0) }
    let body = Array(#"{"refresh_token":"made-up","#.utf8) + rest
    let answer = TokenResponse.read(status: 200, headers: [:], body: body, isWhole: false, now: now)
    precondition(answer.refreshToken?.revealed() == "made-up")
    _ = TokenResponse.read(status: 200, headers: [:], body: bytes, isWhole: false, now: now)
}

/// The first byte chooses the status.
@Sendable private func revocation(_ bytes: [UInt8]) {
    let statuses = [200, 204, 302, 400, 401, 403, 503, 999]
    let status = statuses[Int(bytes.first ?? 0) % statuses.count]
    let answer = RevocationAnswer.read(status: status, headers: [:], body: Array(bytes.dropFirst()), now: now)
    precondition(answer != .revoked || status < 300)
}

@Sendable private func metadata(_ bytes: [UInt8]) {
    guard let issuer = try? EndpointURL("https://server.example.com"),
        let metadata = try? ServerMetadata(parsing: bytes, issuer: issuer)
    else { return }
    precondition(metadata.tokenURL.scheme == "https" || metadata.tokenURL.isLoopback)
    _ = try? metadata.settings(grant: nil)
}

@Sendable private func deviceCodes(_ bytes: [UInt8]) {
    guard let json = JSONValue(parsing: bytes), let codes = try? DeviceCodes(parsing: json) else { return }
    precondition((1...86_400).contains(codes.expiresIn) && (1...3600).contains(codes.interval))
}

@Sendable private func retryAfter(_ bytes: [UInt8]) {
    let seconds = RetryAfter.seconds(String(decoding: bytes, as: UTF8.self), now: now)
    precondition(seconds.map { (0...86_400).contains($0) } ?? true)
}

private let request: AuthorizationRequest? = {
    guard let url = try? EndpointURL("https://example.com/x") else { return nil }
    var settings = ClientSettings(grant: .authorizationCode, tokenURL: url)
    settings.authorizationURL = url
    return try? settings.authorizationRequest(clientID: "id", redirectURI: "http://127.0.0.1:7/callback")
}()

@Sendable private func redirect(_ bytes: [UInt8]) {
    guard let request else { fatalError("no request") }
    let text = String(decoding: bytes, as: UTF8.self).replacing("STATE", with: request.state)
    _ = try? request.code(fromQuery: text)
    _ = try? request.code(fromPasted: text)
}
