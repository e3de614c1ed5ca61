import CZlib
import Testing

@testable import HTTP

@Suite struct ContentCodingTests {
    static let text = Array(#"{"access_token":"made-up","refresh_token":"made-up-too","scope":"a b c a b c a b c"}"#.utf8)

    /// zlib's own compressor (zlib.h, deflateInit2): 31 for gzip, 15 for zlib, -15 for raw deflate.
    static func compress(_ bytes: [UInt8], windowBits: Int32) -> [UInt8] {
        var stream = z_stream()
        deflateInit2_(
            &stream, Z_BEST_COMPRESSION, Z_DEFLATED, windowBits, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
            Int32(MemoryLayout<z_stream>.size))
        defer { deflateEnd(&stream) }
        var (input, output) = (bytes, [UInt8](repeating: 0, count: bytes.count + 1000))
        return input.withUnsafeMutableBufferPointer { input in
            output.withUnsafeMutableBufferPointer { output in
                (stream.next_in, stream.avail_in) = (input.baseAddress, UInt32(input.count))
                (stream.next_out, stream.avail_out) = (output.baseAddress, UInt32(output.count))
                precondition(deflate(&stream, Z_FINISH) == Z_STREAM_END)
                return Array(output[..<(output.count - Int(stream.avail_out))])
            }
        }
    }

    private var gzip: [UInt8] { Self.compress(Self.text, windowBits: 31) }

    @Test func `knows the names of the codings`() {
        #expect(ContentCoding(field: "gzip") == .gzip)
        #expect(ContentCoding(field: " X-GZIP ") == .gzip)
        #expect(ContentCoding(field: "Deflate") == .deflate)
        for other in ["", "identity", "br", "zstd", "gzip, gzip", "gzip;q=1"] { #expect(ContentCoding(field: other) == nil) }
    }

    @Test func `decodes gzip, zlib and raw deflate`() {
        #expect(ContentCoding.gzip.decode(gzip, limit: 1000) == .whole(Self.text))
        #expect(ContentCoding.deflate.decode(Self.compress(Self.text, windowBits: 15), limit: 1000) == .whole(Self.text))
        #expect(ContentCoding.deflate.decode(Self.compress(Self.text, windowBits: -15), limit: 1000) == .whole(Self.text))
        #expect(ContentCoding.gzip.decode(Self.compress([], windowBits: 31), limit: 1000) == .whole([]))
    }

    @Test func `reads gzip members one behind the other, and ignores what is none`() {
        #expect(ContentCoding.gzip.decode(gzip + gzip, limit: 1000) == .whole(Self.text + Self.text))
        #expect(ContentCoding.gzip.decode(gzip + [0, 0, 0, 0], limit: 1000) == .whole(Self.text))
        // Fifty thousand members are no fifty thousand frames on the stack.
        let many = Array(repeatElement(Self.compress([], windowBits: 31), count: 50_000).joined())
        #expect(ContentCoding.gzip.decode(many, limit: 1000) == .whole([]))
    }

    @Test func `keeps what stands before a cut`() {
        guard case .part(let text) = ContentCoding.gzip.decode(Array(gzip.dropLast(20)), limit: 1000) else {
            Issue.record("not a part")
            return
        }
        #expect(!text.isEmpty && Self.text.starts(with: text))
        // A checksum that is wrong makes the text no less there.
        var damaged = gzip
        damaged[damaged.count - 5] ^= 1
        #expect(ContentCoding.gzip.decode(damaged, limit: 1000) == .part(Self.text))
    }

    @Test func `leaves alone what was never encoded`() {
        for body in [Self.text, [], [0x1F], Array("<html>".utf8), Array(gzip.prefix(9))] {
            #expect(ContentCoding.gzip.decode(body, limit: 1000) == .notEncoded)
            #expect(ContentCoding.deflate.decode(body, limit: 1000) == .notEncoded)
        }
    }

    @Test func `stops at the limit`() {
        let bomb = Self.compress([UInt8](repeating: 97, count: 1 << 20), windowBits: 31)
        #expect(bomb.count < 2000)
        #expect(ContentCoding.gzip.decode(bomb, limit: 1 << 20) == .whole([UInt8](repeating: 97, count: 1 << 20)))
        #expect(ContentCoding.gzip.decode(bomb, limit: 1 << 10) == .tooLarge([UInt8](repeating: 97, count: 1 << 10)))
    }
}
