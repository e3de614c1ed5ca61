import CLinux

/// `claviger exec NAME... -- COMMAND...` without options, where an agent has all the tokens.
@safe struct ExecFastPath {
    private let credentials: [String]
    /// Ends with a null, as argv does.
    private let command: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>

    init?(_ words: Arguments) {
        guard words.isAt(1, "exec"), let end = (2..<words.count).first(where: { words.isAt($0, "--") }) else { return nil }
        var credentials: [String] = []
        for index in 2..<end {
            guard let name = words[index], !name.isEmpty, name.utf8.first != UInt8(ascii: "-") else { return nil }
            credentials.append(name)
        }
        guard !credentials.isEmpty, end + 1 < words.count else { return nil }
        self.credentials = credentials
        unsafe command = unsafe words.start + end + 1
    }

    /// Becomes the command; comes back, with nothing changed, if that is the core's to do.
    func run() {
        let names = credentials.map { TokenVariable.name($0) }
        for index in names.indices where names[..<index].contains(where: { $0.utf8.elementsEqual(names[index].utf8) }) { return }
        var tokens: [String] = []
        for credential in credentials {
            switch TokenFastPath(TokenArguments(name: credential)).answer() {
            case .token(let token): tokens.append(String(decoding: token, as: UTF8.self))
            case .refusal(let code, let text): say(text, andExit: code)
            case nil: return
            }
        }
        let ours = unsafe Self.ownVariables()
        unsafe ours.forEach { unsafe unsetenv($0.name) }
        for (name, token) in zip(names, tokens) { unsafe setenv(name, token, 1) }
        unsafe execvp(command[0]!, command)
        // Why it can't be run is the core's to say.
        for name in names { unsafe unsetenv(name) }
        unsafe ours.forEach { unsafe setenv($0.name, $0.value, 1) }
    }

    /// The values stay where they are when a variable is taken away.
    private static func ownVariables() -> [(name: String, value: UnsafeMutablePointer<CChar>)] {
        var variables: [(name: String, value: UnsafeMutablePointer<CChar>)] = unsafe []
        var entry = unsafe claviger_environment()!
        while let text = unsafe entry.pointee {
            if unsafe strncmp(text, "CLAVIGER_", 9) == 0, let equals = unsafe strchr(text, Int32(UInt8(ascii: "="))) {
                let name = unsafe UnsafeRawBufferPointer(start: text, count: equals - text)
                unsafe variables.append((String(decoding: name, as: UTF8.self), equals + 1))
            }
            unsafe entry += 1
        }
        return unsafe variables
    }
}
