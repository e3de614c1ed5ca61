import CLinux

/// The words of `claviger token`, where all of them are certain. For any others there is none of this: then the core reads
/// them, so that every mistake is answered in one way, and `--key-file` and the like open the vault.
struct TokenArguments {
    var name = ""
    var parameters = AgentRequest.TokenParameters()
    /// As it was given.
    var vault: String?
    var reason: String?
    private var isRejected = false
    private var rejectedTokenFile: String?

    init(name: String) { self.name = name }

    init?(_ arguments: Arguments) {
        var index = 1
        // `claviger --vault PATH token NAME` is `claviger token NAME --vault PATH`.
        while !arguments.isAt(index, "token") {
            guard let option = Option(arguments, &index), option.isNamed("--vault"), take(option) else { return nil }
        }
        index += 1
        while index < arguments.count {
            guard let word = arguments[index] else { return nil }
            if word.utf8.first == UInt8(ascii: "-") {
                guard let option = Option(arguments, &index), take(option) else { return nil }
            } else {
                guard name.isEmpty, !word.isEmpty else { return nil }
                name = word
                index += 1
            }
        }
        guard !name.isEmpty, takeRejection() else { return nil }
    }

    /// - Returns: false for what only the core can judge.
    private mutating func take(_ option: Option) -> Bool {
        guard let value = option.value else { return take(flag: option) }
        guard !value.isEmpty else { return false }
        if option.isNamed("--vault"), vault == nil {
            vault = value
        } else if option.isNamed("--reason"), reason == nil {
            reason = value
        } else if option.isNamed("--min-ttl"), parameters.minimumLifetime == nil {
            guard let seconds = Self.seconds(value) else { return false }
            parameters.minimumLifetime = seconds
        } else if option.isNamed("--format"), parameters.format == .raw {
            guard let format = TokenFormat(word: value) else { return false }
            parameters.format = format
        } else if option.isNamed("--scope") {
            let scopes = value.utf8.split(separator: UInt8(ascii: " ")).map { Array($0) }
            guard !scopes.isEmpty, scopes.allSatisfy(Self.isScope) else { return false }
            parameters.scopes += scopes.map { String(decoding: $0, as: UTF8.self) }
        } else if option.isNamed("--audience") {
            parameters.audiences.append(value)
        } else if option.isNamed("--rejected-token-file"), rejectedTokenFile == nil {
            rejectedTokenFile = value
        } else {
            return false
        }
        return true
    }

    private mutating func take(flag option: Option) -> Bool {
        if option.isNamed("--fresh") {
            parameters.isFresh = true
        } else if option.isNamed("--rejected") {
            isRejected = true
        } else if option.isNamed("--take-over") {
            parameters.takesOver = true
        } else {
            return false
        }
        return true
    }

    /// Which token was rejected: the one in the file, else the one that `claviger exec` has given to this process, else
    /// whichever is stored.
    private mutating func takeRejection() -> Bool {
        guard isRejected || rejectedTokenFile != nil else { return true }
        if parameters.isFresh { return false }
        if let rejectedTokenFile {
            guard let token = Self.contents(ofRegularFile: rejectedTokenFile) else { return false }
            parameters.rejected = .named(TokenName(of: token))
        } else if let token = Locations.variable(TokenVariable.name(name)) {
            parameters.rejected = .named(TokenName(of: Array(token.utf8)))
        } else {
            parameters.rejected = .stored
        }
        return true
    }

    /// RFC 6749 section 3.3.
    private static func isScope(_ bytes: [UInt8]) -> Bool {
        bytes.allSatisfy { (0x21...0x7E).contains($0) && $0 != 0x22 && $0 != 0x5C }
    }

    private static func seconds(_ text: String) -> Int? {
        guard text.utf8.count < 10, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return text.utf8.reduce(0) { $0 * 10 + Int($1 - 0x30) }
    }

    /// One line of text. What can be read only once, as a pipe, is left for the core.
    private static func contents(ofRegularFile path: String) -> [UInt8]? {
        var status = stat()
        guard unsafe stat(path, &status) == 0, status.st_mode & 0o170000 == 0o100000, status.st_size <= 65_536 else { return nil }
        guard let file = unsafe fopen(path, "re") else { return nil }
        defer { unsafe fclose(file) }
        var bytes = [UInt8](repeating: 0, count: Int(status.st_size) + 1)
        unsafe bytes.removeLast(bytes.count - fread(&bytes, 1, bytes.count, file))
        if bytes.last == 0x0A { bytes.removeLast() }
        if bytes.last == 0x0D { bytes.removeLast() }
        guard !bytes.isEmpty, bytes.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else { return nil }
        return bytes
    }
}

/// `--name`, `--name value` or `--name=value`.
private struct Option {
    private let name: [UInt8]
    let value: String?

    private static let flags: [StaticString] = ["--fresh", "--rejected", "--take-over"]

    /// - Parameter index: the word's, and then that of the word behind it all.
    init?(_ arguments: Arguments, _ index: inout Int) {
        guard let word = arguments[index] else { return nil }
        index += 1
        let bytes = Array(word.utf8)
        if let equals = bytes.firstIndex(of: UInt8(ascii: "=")) {
            name = Array(bytes[..<equals])
            value = String(decoding: bytes[(equals + 1)...], as: UTF8.self)
            return
        }
        name = bytes
        if Self.flags.contains(where: { Self.isSame(bytes, $0) }) {
            value = nil
            return
        }
        // What looks like an option is no value, but for the hyphen that is standard input.
        guard let next = arguments[index], next.utf8.first != UInt8(ascii: "-") || next.utf8.count == 1 else { return nil }
        index += 1
        value = next
    }

    func isNamed(_ name: StaticString) -> Bool { Self.isSame(self.name, name) }

    private static func isSame(_ bytes: [UInt8], _ text: StaticString) -> Bool {
        text.withUTF8Buffer { unsafe bytes.elementsEqual($0) }
    }
}
