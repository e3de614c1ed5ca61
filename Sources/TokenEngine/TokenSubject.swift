import Glibc
import OAuth
import Sodium

/// What is exchanged for a token (RFC 8693 section 2.1), fetched anew for each exchange.
struct TokenSubject {
    let store: any TokenStateStore
    /// A valid token of another credential.
    let token: (String) async throws -> CachedToken

    /// Longer than any token that a server takes.
    static let fileLimit = 1 << 16

    /// - Returns: nil where none is wanted.
    /// - Throws: `TokenError.noSubject`.
    func fetch(_ wanted: ExchangedToken?) async throws(TokenError) -> Secret? {
        switch wanted?.source {
        case nil: return nil
        case .file(let path):
            guard let token = Self.contents(path) else { throw .noSubject(.file(path: path)) }
            return token
        case .credential(let name):
            guard let stored = try? await store.credential(name) else { throw .noSubject(.missing(name: name)) }
            // An exchange waits for its subject under its own lock. With none behind it, no circle can form.
            guard stored.configuration.settings.grant != .tokenExchange else { throw .noSubject(.exchange(name: name)) }
            do {
                return try await token(name).token
            } catch let failure as TokenError {
                throw .noSubject(.failed(name: name, failure))
            } catch {
                throw .noSubject(.missing(name: name))
            }
        }
    }

    /// The one line of a file; nil if there is none that could be a token.
    private static func contents(_ path: String) -> Secret? {
        guard let file = unsafe fopen(path, "re") else { return nil }
        defer { unsafe fclose(file) }
        var bytes = [UInt8](repeating: 0, count: fileLimit + 1)
        defer { bytes.wipe() }
        let count = unsafe fread(&bytes, 1, bytes.count, file)
        guard unsafe ferror(file) == 0, count <= fileLimit else { return nil }
        let token = bytes[..<count].drop { $0 <= 0x20 }
        let end = token.firstIndex { $0 <= 0x20 } ?? token.endIndex
        guard !token[..<end].isEmpty, token[end...].allSatisfy({ $0 <= 0x20 }), token[..<end].allSatisfy({ $0 < 0x7F })
        else { return nil }
        return try? Secret(utf8: String(decoding: token[..<end], as: UTF8.self))
    }
}
