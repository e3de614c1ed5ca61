import FoundationEssentials

extension AuditEvent {
    /// The most bytes that a text may take in a line, by member: no caller can make a line longer than about 4,000.
    private enum Bound {
        static let credential = 1024
        static let program = 1024
        static let reason = 640
        static let word = 128
    }

    /// The event with its place in the chain: one line of printable characters, JSON with sorted keys (RFC 8259). Done here,
    /// for it is done for every token that is handed out, and took a fifth of the time.
    func json(sequence: UInt64) -> [UInt8] {
        var object = JSONObject()
        object.add("breaks", number: breaks)
        object.add("bytes", number: bytes)
        object.add("credential", credential, limit: Bound.credential)
        object.add("event", event.rawValue, limit: Bound.word)
        object.add("exe", exe, limit: Bound.program)
        object.add("first", number: first)
        object.add("from", number: from)
        object.add("outcome", outcome, limit: Bound.word)
        object.add("pid", number: pid)
        object.add("previous", previous, limit: Bound.word)
        object.add("problem", problem, limit: Bound.word)
        object.add("reason", reason, limit: Bound.reason)
        object.add("seq", number: sequence)
        object.add("time", time.formatted(.iso8601), limit: Bound.word)
        object.add("to", number: to)
        object.add("token", token, limit: Bound.word)
        object.add("uid", number: uid)
        return object.finished()
    }

    /// Whether a character is seen as itself.
    public static func isPrinted(_ scalar: Unicode.Scalar) -> Bool { scalar.isPrinted }

    /// A line as it may be shown: what does not print is escaped. Lines of earlier versions hold such characters as they are.
    public static func printable(line: [UInt8]) -> String {
        var bytes: [UInt8] = []
        for scalar in String(decoding: line, as: UTF8.self).unicodeScalars {
            scalar.isPrinted ? bytes.append(scalar) : bytes.append(escaped: scalar)
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// Members of one JSON object, in the order in which they are added.
private struct JSONObject {
    private var bytes: [UInt8] = []

    init() { bytes.reserveCapacity(512) }

    /// Nothing for nil.
    /// - Parameter limit: bytes; what is longer ends with an ellipsis.
    mutating func add(_ name: StaticString, _ text: String?, limit: Int) {
        guard let text else { return }
        begin(name)
        bytes.append(UInt8(ascii: "\""))
        let start = bytes.count
        for scalar in text.unicodeScalars {
            let end = bytes.count
            append(scalar)
            if bytes.count - start > limit {
                bytes.removeLast(bytes.count - end)
                bytes.append("…" as Unicode.Scalar)
                break
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }

    mutating func add(_ name: StaticString, number: (some FixedWidthInteger)?) {
        guard let number else { return }
        begin(name)
        bytes += String(number).utf8
    }

    func finished() -> [UInt8] { bytes + [UInt8(ascii: "}")] }

    private mutating func begin(_ name: StaticString) {
        bytes.append(bytes.isEmpty ? UInt8(ascii: "{") : UInt8(ascii: ","))
        bytes.append(UInt8(ascii: "\""))
        name.withUTF8Buffer { unsafe bytes += $0 }
        bytes += [UInt8(ascii: "\""), UInt8(ascii: ":")]
    }

    /// RFC 8259 section 7, and escapes for what a terminal or a reader would not show as it is.
    private mutating func append(_ scalar: Unicode.Scalar) {
        switch scalar {
        case "\"", "\\": bytes += [UInt8(ascii: "\\"), UInt8(scalar.value)]
        case " "..."~": bytes.append(UInt8(scalar.value))
        case _ where scalar.isPrinted: bytes.append(scalar)
        default: bytes.append(escaped: scalar)
        }
    }
}

extension [UInt8] {
    fileprivate mutating func append(_ scalar: Unicode.Scalar) { self += UTF8.encode(scalar)! }

    /// As `\uXXXX`, twice for a pair of surrogates.
    fileprivate mutating func append(escaped scalar: Unicode.Scalar) {
        let digits = Array("0123456789abcdef".utf8)
        for unit in UTF16.encode(scalar)! {
            self += [UInt8(ascii: "\\"), UInt8(ascii: "u")]
            for shift in [12, 8, 4, 0] as [UInt16] { append(digits[Int(unit >> shift & 15)]) }
        }
    }
}

extension Unicode.Scalar {
    /// Whether it is seen as itself: no control, no mark that changes the direction or joins, no filler, no line end, and no
    /// space but the usual one.
    var isPrinted: Bool {
        if isASCII { return (0x20...0x7E).contains(value) }
        switch properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .spaceSeparator, .surrogate, .privateUse, .unassigned:
            return false
        default: return !properties.isDefaultIgnorableCodePoint
        }
    }
}
