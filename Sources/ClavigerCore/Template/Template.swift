/// A text with places for tokens: `{{ NAME.access_token }}`. Pure: bytes in, pieces out.
struct Template: Equatable {
    /// What stands between braces: something of a credential's token.
    struct Reference: Hashable {
        var name: String
        /// `access_token`, `token_type`, `expires_at`, `scope`, `id_token`, or a member of the server's answer.
        var member: String
    }

    enum Piece: Equatable {
        case text([UInt8])
        case value(Reference, Place)
    }

    /// Where something begins, counted from 1; columns are characters.
    struct Place: Equatable {
        var line: Int
        var column: Int
    }

    /// What is wrong with a template, and where.
    struct Refusal: Error, Equatable {
        var place: Place
        var reason: String
    }

    var pieces: [Piece]

    /// Each once, in the order in which they come.
    var references: [Reference] {
        var seen: Set<Reference> = []
        return pieces.compactMap { piece in
            guard case .value(let reference, _) = piece, seen.insert(reference).inserted else { return nil }
            return reference
        }
    }

    init(_ bytes: [UInt8]) throws(Refusal) {
        pieces = []
        var text: [UInt8] = []
        var rest = bytes[...]
        while let open = Self.range(of: Self.open, in: rest) {
            let place = Self.place(of: open.lowerBound, in: bytes)
            text += rest[..<open.lowerBound]
            let inner = rest[open.upperBound...]
            guard let close = Self.end(of: inner), !inner[..<close.lowerBound].contains(0x0A) else {
                throw Refusal(place: place, reason: "{{ has no }} in its line")
            }
            guard let words = String(validating: inner[..<close.lowerBound], as: UTF8.self) else {
                throw Refusal(place: place, reason: "what stands in the braces is no UTF-8")
            }
            switch try Self.expression(words, at: place) {
            case .literal(let literal): text += literal.utf8
            case .reference(let reference, let isTorqs):
                // Torq's own texts have two number signs before the braces.
                if isTorqs, text.suffix(2).elementsEqual([0x23, 0x23]) { text.removeLast(2) }
                if !text.isEmpty { pieces.append(.text(text)) }
                text = []
                pieces.append(.value(reference, place))
            }
            rest = inner[close.upperBound...]
        }
        text += rest
        if !text.isEmpty { pieces.append(.text(text)) }
    }

    /// The text, with a value in each place.
    func filled(_ value: (Reference) -> String) -> [UInt8] {
        pieces.flatMap { piece in
            switch piece {
            case .text(let bytes): bytes
            case .value(let reference, _): Array(value(reference).utf8)
            }
        }
    }

    // MARK: What stands in the braces

    private static let open = Array("{{".utf8)
    private static let torqs = "$.integrations."

    private enum Expression {
        case literal(String)
        case reference(Reference, isTorqs: Bool)
    }

    private static func expression(_ words: String, at place: Place) throws(Refusal) -> Expression {
        func refuse(_ reason: String) -> Refusal { Refusal(place: place, reason: reason) }
        var text = words[...].trimmingSpaces
        let isTorqs = text.hasPrefix(torqs)
        if isTorqs { text = text.dropFirst(torqs.count) }
        var name: Substring
        let member: Substring
        if text.hasPrefix("\"") {
            guard let end = text.dropFirst().firstIndex(of: "\"") else { throw refuse("a quotation mark has no other one") }
            name = text[text.index(after: text.startIndex)..<end]
            let behind = text[text.index(after: end)...]
            if behind.isEmpty, !isTorqs { return .literal(String(name)) }
            guard behind.hasPrefix(".") else {
                throw refuse("behind the name stands a point and a member, such as .access_token")
            }
            member = behind.dropFirst()
        } else {
            guard let point = text.lastIndex(of: ".") else {
                throw refuse("it is no NAME.MEMBER, such as torq.access_token")
            }
            (name, member) = (text[..<point], text[text.index(after: point)...])
            guard !name.contains(where: { $0 == " " || $0 == "\"" }) else {
                throw refuse("a name with a space stands between quotation marks")
            }
        }
        guard !name.isEmpty, !member.isEmpty,
            member.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_" || $0 == "-") })
        else { throw refuse("it is no NAME.MEMBER, such as torq.access_token") }
        return .reference(Reference(name: String(name), member: String(member)), isTorqs: isTorqs)
    }

    // MARK: Bytes

    private static func range(of word: [UInt8], in bytes: ArraySlice<UInt8>) -> Range<Int>? {
        var index = bytes.startIndex
        while index + word.count <= bytes.endIndex {
            if bytes[index..<index + word.count].elementsEqual(word) { return index..<index + word.count }
            index += 1
        }
        return nil
    }

    /// The braces that end an expression: those within quotation marks do not.
    private static func end(of bytes: ArraySlice<UInt8>) -> Range<Int>? {
        var isQuoted = false
        for index in bytes.indices {
            if bytes[index] == UInt8(ascii: "\"") { isQuoted.toggle() }
            if bytes[index] == 0x0A { return nil }
            if !isQuoted, bytes[index] == UInt8(ascii: "}"), index + 1 < bytes.endIndex, bytes[index + 1] == UInt8(ascii: "}") {
                return index..<index + 2
            }
        }
        return nil
    }

    private static func place(of index: Int, in bytes: [UInt8]) -> Place {
        let before = bytes[..<index]
        let start = before.lastIndex(of: 0x0A).map { $0 + 1 } ?? 0
        let column = String(decoding: bytes[start..<index], as: UTF8.self).unicodeScalars.count + 1
        return Place(line: before.count { $0 == 0x0A } + 1, column: column)
    }
}

extension Substring {
    fileprivate var trimmingSpaces: Substring {
        var rest = self
        while rest.first == " " || rest.first == "\t" { rest.removeFirst() }
        while rest.last == " " || rest.last == "\t" { rest.removeLast() }
        return rest
    }
}
