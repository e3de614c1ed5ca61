import Glibc

/// Whether a process has what it needs to begin at all. The runtime's libraries end it with SIGILL, or wait for ever, where they
/// are refused a thread or memory; asked before anything of theirs is in use, it can say so.
public enum ProcessRoom {
    /// Whether so many more threads can be there at once: the user's limit, and the container's, count them as processes.
    public static func has(threads count: Int) -> Bool {
        let gate = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
        defer { unsafe gate.deallocate() }
        unsafe pthread_mutex_init(gate, nil)
        unsafe pthread_mutex_lock(gate)
        var attributes = pthread_attr_t()
        unsafe pthread_attr_init(&attributes)
        unsafe pthread_attr_setstacksize(&attributes, 64 << 10)
        defer { unsafe pthread_attr_destroy(&attributes) }
        var threads: [pthread_t] = []
        while threads.count < count {
            var thread = pthread_t()
            let code = unsafe pthread_create(
                &thread, &attributes,
                { gate in
                    guard let gate = unsafe gate?.assumingMemoryBound(to: pthread_mutex_t.self) else { return nil }
                    unsafe pthread_mutex_lock(gate)
                    unsafe pthread_mutex_unlock(gate)
                    return nil
                }, gate)
            guard code == 0 else { break }
            threads.append(thread)
        }
        unsafe pthread_mutex_unlock(gate)
        for thread in threads { unsafe pthread_join(thread, nil) }
        return threads.count == count
    }

    /// Whether so many more bytes of addresses may be taken (`RLIMIT_AS`, getrlimit(2)).
    public static func has(bytes count: Int) -> Bool {
        let none = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
        guard let pages = unsafe mmap(nil, count, PROT_NONE, none, -1, 0), unsafe pages != MAP_FAILED else { return false }
        unsafe munmap(pages, count)
        return true
    }

    /// Whether so many more files may be open.
    public static func has(files count: Int) -> Bool {
        var files: [File] = []
        while files.count < count, let file = try? File.null() { files.append(file) }
        return files.count == count
    }

    /// How many threads may run at once.
    public static var cores: Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }
}
