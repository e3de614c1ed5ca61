import AgentProtocol
import Sodium

/// What a new passphrase must have, for whoever has the vault's file can try as many as their machines can hash.
///
/// It is the rule of NIST SP 800-63B (section 3.1.1.2): a length, and nothing that is commonly used or expected here; no kinds
/// of characters that it has to have. Libraries that estimate more were looked at: those for Swift are for Apple's systems, and
/// they and zxcvbn's other ports want a string, whose copies nobody wipes.
struct PassphraseRule {
    /// In Unicode's scalars.
    static let length = 12
    /// How much of it must be neither a common word, nor a sequence, nor a repetition, in bytes; each of those counts as one.
    static let unguessable = 8

    enum Weakness: Equatable {
        case short(count: Int)
        case repeating, common
    }

    /// Names that are expected here: the user's, and the vault's.
    private let names: [[UInt8]]

    /// - Parameter names: of less than three letters they are no words.
    init(names: [String]) {
        self.names = names.map { Array($0.lowercased().utf8) }.filter { $0.count >= 3 }
    }

    /// - Returns: nil if it will do.
    func weakness(of passphrase: Secret) -> Weakness? {
        var bytes = passphrase.withBytes { $0.array() }
        defer { bytes.wipe() }
        let count = bytes.count { $0 & 0xC0 != 0x80 }
        guard count >= Self.length else { return .short(count: count) }
        for index in bytes.indices where (0x41...0x5A).contains(bytes[index]) { bytes[index] |= 0x20 }
        if Self.isRepeating(bytes) { return .repeating }
        return unguessable(bytes) < Self.unguessable ? .common : nil
    }

    /// Whether it is one piece again and again, or made of very few characters.
    private static func isRepeating(_ bytes: [UInt8]) -> Bool {
        if Set(bytes).count < 5 { return true }
        return (1...bytes.count / 2).contains { period in
            bytes.indices.dropFirst(period).allSatisfy { bytes[$0] == bytes[$0 - period] }
        }
    }

    private func unguessable(_ bytes: [UInt8]) -> Int {
        var (count, index) = (0, 0)
        while index < bytes.count {
            count += 1
            index += max(wordLength(bytes[index...]), Self.runLength(bytes[index...]), 1)
        }
        return count
    }

    /// How long the common word is that this begins with; 0 for none.
    private func wordLength(_ bytes: ArraySlice<UInt8>) -> Int {
        var plain = bytes.prefix(16).map(Self.letter)
        defer { plain.wipe() }
        return (Self.words + names).filter { bytes.starts(with: $0) || plain.starts(with: $0) }.map(\.count).max() ?? 0
    }

    /// What a digit or sign stands for in words that are written with it.
    private static func letter(_ byte: UInt8) -> UInt8 {
        let letters: [(Character, Character)] = [
            ("0", "o"), ("1", "i"), ("!", "i"), ("3", "e"), ("4", "a"), ("@", "a"), ("5", "s"), ("$", "s"), ("7", "t"),
        ]
        return letters.first { $0.0.asciiValue == byte }?.1.asciiValue ?? byte
    }

    /// How many bytes from here on follow each other in the alphabet, among the digits, on a keyboard, or are the same; 0 for
    /// less than three.
    private static func runLength(_ bytes: ArraySlice<UInt8>) -> Int {
        let lengths = steps.map { step in
            var length = 1
            for (one, next) in zip(bytes, bytes.dropFirst()) {
                guard step(one, next) else { break }
                length += 1
            }
            return length
        }
        let longest = lengths.max() ?? 0
        return longest >= 3 ? longest : 0
    }

    private static let steps: [@Sendable (UInt8, UInt8) -> Bool] = [
        { $0 == $1 }, { Int($1) == Int($0) + 1 }, { Int($1) == Int($0) - 1 }, { isOnKeyboard($0, $1) }, { isOnKeyboard($1, $0) },
    ]

    private static let rows = ["1234567890", "qwertyuiop", "qwertzuiop", "asdfghjkl", "zxcvbnm", "yxcvbnm"].map { Array($0.utf8) }

    /// Whether the second key is right of the first.
    private static func isOnKeyboard(_ one: UInt8, _ next: UInt8) -> Bool {
        rows.contains { row in zip(row, row.dropFirst()).contains { $0 == one && $1 == next } }
    }

    /// What is tried first: the words that lists of stolen passwords begin with, and what is expected of a passphrase for this.
    private static let words: [[UInt8]] = """
        password passwort passphrase passw secret geheim letmein welcome willkommen admin administrator login master dragon monkey
        football baseball soccer hockey iloveyou sunshine princess superman batman shadow michael jordan hunter summer winter spring
        autumn monday friday sunday january december changeme default root user guest test hello world love whatever starwars
        cheese computer internet google freedom charlie ashley jessica daniel thomas robert george william pokemon killer ninja
        mustang access trustno qwerty qwertz asdf zxcv qazwsx flower lovely cookie family claviger vault token tresor oauth
        credential client server company office backup database linux debian ubuntu docker github amazon microsoft facebook
        """.split(whereSeparator: \.isWhitespace).map { Array($0.utf8) }
}

extension Problem {
    init(_ weakness: PassphraseRule.Weakness) {
        let why =
            switch weakness {
            case .short(let count):
                "is too short: it has \(count) character\(count == 1 ? "" : "s"), and needs \(PassphraseRule.length)"
            case .repeating: "is easily guessed: it repeats itself"
            case .common: "is easily guessed: it is little more than common words, names or sequences"
            }
        self.init(
            "the new passphrase \(why)",
            hint: "four words or more that have nothing to do with each other are good; --weak takes it as it is", .usage)
    }
}
