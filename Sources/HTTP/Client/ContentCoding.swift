import CZlib

/// Undoes the content coding of an answer (RFC 9110 section 8.4.1).
///
/// We never send `Accept-Encoding`, but some servers and proxies compress all the same, and the answer may hold the only
/// copy of a refresh token. AsyncHTTPClient could decompress, but drops the whole answer at the first error.
enum ContentCoding: Equatable {
    case gzip
    /// RFC 9110 means the zlib format (RFC 1950); some servers send raw deflate (RFC 1951) under this name.
    case deflate

    /// - Parameter field: the value of `Content-Encoding`.
    /// - Returns: nil for anything but one coding that we know; such a body is left as it is.
    init?(field: String) {
        switch field.lowercased().filter({ $0 != " " && $0 != "\t" }) {
        case "gzip", "x-gzip": self = .gzip
        case "deflate": self = .deflate
        default: return nil
        }
    }

    /// What a body turned out to be.
    enum Decoded: Equatable {
        case whole([UInt8])
        /// What stands before the place where the body ends too early, or is damaged.
        case part([UInt8])
        /// More than the limit, and the first of it: a small body can decode to gigabytes.
        case tooLarge([UInt8])
        /// Not in this coding, or nothing of it could be decoded.
        case notEncoded
    }

    /// - Parameter limit: the most bytes to decode to.
    func decode(_ body: [UInt8], limit: Int) -> Decoded {
        guard self == .deflate else { return Inflation(body, .gzip, limit).result }
        let zlib = Inflation(body, .zlib, limit).result
        guard zlib == .notEncoded else { return zlib }
        // Raw deflate has no header and no checksum: text that was never encoded may decode to a few bytes of nonsense.
        // Only a stream that ends exactly where the body ends is believed.
        let raw = Inflation(body, .raw, limit).result
        if case .part = raw { return .notEncoded }
        return raw
    }
}

/// One run of zlib's inflate(3) over a body that is in memory.
private struct Inflation {
    /// The window's size with zlib's marks for the format (zlib.h, inflateInit2).
    enum Format: Int32 {
        case zlib = 15
        case raw = -15
        case gzip = 31
    }

    private(set) var result = ContentCoding.Decoded.notEncoded
    private var output: [UInt8] = []
    private let limit: Int

    init(_ body: [UInt8], _ format: Format, _ limit: Int) {
        self.limit = limit
        var stream = unsafe z_stream()
        guard unsafe claviger_inflate_init(&stream, format.rawValue) == Z_OK else { return }
        defer { unsafe inflateEnd(&stream) }
        var input = body
        unsafe input.withUnsafeMutableBufferPointer { input in
            unsafe stream.next_in = input.baseAddress
            unsafe stream.avail_in = UInt32(input.count)
            result = unsafe run(&stream, format)
        }
    }

    private mutating func run(_ stream: inout z_stream, _ format: Format) -> ContentCoding.Decoded {
        /// The bytes that have come out when the last gzip member ended; a file may be several, one behind the other
        /// (RFC 1952 section 2.2).
        var atMemberEnd: Int?
        while true {
            let status = unsafe step(&stream)
            guard output.count <= limit else { return .tooLarge(Array(output.prefix(limit))) }
            switch (status, format) {
            case (Z_OK, _): continue
            case (Z_STREAM_END, _) where unsafe stream.avail_in == 0: return .whole(output)
            case (Z_STREAM_END, .zlib): return .whole(output)
            case (Z_STREAM_END, .raw): return .part(output)
            case (Z_STREAM_END, .gzip):
                atMemberEnd = output.count
                unsafe inflateReset(&stream)
            // What stands behind the last member and is none is ignored, as gzip(1) does.
            case _ where atMemberEnd == output.count: return .whole(output)
            default: return output.isEmpty ? .notEncoded : .part(output)
            }
        }
    }

    /// - Returns: what inflate(3) returns; `Z_BUF_ERROR` when the input has been used up.
    private mutating func step(_ stream: inout z_stream) -> Int32 {
        unsafe withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 16_384) { buffer in
            unsafe stream.next_out = buffer.baseAddress
            unsafe stream.avail_out = UInt32(buffer.count)
            let status = unsafe inflate(&stream, Z_NO_FLUSH)
            unsafe output += buffer[..<(buffer.count - Int(stream.avail_out))]
            return status
        }
    }
}
