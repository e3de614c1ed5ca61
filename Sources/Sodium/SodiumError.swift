import CSodium

/// What a primitive can refuse. Every case is one that a caller tells apart.
public enum SodiumError: Error, Equatable, Sendable {
    /// The kernel did not lock the pages of a secret (RLIMIT_MEMLOCK), or no guarded pages were left.
    case lockedMemoryExhausted
    /// The seal does not open: another key, other associated data, or changed bytes. Which, nobody can tell.
    case sealBroken
    /// Argon2id could not get the memory that it was asked to use.
    case passwordHashMemory
}

/// Starts libsodium once, before its first use. It fails only if the system has no randomness to give.
let sodiumReady: Void = {
    precondition(sodium_init() >= 0, "libsodium cannot start")
}()
