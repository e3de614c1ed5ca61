import CQRencode

/// An address as a picture for a telephone's camera (ISO/IEC 18004), drawn with the characters of a terminal. libqrencode
/// makes the code.
struct QRCode {
    /// The light frame that readers need around it, in modules.
    private static let margin = 4

    private let width: Int
    private let isDark: [Bool]

    /// - Returns: nil for a text that no code can hold.
    init?(_ text: String) {
        guard let code = unsafe QRcode_encodeString8bit(text, 0, QR_ECLEVEL_L) else { return nil }
        defer { unsafe QRcode_free(code) }
        width = unsafe Int(code.pointee.width)
        let modules = unsafe UnsafeBufferPointer(start: code.pointee.data, count: width * width)
        // The lowest bit of each byte is the colour.
        isDark = unsafe modules.map { $0 & 1 == 1 }
    }

    /// How many columns the drawing takes.
    var columns: Int { width + 2 * Self.margin }

    /// Two modules for each character, in black on white whatever the terminal's own colours are.
    var drawing: String {
        stride(from: -Self.margin, to: width + Self.margin, by: 2).map { row in
            let characters = (-Self.margin..<width + Self.margin).map { column in
                switch (dark(row, column), dark(row + 1, column)) {
                case (true, true): "█"
                case (true, false): "▀"
                case (false, true): "▄"
                case (false, false): " "
                }
            }
            return "\u{1B}[30;107m" + characters.joined() + "\u{1B}[0m"
        }.joined(separator: "\n")
    }

    private func dark(_ row: Int, _ column: Int) -> Bool {
        guard (0..<width).contains(row), (0..<width).contains(column) else { return false }
        return isDark[row * width + column]
    }
}
