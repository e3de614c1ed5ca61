import OAuth

// How settings are written on the command line, and shown.

extension GrantType {
    var option: String { rawValue.replacing("_", with: "-") }
}

extension ClientAuthentication {
    var option: String { rawValue.replacing("_", with: "-") }
}

extension RefreshTokenGrace {
    var option: String {
        switch self {
        case .seconds(let seconds): "\(seconds)"
        case .untilSuccessorIsUsed: "until-used"
        }
    }
}
