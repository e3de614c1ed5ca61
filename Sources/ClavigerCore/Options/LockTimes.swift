import ArgumentParser

/// When an open vault locks by itself.
struct LockTimes: ParsableArguments {
    @Option(help: ArgumentHelp("Lock after this time: 8h, 30m, 90s or seconds.", valueName: "time"))
    var ttl: DurationArgument?

    @Option(help: ArgumentHelp("Lock after this time without a request.", valueName: "time"))
    var idle: DurationArgument?
}
