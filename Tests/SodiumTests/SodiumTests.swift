import Sodium
import Testing

private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

private func hex(_ text: String) -> [UInt8] {
    var digits = Array(text.utf8)[...]
    var bytes: [UInt8] = []
    while digits.count >= 2 {
        bytes.append(UInt8(String(decoding: digits.prefix(2), as: UTF8.self), radix: 16)!)
        digits.removeFirst(2)
    }
    return bytes
}

@Suite struct SecretBytesTests {
    @Test func holdsACopyOfWhatItWasGiven() throws {
        let source = bytes("made-up secret")
        let secret = try SecretBytes(copying: source.span.bytes)
        #expect(secret.count == source.count)
        #expect(secret.withBytes { $0.array() } == source)
    }

    @Test func mayBeEmpty() throws {
        let secret = try SecretBytes(copying: [UInt8]().span.bytes)
        #expect(secret.withBytes { $0.byteCount } == 0)
    }

    @Test func comparesByContent() throws {
        let a = try SecretBytes(copying: bytes("same").span.bytes)
        let b = try SecretBytes(copying: bytes("same").span.bytes)
        let c = try SecretBytes(copying: bytes("other").span.bytes)
        #expect(a.equals(b) == true)
        #expect(a.equals(c) == false)
    }

    @Test func isNotPrintedByAnyWayToPrint() throws {
        let secret = try Secret(utf8: "made-up secret")
        var dumped = ""
        dump(secret, to: &dumped)
        #expect(!("\(secret)" + String(reflecting: secret) + dumped).contains("made-up"))
    }
}

@Suite struct AEADTests {
    @Test func opensWhatItSealed() throws {
        let key = try SecretBytes.random(count: AEAD.keyLength)
        let sealed = AEAD.seal(bytes("plain").span.bytes, context: bytes("here").span.bytes, key: key)
        #expect(sealed.count == 5 + AEAD.overhead)
        let opened = try AEAD.open(sealed.span.bytes, context: bytes("here").span.bytes, key: key)
        #expect(opened.withBytes { $0.array() } == bytes("plain"))
        #expect(try AEAD.openOrdinary(sealed.span.bytes, context: bytes("here").span.bytes, key: key) == bytes("plain"))
    }

    @Test func neverSealsTheSameTwice() throws {
        let key = try SecretBytes.random(count: AEAD.keyLength)
        let first = AEAD.seal(bytes("plain").span.bytes, context: [UInt8]().span.bytes, key: key)
        #expect(first != AEAD.seal(bytes("plain").span.bytes, context: [UInt8]().span.bytes, key: key))
    }

    @Test func refusesAnotherContextKeyOrByte() throws {
        let key = try SecretBytes.random(count: AEAD.keyLength)
        let other = try SecretBytes.random(count: AEAD.keyLength)
        let sealed = AEAD.seal(bytes("plain").span.bytes, context: bytes("here").span.bytes, key: key)
        #expect(throws: SodiumError.sealBroken) {
            try AEAD.openOrdinary(sealed.span.bytes, context: bytes("there").span.bytes, key: key)
        }
        #expect(throws: SodiumError.sealBroken) {
            try AEAD.openOrdinary(sealed.span.bytes, context: bytes("here").span.bytes, key: other)
        }
        for index in sealed.indices {
            var changed = sealed
            changed[index] ^= 1
            #expect(throws: SodiumError.sealBroken) {
                try AEAD.openOrdinary(changed.span.bytes, context: bytes("here").span.bytes, key: key)
            }
        }
    }

    @Test func refusesWhatIsTooShortForASeal() throws {
        let key = try SecretBytes.random(count: AEAD.keyLength)
        #expect(throws: SodiumError.sealBroken) {
            try AEAD.openOrdinary(
                [UInt8](repeating: 0, count: AEAD.overhead - 1).span.bytes, context: [UInt8]().span.bytes, key: key)
        }
    }

    /// draft-irtf-cfrg-xchacha-03, appendix A.3.1.
    @Test func opensTheVectorOfItsSpecification() throws {
        let key = try SecretBytes(copying: hex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f").span.bytes)
        let sealed = hex(
            "404142434445464748494a4b4c4d4e4f5051525354555657"
                + "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e"
                + "1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff921f9664c97637da9768812f615c68b13b52e"
                + "c0875924c1c7987947deafd8780acf49")
        let opened = try AEAD.openOrdinary(sealed.span.bytes, context: hex("50515253c0c1c2c3c4c5c6c7").span.bytes, key: key)
        #expect(String(decoding: opened, as: UTF8.self).hasPrefix("Ladies and Gentlemen of the class of '99"))
    }
}

