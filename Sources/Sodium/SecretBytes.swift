import CSodium

/// Secret bytes in guarded, locked pages of their own, wiped when the owner goes.
///
/// libsodium puts an inaccessible page before and behind, a canary in front, and keeps the pages out of core dumps
/// (`sodium_malloc`). One allocation costs tens of microseconds and at least one locked page: keep few of them alive.
/// What is copied out of `withBytes` is ordinary memory again, and is the caller's to answer for.
@safe public struct SecretBytes: ~Copyable, @unchecked Sendable {
    private let base: UnsafeMutableRawPointer
    /// The length in bytes; zero is allowed.
    public let count: Int

    /// Locked pages of `count` bytes, filled by `fill`.
    /// - Throws: `lockedMemoryExhausted`, or what `fill` throws; the pages are then wiped and freed.
    init(count: Int, fill: (UnsafeMutableRawBufferPointer) throws(SodiumError) -> Void) throws(SodiumError) {
        let base = try unsafe Self.lockedPages(count)
        do throws(SodiumError) {
            try unsafe fill(UnsafeMutableRawBufferPointer(start: base, count: count))
        } catch {
            unsafe sodium_free(base)
            throw error
        }
        unsafe self.base = base
        self.count = count
    }

    private static func lockedPages(_ count: Int) throws(SodiumError) -> UnsafeMutableRawPointer {
        _ = sodiumReady
        guard let base = unsafe sodium_malloc(max(count, 1)) else { throw .lockedMemoryExhausted }
        // sodium_malloc ignores a failed mlock; a second lock of the same pages is harmless and tells.
        guard unsafe sodium_mlock(base, max(count, 1)) == 0 else {
            unsafe sodium_free(base)
            throw .lockedMemoryExhausted
        }
        return unsafe base
    }

    /// A locked copy of `bytes`. The original is not wiped: it isn't ours.
    /// - Throws: `lockedMemoryExhausted`.
    public init(copying bytes: RawSpan) throws(SodiumError) {
        try unsafe self.init(count: bytes.byteCount) { target throws(SodiumError) in
            unsafe bytes.withUnsafeBytes { unsafe target.copyMemory(from: $0) }
        }
    }

    /// `count` bytes of the system's randomness.
    /// - Throws: `lockedMemoryExhausted`.
    public static func random(count: Int) throws(SodiumError) -> SecretBytes {
        try unsafe SecretBytes(count: count) { target throws(SodiumError) in
            unsafe randombytes_buf(target.baseAddress!, target.count)
        }
    }

    /// Locked pages of `count` zero bytes, written by `body` and then never again.
    /// - Throws: `lockedMemoryExhausted`.
    public init(count: Int, writing body: (inout MutableRawSpan) -> Void) throws(SodiumError) {
        try unsafe self.init(count: count) { target throws(SodiumError) in
            unsafe target.initializeMemory(as: UInt8.self, repeating: 0)
            var span = unsafe MutableRawSpan(_unsafeBytes: target)
            body(&span)
        }
    }

    deinit {
        unsafe sodium_free(base)
    }

    /// Lends the bytes to `body`; the span can't outlive the call.
    public borrowing func withBytes<R: ~Copyable, E>(_ body: (RawSpan) throws(E) -> R) throws(E) -> R {
        let span = unsafe RawSpan(_unsafeStart: base, byteCount: count)
        return try body(span)
    }

    /// Whether both hold the same bytes, in a time that depends on the length alone.
    public borrowing func equals(_ other: borrowing SecretBytes) -> Bool {
        unsafe count == other.count && sodium_memcmp(base, other.base, count) == 0
    }

    /// For the primitives of this target only.
    borrowing func withPointer<R: ~Copyable>(_ body: (UnsafePointer<UInt8>) -> R) -> R {
        unsafe body(UnsafePointer(base.assumingMemoryBound(to: UInt8.self)))
    }
}
