/// The variable that holds what belongs to a credential.
public enum TokenVariable {
    /// `TORQ_ACCESS_TOKEN` for `torq`: upper case, with `_` for what no variable's name may have.
    public static func name(_ credential: String, _ ending: String = "ACCESS_TOKEN") -> String {
        let word = String(credential.uppercased().map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" })
        return (word.first?.isNumber == true ? "_" : "") + word + "_" + ending
    }
}
