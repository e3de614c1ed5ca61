import Agent
import FoundationEssentials

extension Policy.Rule.Subject {
    var words: String {
        switch self {
        case .user(let number, let name): "user \(name)" + (name == "\(number)" ? "" : " (\(number))")
        case .group(let number, let name): "group \(name)" + (name == "\(number)" ? "" : " (\(number))")
        }
    }
}

extension Policy.Rule {
    var lifeWords: String { longestLife.map { Report.duration(Double($0)) } ?? "" }

    var words: String {
        let scopes = scopes.map { ", scopes \($0.joined(separator: " "))" } ?? ""
        return Terminal.plain("tokens of \(credential) for \(subject.words)\(scopes)")
    }
}
