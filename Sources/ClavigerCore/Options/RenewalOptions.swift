import ArgumentParser

/// What an agent keeps fresh by itself.
struct RenewalOptions: ParsableArguments {
    @Flag(help: "Keep tokens valid of credentials, too, that nobody has asked for in a day.")
    var keepFresh = false

    @Option(
        help: ArgumentHelp(
            "Keep a file with a credential's token in it; may be repeated.", valueName: "name=path[,format=f][,owner=user]"))
    var sink: [SinkOption] = []
}
