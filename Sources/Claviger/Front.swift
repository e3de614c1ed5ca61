import CLinux

/// The thin front: it asks a running agent for a token by itself, and for everything else becomes `claviger-core`,
/// arguments untouched. It is Embedded Swift, so that it starts as fast as a C program: there is nothing else in it.
///
/// SwiftPM takes the function of this name for an executable's entry; an entry that is marked with `@main` is not told the
/// arguments here.
@_cdecl("Claviger_main")
func front(_ count: Int32, _ words: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Int32 {
    let arguments = unsafe Arguments(start: words, count: Int(count))
    if Locations.unreadableVariable != nil { become(core: arguments) }
    if let exec = ExecFastPath(arguments) { exec.run() }
    switch TokenArguments(arguments).flatMap({ TokenFastPath($0).answer() }) {
    case .token(let token): return print(token)
    case .refusal(let status, let lines): say(lines, andExit: status)
    case nil: become(core: arguments)
    }
}

/// - Returns: the exit status.
private func print(_ token: [UInt8]) -> Int32 {
    var line = token + [UInt8(ascii: "\n")]
    defer { unsafe explicit_bzero(&line, line.count) }
    let code = writeAll(line, to: 1)
    guard code != 0 else { return 0 }
    let reason = unsafe String(cString: strerror(code))
    // Upper case is in ASCII alone here: the messages of the C locale.
    let lower = String(decoding: reason.utf8.map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 }, as: UTF8.self)
    say(
        Problem.lines(title: "cannot write to standard output: " + lower, hint: nil), andExit: ProblemCode.cannotWrite.exit)
}

private func become(core arguments: Arguments) -> Never {
    guard let folder = executableFolder() else {
        say(
            Problem.lines(
                title: "it can't be told where claviger is installed",
                hint: "mount /proc, or call claviger by its whole path"),
            andExit: ProblemCode.configuration.exit)
    }
    for path in [folder + "/claviger-core", folder + "/../libexec/claviger/claviger-core"] where unsafe access(path, X_OK) == 0 {
        // Only an execv that fails returns.
        unsafe execv(path, arguments.start)
    }
    say(
        Problem.lines(
            title: "claviger-core is neither beside claviger nor in ../libexec/claviger",
            hint: "install claviger again, with make install"),
        andExit: ProblemCode.configuration.exit)
}

/// Where this very file lies, not what argv claims. Without /proc it is the path that the kernel was given, if that is a whole
/// one: never the current folder, in which anything may lie.
private func executableFolder() -> String? {
    var path = [UInt8](repeating: 0, count: 4096)
    var length = unsafe readlink("/proc/self/exe", &path, path.count)
    if length <= 0 {
        guard let executed = unsafe claviger_executed_path(), unsafe executed.pointee == 0x2F,
            let real = unsafe realpath(executed, nil)
        else { return nil }
        defer { unsafe free(real) }
        length = unsafe min(strlen(real), path.count)
        for index in 0..<length { path[index] = unsafe UInt8(bitPattern: real[index]) }
    }
    guard let end = path[..<length].lastIndex(of: UInt8(ascii: "/")) else { return nil }
    return String(decoding: path[..<end], as: UTF8.self)
}
