/// A secret with several owners: wiped when the last one lets go. Prints as `<secret>`, so that no interpolation,
/// dump or crash message can carry the bytes.
public final class Secret: Sendable, CustomStringConvertible, CustomReflectable {
    private let bytes: SecretBytes

    public init(_ bytes: consuming SecretBytes) {
        self.bytes = bytes
    }

    /// A locked copy of `bytes`.
    /// - Throws: `lockedMemoryExhausted`.
    public convenience init(copying bytes: RawSpan) throws(SodiumError) {
        self.init(try SecretBytes(copying: bytes))
    }

    /// A locked copy of the UTF-8 of `text`; the text itself stays where it was.
    /// - Throws: `lockedMemoryExhausted`.
    public convenience init(utf8 text: String) throws(SodiumError) {
        let copy = Array(text.utf8)
        self.init(try SecretBytes(copying: unsafe copy.span.bytes))
    }

    /// The length in bytes.
    public var count: Int { bytes.count }

    /// Lends the bytes to `body`; the span can't outlive the call.
    public func withBytes<R: ~Copyable, E>(_ body: (RawSpan) throws(E) -> R) throws(E) -> R {
        try bytes.withBytes(body)
    }

    /// The secret as text, in ordinary memory: for the moment in which a request is written or a token is printed.
    public func revealed() -> String {
        withBytes { String(decoding: $0.array(), as: UTF8.self) }
    }

    /// Whether both hold the same bytes, in a time that depends on the length alone.
    public func equals(_ other: Secret) -> Bool {
        bytes.equals(other.bytes)
    }

    public var description: String { "<secret>" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}
