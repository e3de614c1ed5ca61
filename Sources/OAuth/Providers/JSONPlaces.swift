/// A place in a text, as editors count.
public struct TextPosition: Equatable, Sendable {
    /// From 1.
    public var line: Int
    /// From 1, in Unicode scalars.
    public var column: Int

    init(offset: Int, in bytes: [UInt8]) {
        let before = bytes.prefix(offset)
        let isStart = { (byte: UInt8) in byte & 0xC0 != 0x80 }
        line = 1 + before.count { $0 == UInt8(ascii: "\n") }
        column = 1 + before.reversed().prefix { $0 != UInt8(ascii: "\n") }.count(where: isStart)
    }
}

/// Why a text is no JSON, and where it stops being that.
public struct JSONSyntaxError: Error, Equatable, Sendable {
    public var reason: String
    public var position: TextPosition
}

/// Where the members and elements of a JSON text stand (RFC 8259), for words to the person who wrote it. Decoders read the
/// values, and lose the places.
public struct JSONPlaces: Sendable {
    private let bytes: [UInt8]
    private let offsets: [[String]: Int]

    /// - Throws: `JSONSyntaxError` also for what many readers let pass: a member that is there twice.
    public init(scanning bytes: [UInt8]) throws(JSONSyntaxError) {
        var scanner = JSONScanner(bytes)
        do throws(JSONScanner.Failure) {
            try scanner.document()
        } catch {
            throw JSONSyntaxError(reason: error.reason, position: TextPosition(offset: error.offset, in: bytes))
        }
        (self.bytes, offsets) = (bytes, scanner.offsets)
    }

    /// The place of a member's name, or of an element; of the next outer one, where it is not there.
    /// - Parameter path: names of members, and indices from 0.
    public func position(of path: [String]) -> TextPosition {
        var path = path
        while offsets[path] == nil, !path.isEmpty { path.removeLast() }
        return TextPosition(offset: offsets[path] ?? 0, in: bytes)
    }
}

/// Goes through a JSON text once, and remembers where everything begins.
private struct JSONScanner {
    struct Failure: Error {
        var reason: String
        var offset: Int
    }

    /// Nothing that is written by hand is nested as deeply, and each level takes a stack frame.
    private static let maximumDepth = 64

    private let bytes: [UInt8]
    private var index = 0
    var offsets: [[String]: Int] = [:]

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        // A byte order mark, which editors write and Foundation skips.
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { index = 3 }
    }

    mutating func document() throws(Failure) {
        guard String(validating: bytes, as: UTF8.self) != nil else { throw Failure(reason: "the text is no UTF-8", offset: 0) }
        skipSpace()
        offsets[[]] = index
        try value([])
        skipSpace()
        if index < bytes.count { throw failure("nothing may come after the end of the value") }
    }

    private mutating func value(_ path: [String]) throws(Failure) {
        guard path.count < Self.maximumDepth else { throw failure("this is nested too deeply") }
        guard let byte = next else { throw failure("the text ends where a value must come") }
        switch byte {
        case UInt8(ascii: "{"): try object(path)
        case UInt8(ascii: "["): try array(path)
        case UInt8(ascii: "\""): _ = try string()
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): try number()
        case UInt8(ascii: "a")...UInt8(ascii: "z"): try literal()
        case UInt8(ascii: "'"): throw failure("a text stands in double quotes")
        case UInt8(ascii: "/"), UInt8(ascii: "#"): throw failure("JSON has no comments")
        default: throw failure("a value must come here")
        }
    }

    private mutating func object(_ path: [String]) throws(Failure) {
        index += 1
        try list(until: "}") { scanner throws(Failure) in
            let start = scanner.index
            guard scanner.next == UInt8(ascii: "\"") else {
                throw scanner.failure("the name of a member must come here, in double quotes")
            }
            let name = try scanner.string()
            guard scanner.offsets.updateValue(start, forKey: path + [name]) == nil else {
                let member = (path + [name]).joined(separator: ".").debugDescription
                throw Failure(reason: "the member \(member) is there twice", offset: start)
            }
            scanner.skipSpace()
            guard scanner.next == UInt8(ascii: ":") else { throw scanner.failure("a colon must come here") }
            scanner.index += 1
            scanner.skipSpace()
            try scanner.value(path + [name])
        }
    }

    private mutating func array(_ path: [String]) throws(Failure) {
        index += 1
        var count = 0
        try list(until: "]") { scanner throws(Failure) in
            let element = path + [String(count)]
            scanner.offsets[element] = scanner.index
            try scanner.value(element)
            count += 1
        }
    }

    /// What stands between two brackets, with commas in between.
    private mutating func list(
        until end: Unicode.Scalar, _ item: (inout JSONScanner) throws(Failure) -> Void
    ) throws(Failure) {
        skipSpace()
        if next == UInt8(ascii: end) { return index += 1 }
        while true {
            try item(&self)
            skipSpace()
            if next == UInt8(ascii: end) { return index += 1 }
            guard next == UInt8(ascii: ",") else { throw failure("a comma or \(end) must come here") }
            let comma = index
            index += 1
            skipSpace()
            if next == UInt8(ascii: end) { throw Failure(reason: "after the last one comes no comma", offset: comma) }
        }
    }

    private mutating func string() throws(Failure) -> String {
        let start = index
        index += 1
        while let byte = next, byte != UInt8(ascii: "\"") {
            guard byte >= 0x20 else { throw failure("a text has no line breaks or control characters; \\n stands for one") }
            index += byte == UInt8(ascii: "\\") ? 2 : 1
        }
        guard next != nil else { throw Failure(reason: "this text has no end", offset: start) }
        index += 1
        guard let text = JSONValue(parsing: Array(bytes[start..<index]))?.string else {
            throw Failure(reason: "there is a backslash in this text that stands for nothing", offset: start)
        }
        return text
    }

    private mutating func number() throws(Failure) {
        let start = index
        let isPart = { (byte: UInt8) in
            UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte || [43, 45, 46, 69, 101].contains(byte)  // + - . E e
        }
        while let byte = next, isPart(byte) { index += 1 }
        guard JSONValue(parsing: Array(bytes[start..<index])) != nil else {
            throw Failure(reason: "this is no number", offset: start)
        }
    }

    private mutating func literal() throws(Failure) {
        let start = index
        while let byte = next, UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte { index += 1 }
        guard ["true", "false", "null"].contains(String(decoding: bytes[start..<index], as: UTF8.self)) else {
            throw Failure(reason: "a text stands in double quotes", offset: start)
        }
    }

    private var next: UInt8? { index < bytes.count ? bytes[index] : nil }

    private mutating func skipSpace() {
        while let byte = next, [0x20, 0x09, 0x0A, 0x0D].contains(byte) { index += 1 }
    }

    private func failure(_ reason: String) -> Failure {
        Failure(reason: reason, offset: index)
    }
}
