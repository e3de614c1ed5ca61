/// Every number that comes from the file is held against these before it is used.
enum Limits {
    static let passes: ClosedRange<UInt32> = 1...16
    static let memory: ClosedRange<UInt64> = 8192...(2 << 30)
    static let slots = 64
    /// What all passphrase slots of a vault may cost together, as Argon2id's passes times its bytes: as many slots as there may
    /// be, each as this program makes it.
    static let openingCost = 64 * 3 * UInt64(256 << 20)
    static let header = 64 << 10
    static let root = 1 << 30
    static let records = 1 << 20
    static let record = 1 << 20
    static let nameBytes = 512
    static let labelBytes = 512
    static let secrets = 256
    static let recordBlock = 256
    static let rootBlock = 1024
}
