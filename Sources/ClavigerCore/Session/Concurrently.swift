import Glibc

/// Work on many credentials at once, with an end to how many, and a line of progress for whoever watches.
enum Concurrently {
    /// How many at once: enough to hide a server's latency, few enough not to be taken for an attack.
    static let limit = 32

    /// Runs `body` for every name; the results come in the order of the names.
    /// - Parameter verb: for the progress, which is shown only on a terminal.
    static func run<R: Sendable>(
        _ names: [String], _ verb: String, _ body: @Sendable @escaping (String) async -> R
    ) async -> [(name: String, result: R)] {
        var results: [String: R] = [:]
        var waiting = names[...]
        let progress = Progress(verb: verb, total: names.count)
        await withTaskGroup(of: (String, R).self) { group in
            for name in waiting.prefix(limit) { group.addTask { (name, await body(name)) } }
            waiting = waiting.dropFirst(limit)
            for await (name, result) in group {
                results[name] = result
                progress.show(results.count)
                if let next = waiting.popFirst() { group.addTask { (next, await body(next)) } }
            }
        }
        progress.clear()
        return names.compactMap { name in results[name].map { (name, $0) } }
    }

    private struct Progress {
        let verb: String
        let total: Int
        var isShown: Bool { total > 1 && isatty(STDERR_FILENO) == 1 }

        func show(_ count: Int) {
            if isShown { try? Terminal.write(Array("\r\(verb) \(count) of \(total)".utf8), to: STDERR_FILENO) }
        }

        func clear() {
            if isShown { try? Terminal.write(Array("\r\u{1B}[K".utf8), to: STDERR_FILENO) }
        }
    }
}
