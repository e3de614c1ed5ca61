import CLinux

/// Writes all of it.
/// - Returns: 0, or the error number (errno(3)).
func writeAll(_ bytes: [UInt8], to descriptor: Int32) -> Int32 {
    var written = 0
    while written < bytes.count {
        let count = unsafe bytes.withUnsafeBytes { unsafe write(descriptor, $0.baseAddress! + written, $0.count - written) }
        let code = claviger_errno()
        if count < 0 && code == EINTR { continue }
        if count < 0 && code == EAGAIN {
            claviger_wait_to_write(descriptor)
            continue
        }
        // Nothing written, and no error: a device that takes nothing.
        guard count > 0 else { return count < 0 ? code : EIO }
        written += count
    }
    return 0
}

/// Writes to standard error, and ends.
func say(_ text: String, andExit status: Int32) -> Never {
    _ = writeAll(Array(text.utf8), to: 2)
    exit(status)
}
