/// The variable that holds what belongs to a credential.
public enum TokenVariable {
    /// `TORQ_ACCESS_TOKEN` for `torq`: upper case, with `_` for what no variable's name may have.
    public static func name(_ credential: String, _ ending: String = "ACCESS_TOKEN") -> String {
        var name = ""
        for scalar in credential.unicodeScalars {
            switch scalar {
            case "0"..."9":
                if name.isEmpty { name = "_" }
                name.unicodeScalars.append(scalar)
            case "A"..."Z": name.unicodeScalars.append(scalar)
            case "a"..."z": name.unicodeScalars.append(Unicode.Scalar(UInt8(scalar.value) - 32))
            default: name += "_"
            }
        }
        return name + "_" + ending
    }
}
