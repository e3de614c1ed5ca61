import CLinux

/// The thin front: it asks a running agent for a token by itself, and for everything else becomes `claviger-core`,
/// arguments untouched. It is Embedded Swift, so that it starts as fast as a C program: there is nothing else in it.
///
/// SwiftPM takes the function of this name for an executable's entry; an entry that is marked with `@main` is not told the
/// arguments here.
@_cdecl("Claviger_main")
func front(_ count: Int32, _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Int32 {
    let words = Words(start: arguments, count: Int(count))
    if let exec = HotExec(words) { exec.run() }
    switch HotRequest(words)?.answer() {
    case .token(var token):
        token.append(UInt8(ascii: "\n"))
        let isWritten = write(1, token, token.count) == token.count
        explicit_bzero(&token, token.count)
        return isWritten ? 0 : 74
    case .refusal(let code, let text): say(text, andExit: code)
    case nil: become(core: words)
    }
}

/// What the program was called with, as it was.
struct Words {
    let start: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
    let count: Int

    /// Nil for what is missing, or is no UTF-8.
    subscript(_ index: Int) -> String? {
        guard index < count, let word = start[index] else { return nil }
        return String(validatingCString: word)
    }

    func isAt(_ index: Int, _ word: StaticString) -> Bool {
        guard index < count, let other = start[index] else { return false }
        return word.withUTF8Buffer { strlen(other) == $0.count && memcmp(other, $0.baseAddress!, $0.count) == 0 }
    }
}

func say(_ text: String, andExit code: Int32) -> Never {
    let bytes = Array(text.utf8)
    write(2, bytes, bytes.count)
    exit(code)
}

private func become(core words: Words) -> Never {
    let folder = executableFolder()
    for path in [folder + "/claviger-core", folder + "/../libexec/claviger/claviger-core"] where access(path, X_OK) == 0 {
        // Only an execv that fails returns.
        execv(path, words.start)
    }
    say(
        "claviger: error: claviger-core is neither beside claviger nor in ../libexec/claviger\n"
            + "claviger: hint: install claviger again, with make install\n", andExit: 78)
}

/// Where this very file lies, not what argv claims.
private func executableFolder() -> String {
    var path = [UInt8](repeating: 0, count: 4096)
    let length = readlink("/proc/self/exe", &path, path.count)
    guard length > 0, let end = path[..<length].lastIndex(of: UInt8(ascii: "/")) else { return "." }
    return String(decoding: path[..<end], as: UTF8.self)
}
