import ArgumentParser

/// A length of time on the command line: `90`, `90s`, `30m`, `8h`, `7d`.
struct DurationArgument: ExpressibleByArgument {
    let seconds: Double

    init?(argument: String) {
        let units: [Character: Double] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
        let unit = argument.last.flatMap { units[$0] }
        let digits = unit == nil ? argument[...] : argument.dropLast()
        guard let number = UInt32(digits), number > 0 else { return nil }
        seconds = Double(number) * (unit ?? 1)
    }
}

/// The same where none at all is one, too: for a token's remaining lifetime.
struct LifetimeArgument: ExpressibleByArgument {
    let seconds: Int

    init?(argument: String) {
        guard argument != "0" else {
            seconds = 0
            return
        }
        guard let duration = DurationArgument(argument: argument) else { return nil }
        seconds = Int(duration.seconds)
    }
}
