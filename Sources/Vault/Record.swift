public import Sodium

/// One record's content: a description, and secrets by name. The whole of it lives in one piece of locked memory.
///
/// The vault gives no meaning to either: the description is the caller's text (JSON), the names are the caller's.
public struct Record: Sendable {
    private let content: Secret
    private let descriptionRange: Range<Int>
    private let secretRanges: [(name: String, range: Range<Int>)]

    /// The unpadded length.
    let length: Int

    /// - Parameters:
    ///   - secrets: names of 1 to 255 bytes, each once; kept in ascending order of name.
    ///   - kind: what it is the content of, for the words of an error.
    /// - Throws: `tooLarge`, or `memory`.
    public init(
        description: [UInt8], secrets: [String: Secret], of kind: RecordKind = .credential
    ) throws(VaultError) {
        let ordered = secrets.sorted { Array($0.key.utf8).lexicographicallyPrecedes(Array($1.key.utf8)) }
        let length = ordered.reduce(4 + description.count + 4) { $0 + 1 + $1.key.utf8.count + 4 + $1.value.count }
        let padded = Padding.paddedLength(length, block: Limits.recordBlock)
        guard padded + AEAD.overhead <= Limits.record else {
            throw .tooLarge(what: kind.wordsIfSingle.map { "the \($0.one)" } ?? "a credential", limit: Limits.record)
        }
        guard ordered.count <= Limits.secrets else {
            throw .tooLarge(what: "the number of a credential's secrets", limit: Limits.secrets)
        }
        let bytes = try VaultError.mapping { () throws(SodiumError) in
            try SecretBytes(count: padded) { target in
                Self.write(description: description, secrets: ordered, into: &target)
            }
        }
        try self.init(parsing: bytes)
    }

    private static func write(
        description: [UInt8], secrets: [(key: String, value: Secret)], into target: inout MutableRawSpan
    ) {
        var writer = SpanWriter()
        writer.number(description.count, width: 4, into: &target)
        writer.bytes(description.rawSpan, into: &target)
        writer.number(secrets.count, width: 4, into: &target)
        for (name, secret) in secrets {
            writer.number(name.utf8.count, width: 1, into: &target)
            writer.bytes(Array(name.utf8).rawSpan, into: &target)
            writer.number(secret.count, width: 4, into: &target)
            secret.withBytes { writer.bytes($0, into: &target) }
        }
        writer.number(0x80, width: 1, into: &target)
    }

    /// - Parameter content: padded, as it came out of its seal.
    init(parsing content: consuming SecretBytes) throws(VaultError) {
        let content = Secret(content)
        self.content = content
        (length, descriptionRange, secretRanges) = try content.withBytes { span throws(VaultError) in
            guard let end = Padding.unpaddedLength(span, block: Limits.recordBlock) else {
                throw .damaged(.records, reason: "is not padded as it should be")
            }
            var cursor = Cursor(0..<end, part: .records)
            let description = try cursor.take(cursor.count(in: span, atMost: Limits.record, of: "has a description"))
            var secrets: [(name: String, range: Range<Int>)] = []
            for _ in 0..<(try cursor.count(in: span, atMost: Limits.secrets, of: "has a number of secrets")) {
                let nameRange = try cursor.take(Int(cursor.u8(in: span)))
                let nameBytes = span.extracting(nameRange).array()
                guard let name = String(validating: nameBytes, as: UTF8.self), !name.isEmpty else {
                    throw .damaged(.records, reason: "has a secret whose name is no text")
                }
                guard secrets.last.map({ Array($0.name.utf8).lexicographicallyPrecedes(nameBytes) }) ?? true else {
                    throw .damaged(.records, reason: "has secrets that are out of order")
                }
                let range = try cursor.take(cursor.count(in: span, atMost: Limits.record, of: "has a secret"))
                secrets.append((name, range))
            }
            try cursor.finish()
            return (end, description, secrets)
        }
    }

    /// The description, in ordinary memory: no secret is part of it.
    public var description: [UInt8] {
        content.withBytes { $0.extracting(descriptionRange).array() }
    }

    public var secretNames: [String] { secretRanges.map(\.name) }

    /// A locked copy of one secret, or nil.
    /// - Throws: `memory`.
    public func secret(_ name: String) throws(VaultError) -> Secret? {
        guard let range = secretRanges.first(where: { $0.name == name })?.range else { return nil }
        return try VaultError.mapping { () throws(SodiumError) in
            try content.withBytes { span throws(SodiumError) in try Secret(copying: span.extracting(range)) }
        }
    }

    /// Lends the padded plaintext to a seal.
    func withPlaintext<R>(_ body: (RawSpan) -> R) -> R {
        content.withBytes(body)
    }
}

/// Writes into a span front to back; the caller has counted the bytes.
private struct SpanWriter {
    private var position = 0

    mutating func number(_ value: Int, width: Int, into target: inout MutableRawSpan) {
        for index in 0..<width { byte(UInt8(truncatingIfNeeded: value >> (8 * index)), into: &target) }
    }

    mutating func bytes(_ bytes: RawSpan, into target: inout MutableRawSpan) {
        for offset in 0..<bytes.byteCount { byte(bytes.byte(at: offset), into: &target) }
    }

    private mutating func byte(_ value: UInt8, into target: inout MutableRawSpan) {
        target.storeBytes(of: value, toByteOffset: position, as: UInt8.self)
        position += 1
    }
}

extension VaultError {
    /// Turns what a primitive refuses for lack of memory into the vault's word for it.
    static func mapping<R: ~Copyable>(_ body: () throws(SodiumError) -> R) throws(VaultError) -> R {
        do throws(SodiumError) {
            return try body()
        } catch {
            throw error == .sealBroken ? .wrongKey : .memory
        }
    }
}
