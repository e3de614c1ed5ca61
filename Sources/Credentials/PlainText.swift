import Glibc

/// Text from elsewhere, for a terminal and for messages.
public enum PlainText {
    /// The text without what a terminal would obey, and without what would reorder or hide it.
    public static func of(_ text: String) -> String {
        String(
            String.UnicodeScalarView(text.unicodeScalars.filter { ![.control, .format].contains($0.properties.generalCategory) }))
    }

    /// In quotation marks: a name, a key's id.
    public static func quoted(_ text: String) -> String { "“\(of(text))”" }

    /// What the system says of an error number, lower case.
    public static func reason(errno code: Int32) -> String { unsafe String(cString: strerror(code)).lowercased() }
}
