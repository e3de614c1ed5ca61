import Glibc

extension ChildProcess {
    /// Replaces this process by a program. Its environment is this process's.
    /// - Parameter argv: the program (a path, or a name to look for in `$PATH`), which is also what it is told that its name
    ///   is, and its arguments: bytes that need not be UTF-8. A null ends them.
    /// - Returns: why that could not be done.
    public static func replaceThisProcess(_ argv: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> FileError {
        guard let program = unsafe argv[0] else { return FileError(operation: "run", path: "", code: EINVAL) }
        _ = unsafe execvp(program, argv)
        let code = errno
        return unsafe FileError(operation: "run", path: String(cString: program), code: code)
    }

    /// The same, with a name for the program.
    public static func replaceThisProcess(_ program: String, name: String, arguments: [String]) -> FileError {
        let code = unsafe CStrings.with([name] + arguments) { argv in
            _ = unsafe execvp(program, argv)
            return errno
        }
        return FileError(operation: "run", path: program, code: code)
    }

    /// A variable of this process's environment; nil if it is not there, or empty.
    public static func variable(_ name: String) -> String? {
        guard let value = unsafe getenv(name), unsafe value.pointee != 0 else { return nil }
        return unsafe String(cString: value)
    }

    /// Changes this process's environment, which its programs inherit. Not while another thread reads it.
    /// - Parameter value: nil removes the variable.
    public static func setVariable(_ name: String, _ value: String?) {
        if let value { unsafe setenv(name, value, 1) } else { unsafe unsetenv(name) }
    }
}
