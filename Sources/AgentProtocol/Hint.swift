/// What to do about a problem. It holds the credential's name; `text` is the only place that makes a command line of it.
public enum Hint: Sendable {
    case login(String)
    case loginAgain(String)
    case rotate(String)
    /// Send a refresh token again although its answer was lost.
    case resend(String)
    /// Finish a rotation whose new key pair could not be proven.
    case resumeRotation(String)
    /// A rotation that the server makes, and whose answer is lost.
    case renewAgain(String)
    case compareSettings(String)
    /// A login that belongs to another machine.
    case takeOver(String)
    case fixDiskAndLogin(String)
    case setEndpoint(String)
    case setAPIAddress(String)
    /// Exchange the token of another credential.
    case changeSubject(String)
    case rejectToken(String)
    /// Make room for a credential whose record can't be read any more.
    case removeDamaged(String)
    /// Ask for a rule.
    case askForRule(String)
    case askForScopes(String, [String])
    /// Hand out tokens of a blocked credential again.
    case unblock(String)
    /// Somebody is about to store a new key pair.
    case waitForRotation(String)
    case unlock
    case startAgent
    /// Seconds, where they are known.
    case tryAgain(after: Int?)
    case text(String)

    /// The sentence for a person, lower case and without a full stop.
    public var text: String {
        switch self {
        case .login(let name): "log in with " + Self.command("login", name)
        case .loginAgain(let name): "try again with " + Self.command("login", name)
        case .rotate(let name): "if it was regenerated, store the new one with " + Self.command("rotate", name)
        case .resend(let name):
            "send it once more with " + Self.command("token", name, "--resend") + ", which may end the login; or "
                + Self.command("login", name)
        case .resumeRotation(let name):
            "it is safe in the vault, and the old one still in use; finish with " + Self.command("rotate", name, "--resume")
        case .renewAgain(let name): "ask what became of it with " + Self.command("rotate", name, "--via-registration")
        case .compareSettings(let name): "compare " + Self.command("show", name) + " with the server's settings"
        case .takeOver(let name):
            "use claviger there, log in here with " + Self.command("login", name) + ", or take it over with --take-over"
        case .fixDiskAndLogin(let name): "free space, or fix the disk, then " + Self.command("login", name)
        case .setEndpoint(let name): Self.command("edit", name) + " sets it"
        case .setAPIAddress(let name): "set it with " + Self.command("edit", name, "--api-url URL")
        case .changeSubject(let name): "name another with " + Self.command("edit", name, "--subject OTHER")
        case .rejectToken(let name): Self.command("token", name, "--rejected") + " gets another"
        case .removeDamaged(let name):
            "the others are not affected; take it out with " + Self.command("remove", name) + ", and add it again"
        case .askForRule(let name): "ask whoever keeps the vault for " + Self.command("allow", name, "--user YOU")
        case .askForScopes(let name, let scopes):
            "leave --scope out, or ask whoever keeps the vault for "
                + Self.command("allow", name, "--user YOU" + scopes.map { " --scope " + Self.shellWord($0) }.joined())
        case .unblock(let name):
            Self.command("unblock", name) + " hands out tokens again, when its key pair has been replaced or the alarm was false"
        case .waitForRotation(let name): Self.command("token", name, "--wait 60s") + " waits for the new one"
        case .unlock: "claviger unlock opens its vault"
        case .startAgent: "claviger unlock starts one"
        case .tryAgain(let seconds?): "try again in \(seconds) s"
        case .tryAgain(nil): "try again later"
        case .text(let text): text
        }
    }

    /// `claviger login torq`; no credential's name begins with a hyphen.
    private static func command(_ command: String, _ name: String, _ options: String = "") -> String {
        "claviger " + command + " " + shellWord(name) + (options.isEmpty ? "" : " " + options)
    }

    /// One word for a POSIX shell: in single quotes if it holds an ASCII character that a shell could take for more than itself
    /// (POSIX.1-2024, XCU 2.2).
    public static func shellWord(_ text: String) -> String {
        let isPlain = text.utf8.allSatisfy { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x80...0xFF: true
            case UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "/"), UInt8(ascii: ":"), UInt8(ascii: "@"),
                UInt8(ascii: "+"), UInt8(ascii: ","), UInt8(ascii: "%"):
                true
            default: false
            }
        }
        return isPlain && !text.isEmpty ? text : ShellQuotes.quoted(text)
    }
}

/// Single quotes, within which a POSIX shell takes everything as it stands (XCU 2.2.2).
public enum ShellQuotes {
    public static func quoted(_ text: String) -> String {
        var bytes = [UInt8(ascii: "'")]
        for byte in text.utf8 {
            if byte == UInt8(ascii: "'") { bytes += Array("'\\''".utf8) } else { bytes.append(byte) }
        }
        bytes.append(UInt8(ascii: "'"))
        return String(decoding: bytes, as: UTF8.self)
    }
}

// The thin front never compares hints; comparing strings would need Unicode's tables, which Embedded Swift does not link.
#if !hasFeature(Embedded)
    extension Hint: Equatable {}

    extension Hint: ExpressibleByStringInterpolation {
        public init(stringLiteral text: String) { self = .text(text) }
    }
#endif
