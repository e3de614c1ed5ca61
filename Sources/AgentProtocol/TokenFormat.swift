/// The forms in which a token is printed: by the agent for the thin front, and by the core for itself.
public enum TokenFormat: CaseIterable, Sendable {
    case raw, json, header, headersJSON, curl, netrc, env, dotenv, dpop

    /// As it is written on the command line and in a request to the agent.
    public var word: String {
        switch self {
        case .raw: "raw"
        case .json: "json"
        case .header: "header"
        case .headersJSON: "headers-json"
        case .curl: "curl"
        case .netrc: "netrc"
        case .env: "env"
        case .dotenv: "dotenv"
        case .dpop: "dpop"
        }
    }

    public init?(word: String) {
        guard let format = Self.allCases.first(where: { $0.word.utf8.elementsEqual(word.utf8) }) else { return nil }
        self = format
    }

    /// Where a token stands in a request to the API.
    public enum Place: Sendable {
        case header(name: String, before: String, after: String)
        /// A parameter of the query.
        case query(name: String)

        /// RFC 6750 section 2.1.
        public static let bearer = Place.header(name: "Authorization", before: "Bearer ", after: "")
    }

    /// What is printed of a token; times are seconds since 1970.
    public struct Token {
        public var text: String
        public var type: String
        public var scope: String?
        public var expires: Int?
        public var place: Place
        /// The proof of possession for one request (RFC 9449).
        public var proof: String?

        public init(text: String, type: String, scope: String?, expires: Int?, place: Place = .bearer, proof: String? = nil) {
            self.text = text
            self.type = type
            self.scope = scope
            self.expires = expires
            self.place = place
            self.proof = proof
        }
    }

    /// - Parameters:
    ///   - name: the credential's.
    ///   - now: seconds since 1970.
    /// - Throws: `Problem` for a header of a token that goes in the query, and for a proof that was not asked for.
    public func text(_ token: Token, of name: String, at now: Int) throws(Problem) -> String {
        switch self {
        case .raw: return token.text
        case .header:
            let (name, value) = try Self.header(token)
            return name + ": " + value
        case .headersJSON:
            let (name, value) = try Self.header(token)
            return JSONText.object([(name, JSONText.string(value))])
        case .curl: return Self.curl(token)
        // A token has no space and no control character, so that it is one word of a netrc file.
        case .netrc: return "default login oauth2 password " + token.text
        case .env: return "export " + TokenVariable.name(name) + "=" + ShellQuotes.quoted(token.text)
        // No reader of such files agrees with another on quotes; a token needs none, for it has neither spaces nor line ends.
        case .dotenv: return TokenVariable.name(name) + "=" + token.text
        case .json: return Self.document(token, now)
        case .dpop:
            guard let proof = token.proof else {
                throw Problem("a proof is for one request", hint: .text("use --method METHOD and --url URL"), .usage)
            }
            let (name, value) = try Self.header(token)
            return name + ": " + value + "\nDPoP: " + proof
        }
    }

    private static func header(_ token: Token) throws(Problem) -> (name: String, value: String) {
        switch token.place {
        case .header(let name, let before, let after): return (name, before + token.text + after)
        case .query(let name):
            throw Problem(
                "tokens of this credential go to the API as the parameter " + name + " of the query, and in no header",
                hint: .text("use --format raw, or claviger curl"), .usage)
        }
    }

    /// A line for the configuration of curl(1), which takes the same escapes between quotation marks as JSON does.
    private static func curl(_ token: Token) -> String {
        switch token.place {
        case .header(let name, let before, let after):
            "header = " + JSONText.string(name + ": " + before + token.text + after)
        case .query(let name): "url-query = " + JSONText.string(name + "=" + token.text)
        }
    }

    /// The member names of RFC 6749 section 5.1, in the order of the alphabet.
    private static func document(_ token: Token, _ now: Int) -> String {
        var members = [("access_token", JSONText.string(token.text))]
        if let expires = token.expires {
            members.append(("expires_at", JSONText.string(UTCTime.text(expires))))
            members.append(("expires_in", "\(max(0, expires - now))"))
        }
        if let scope = token.scope { members.append(("scope", JSONText.string(scope))) }
        members.append(("token_type", JSONText.string(token.type)))
        return JSONText.object(members)
    }
}

/// As much of JSON as a token in a document needs (RFC 8259).
enum JSONText {
    /// - Parameter members: names that need no escape, and values in JSON.
    static func object(_ members: [(String, String)]) -> String {
        var text = ""
        for (name, value) in members { text += (text.isEmpty ? "{\n  \"" : ",\n  \"") + name + "\" : " + value }
        return text + "\n}"
    }

    /// Section 7: quotation mark, backslash and control characters are escaped.
    static func string(_ text: String) -> String {
        var bytes: [UInt8] = [0x22]
        let digits = Array("0123456789abcdef".utf8)
        for byte in text.utf8 {
            switch byte {
            case 0x22, 0x5C: bytes += [0x5C, byte]
            case 0..<0x20: bytes += Array("\\u00".utf8) + [digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            default: bytes.append(byte)
            }
        }
        bytes.append(0x22)
        return String(decoding: bytes, as: UTF8.self)
    }
}
