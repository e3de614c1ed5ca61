import Access
import FoundationEssentials

extension Subject {
    var words: String {
        switch self {
        case .user(let number, let name): "user \(name)" + (name == "\(number)" ? "" : " (\(number))")
        case .group(let number, let name): "group \(name)" + (name == "\(number)" ? "" : " (\(number))")
        }
    }
}

extension Accounts.Standing {
    /// Why a rule gives nothing; empty where it does.
    var words: String {
        switch self {
        case .current: ""
        case .gone: "gives nothing: the name is gone"
        case .renumbered(let number): "gives nothing: the name has the number \(number) now"
        }
    }
}

extension Rule {
    var lifeWords: String { maxTTL.map { Report.duration(Double($0)) } ?? "" }

    var words: String {
        let scopes = scopes.map { ", scopes \($0.joined(separator: " "))" } ?? ""
        return Terminal.plain("tokens of \(credential) for \(subject.words)\(scopes)")
    }
}
