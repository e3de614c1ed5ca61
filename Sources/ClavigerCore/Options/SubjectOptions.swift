import ArgumentParser

/// Whom a rule is about.
struct SubjectOptions: ParsableArguments {
    @Option(help: ArgumentHelp("A user, by name or number.", valueName: "user"))
    var user: String?

    @Option(help: ArgumentHelp("A group, by name or number.", valueName: "group"))
    var group: String?

    func validate() throws {
        if (user == nil) == (group == nil) { throw ValidationError("either --user or --group is needed") }
    }
}
