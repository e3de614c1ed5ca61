import Access

extension Failure {
    init(audit error: AuditError) {
        switch error {
        case .busy(let path):
            self.init(
                "another process has been writing \(Terminal.plain(path)) for too long",
                hint: "see who with lslocks, then try again", .tryAgain)
        case .diskFull(let path):
            self.init("the disk is full: \(Terminal.plain(path)) cannot be written", hint: "free space", .ioError)
        case .torn(let path):
            self.init(
                "the log \(Terminal.plain(path)) ends in the middle of a line", hint: "claviger log --verify says more",
                .dataError)
        case .system(let operation, let path, let code):
            let failure = Failure.system("\(operation) \(Terminal.plain(path))", code)
            self.init(failure.message, operation == "open" ? .noInput : .ioError)
        }
    }
}
