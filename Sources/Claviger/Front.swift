import Glibc

/// The thin front: it becomes `claviger-core`, arguments untouched. It starts as fast as a C program because there is
/// nothing in it; everything else is the core's.
@main
enum Front {
    static func main() {
        let folder = executableFolder()
        let candidates = [folder + "/claviger-core", folder + "/../libexec/claviger/claviger-core"]
        for path in candidates where access(path, X_OK) == 0 {
            // Only an execv that fails returns.
            _ = execv(path, CommandLine.unsafeArgv)
        }
        let message =
            "claviger: error: claviger-core is neither beside claviger nor in ../libexec/claviger\n"
            + "claviger: hint: install claviger again, with make install\n"
        _ = message.withCString { write(2, $0, strlen($0)) }
        exit(78)
    }

    /// Where this very file lies, not what argv claims.
    private static func executableFolder() -> String {
        var buffer = [CChar](repeating: 0, count: 4097)
        let length = readlink("/proc/self/exe", &buffer, 4096)
        guard length > 0 else { return "." }
        let path = buffer.prefix(length).map { UInt8(bitPattern: $0) }
        let folder = path.lastIndex(of: UInt8(ascii: "/")).map { path[..<$0] } ?? []
        return String(decoding: folder, as: UTF8.self)
    }
}