@Suite struct HashTests {
    @Test func passphrasesAndSaltsGiveTheirOwnKeys() throws {
        let salt = [UInt8](repeating: 7, count: PasswordHash.saltLength)
        let otherSalt = [UInt8](repeating: 8, count: PasswordHash.saltLength)
        let a = try PasswordHash.key(passphrase: bytes("one").span.bytes, salt: salt.span.bytes, cost: .minimum)
        let again = try PasswordHash.key(passphrase: bytes("one").span.bytes, salt: salt.span.bytes, cost: .minimum)
        let b = try PasswordHash.key(passphrase: bytes("two").span.bytes, salt: salt.span.bytes, cost: .minimum)
        let c = try PasswordHash.key(passphrase: bytes("one").span.bytes, salt: otherSalt.span.bytes, cost: .minimum)
        #expect(a.equals(again) == true)
        #expect(a.equals(b) == false)
        #expect(a.equals(c) == false)
    }

    @Test func subkeysDifferByNumber() throws {
        let key = try SecretBytes.random(count: 32)
        let one = try Subkeys.derive(1, context: "claviger", from: key)
        let two = try Subkeys.derive(2, context: "claviger", from: key)
        #expect(one.equals(two) == false)
        #expect(one.equals(try Subkeys.derive(1, context: "claviger", from: key)) == true)
    }

    @Test func theChecksumIsBLAKE2b256() {
        #expect(
            KeyedHash.checksum(bytes("abc").span.bytes)
                == hex("bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319"))
    }
}

@Suite struct EncodingTests {
    @Test(arguments: [0, 1, 255, 256, 257])
    func paddingComesOffAgain(count: Int) {
        var padded = [UInt8](repeating: 0x80, count: count)
        padded.append(0x80)
        padded += [UInt8](repeating: 0, count: Padding.paddedLength(count, block: 256) - count - 1)
        #expect(padded.count % 256 == 0)
        #expect(Padding.unpaddedLength(padded.span.bytes, block: 256) == count)
    }

    @Test func paddingThatIsNoneIsRefused() {
        #expect(Padding.unpaddedLength([UInt8](repeating: 0, count: 256).span.bytes, block: 256) == nil)
        #expect(Padding.unpaddedLength([UInt8](repeating: 1, count: 256).span.bytes, block: 256) == nil)
        #expect(Padding.unpaddedLength([UInt8]().span.bytes, block: 256) == nil)
        #expect(Padding.unpaddedLength(([0x80] as [UInt8]).span.bytes, block: 256) == nil)
    }

    @Test func hexadecimalGoesBothWaysAndIsStrict() throws {
        let text = Hex.encode(([0, 15, 255] as [UInt8]).span.bytes)
        #expect(text == "000fff")
        let decoded = try Hex.decodeSecret(bytes(text).span.bytes, count: 3)
        #expect(decoded?.withBytes { $0.array() } == [0, 15, 255])
        for bad in ["000ff", "000ff", "000fffff", "000fgg"] {
            let refused = try Hex.decodeSecret(bytes(bad).span.bytes, count: 3) == nil
            #expect(refused, "\(bad)")
        }
    }
}
