/// Options that have another name now. The old one works until the next major version.
enum OldSpellings {
    private static let options = [
        "--from": "--from-json",
        "--key-id": "--kid",
        "--key-passphrase-file": "--private-key-passphrase-file",
    ]

    /// - Returns: the words with today's names.
    /// - Parameter remark: is told of each that was written in the old way.
    static func today(_ words: [String], remark: (String) -> Void) -> [String] {
        // What stands behind the terminator, or an address for curl, is another program's.
        let own = CommonWords(words).own.count
        return words.enumerated().map { index, word in
            guard index < own, word.hasPrefix("--") else { return word }
            let (name, rest) = (word.prefix { $0 != "=" }, word.drop { $0 != "=" })
            guard let new = options[String(name)] else { return word }
            remark("\(name) is called \(new) now")
            return new + rest
        }
    }
}
