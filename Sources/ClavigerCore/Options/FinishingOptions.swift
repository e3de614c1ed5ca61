import ArgumentParser

/// What `lock` and `agent stop` do about refreshes that have begun.
struct FinishingOptions: ParsableArguments {
    @Flag(help: "Wait until refreshes that commands have begun without the agent are finished.")
    var wait = false
}
