import Sodium

/// What opens a slot.
public enum SlotKind: UInt8, Sendable {
    case passphrase = 1
    case keyFile = 2
    case recipient = 3
}

/// One way to unwrap the vault key, as it stands in the header.
struct Slot: Equatable {
    enum Body: Equatable {
        /// Argon2id's cost and salt.
        case passphrase(PasswordHashCost, salt: [UInt8])
        case keyFile
        /// An X25519 public key. Written by later commands; kept, and never unlocked, by this version.
        case recipient(publicKey: [UInt8])
    }

    static let idLength = 16
    static let keyWrapLength = AEAD.keyLength + AEAD.overhead
    /// `crypto_box_seal` adds an ephemeral public key and a tag.
    static let recipientWrapLength = AEAD.keyLength + 48
    static let prefixLength = 4 + idLength

    let id: [UInt8]
    let body: Body
    /// The sealed vault key.
    let wrapped: [UInt8]

    var kind: SlotKind {
        switch body {
        case .passphrase: .passphrase
        case .keyFile: .keyFile
        case .recipient: .recipient
        }
    }

    /// What it costs to try a passphrase on it: Argon2id's passes times its bytes; each is bounded where it is parsed.
    var openingCost: UInt64 {
        if case .passphrase(let cost, _) = body { UInt64(cost.passes) * cost.memory } else { 0 }
    }

    /// Everything before the wrapped key: it is authenticated together with it.
    static func preamble(id: [UInt8], body: Body) -> [UInt8] {
        var parameters: [UInt8] = []
        let kind: SlotKind
        let wrapLength: Int
        switch body {
        case .passphrase(let cost, let salt):
            (kind, wrapLength) = (.passphrase, keyWrapLength)
            parameters.append(UInt64(cost.passes), width: 4)
            parameters.append(cost.memory, width: 8)
            parameters += salt
        case .keyFile:
            (kind, wrapLength) = (.keyFile, keyWrapLength)
        case .recipient(let publicKey):
            (kind, wrapLength) = (.recipient, recipientWrapLength)
            parameters += publicKey
        }
        var bytes: [UInt8] = [kind.rawValue, 0]
        bytes.append(UInt64(parameters.count + wrapLength), width: 2)
        return bytes + id + parameters
    }

    var serialised: [UInt8] { Self.preamble(id: id, body: body) + wrapped }

    /// The associated data of a wrapped vault key.
    static func context(vaultID: [UInt8], id: [UInt8], body: Body) -> [UInt8] {
        Array("claviger slot".utf8) + vaultID + preamble(id: id, body: body)
    }

    static func parse(_ cursor: inout Cursor, in bytes: [UInt8]) throws(VaultError) -> Slot {
        let span = bytes.rawSpan
        let kindByte = try cursor.u8(in: span)
        guard let kind = SlotKind(rawValue: kindByte) else {
            throw .damaged(.header, reason: "has a slot of the unknown kind \(kindByte)")
        }
        guard try cursor.u8(in: span) == 0 else { throw .damaged(.header, reason: "has a reserved byte that is not zero") }
        let length = try cursor.u16(in: span)
        let id = Array(bytes[try cursor.take(idLength)])
        var inner = Cursor(try cursor.take(length), part: .header)
        let body = try parseBody(kind, &inner, in: bytes)
        let wrapped = Array(bytes[try inner.take(kind == .recipient ? recipientWrapLength : keyWrapLength)])
        try inner.finish()
        return Slot(id: id, body: body, wrapped: wrapped)
    }

    private static func parseBody(_ kind: SlotKind, _ cursor: inout Cursor, in bytes: [UInt8]) throws(VaultError) -> Body {
        switch kind {
        case .keyFile:
            return .keyFile
        case .recipient:
            return .recipient(publicKey: Array(bytes[try cursor.take(32)]))
        case .passphrase:
            let cost = PasswordHashCost(
                passes: try cursor.u32(in: bytes.rawSpan), memory: try cursor.u64(in: bytes.rawSpan))
            guard cost.passes >= Limits.passes.lowerBound, cost.memory >= Limits.memory.lowerBound else {
                throw .damaged(.header, reason: "has a passphrase slot that costs too little")
            }
            guard cost.passes <= Limits.passes.upperBound, cost.memory <= Limits.memory.upperBound else {
                throw .damaged(.header, reason: "has a passphrase slot that costs too much")
            }
            return .passphrase(cost, salt: Array(bytes[try cursor.take(PasswordHash.saltLength)]))
        }
    }
}
