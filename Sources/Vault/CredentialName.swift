@_spi(_Unicode) import Swift

/// What may be the name of a credential: 1 to 128 characters, printable, without slash.
public enum CredentialName {
    public static let maximumCharacters = 128

    /// Checks a name in NFC, as it is going to be stored.
    /// - Throws: `invalidName`, with the reason in words.
    public static func validate(_ name: String) throws(VaultError) {
        let name = normalised(name)
        func refuse(_ reason: String) throws(VaultError) { throw .invalidName(reason: reason) }
        if name.isEmpty { try refuse("is empty") }
        if name.unicodeScalars.count > maximumCharacters || name.utf8.count > Limits.nameBytes {
            try refuse("is longer than \(maximumCharacters) characters")
        }
        if name.unicodeScalars.contains("/") { try refuse("contains a slash") }
        if name.hasPrefix("-") { try refuse("begins with a hyphen, as options do") }
        if name.unicodeScalars.contains(where: isUnprintable) { try refuse("contains a control or invisible character") }
        if name.first?.isWhitespace == true || name.last?.isWhitespace == true { try refuse("begins or ends with a space") }
    }

    /// Control characters, and those that hide or reorder text on a screen.
    private static func isUnprintable(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned: true
        default: false
        }
    }

    /// The name in Unicode's normalisation form C. A keyboard's and a file manager's spelling of one name may differ in bytes.
    static func normalised(_ name: String) -> String {
        if name.utf8.allSatisfy({ $0 < 0x80 }) { return name }
        var scalars = String.UnicodeScalarView()
        scalars.append(contentsOf: name._nfc)
        return String(scalars)
    }

    /// The name with the numbers of what is not ASCII, in Swift's and JavaScript's notation.
    static func alias(_ name: String) -> String {
        name.unicodeScalars.map { $0.isASCII ? String($0) : "\\u{\(String($0.value, radix: 16))}" }.joined()
    }

    /// The name among `names` that is nearest to `name`, if it is near enough to be a slip of the finger.
    static func nearest(to name: String, among names: some Sequence<String>) -> String? {
        let limit = max(1, name.count / 3)
        let wanted = Array(name.lowercased())
        return names.lazy
            .filter { abs($0.count - wanted.count) <= limit }
            .map { (name: $0, distance: distance(wanted, Array($0.lowercased()))) }
            .filter { $0.distance <= limit }
            .min { ($0.distance, $0.name) < ($1.distance, $1.name) }?.name
    }

    /// Levenshtein's distance.
    private static func distance(_ a: [Character], _ b: [Character]) -> Int {
        var row = Array(0...b.count)
        for (i, x) in a.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, y) in b.enumerated() {
                let substituted = diagonal + (x == y ? 0 : 1)
                diagonal = row[j + 1]
                row[j + 1] = min(substituted, diagonal + 1, row[j] + 1)
            }
        }
        return row[b.count]
    }
}
