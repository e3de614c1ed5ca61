import ArgumentParser

/// A setting that `edit --clear` empties, by the name of its option.
struct ClearableField: ExpressibleByArgument {
    let field: SettingField

    private static let all = SettingField.all.filter { $0.clear != nil }

    init?(argument: String) {
        let name = argument == "key-id" ? "kid" : argument
        guard let field = Self.all.first(where: { $0.option == name }) else { return nil }
        self.field = field
    }

    static var allValueStrings: [String] { all.compactMap(\.option) }
}
