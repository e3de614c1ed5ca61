import Sodium

/// Sixteen random bytes that name one sealed record for ever; ordered as bytes.
public struct RecordID: Hashable, Comparable, Sendable {
    static let length = 16
    private let high: UInt64
    private let low: UInt64

    static func fresh() -> RecordID {
        RecordID(Random.bytes(length).rawSpan, at: 0)
    }

    init(_ bytes: RawSpan, at offset: Int) {
        var high: UInt64 = 0
        var low: UInt64 = 0
        for index in 0..<8 {
            high = high << 8 | UInt64(bytes.byte(at: offset + index))
            low = low << 8 | UInt64(bytes.byte(at: offset + 8 + index))
        }
        self.high = high
        self.low = low
    }

    var bytes: [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(high.byteSwapped, width: 8)
        bytes.append(low.byteSwapped, width: 8)
        return bytes
    }

    public static func < (a: RecordID, b: RecordID) -> Bool {
        (a.high, a.low) < (b.high, b.low)
    }
}
