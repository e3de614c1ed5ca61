import NIOCore
import NIOHTTP1

/// Mends the head of each answer before the parser sees it: a field that goes on in the next line (RFC 9112 section 5.2) is
/// joined, and a space between a field's name and its colon is dropped (section 5.1). The parser refuses both, and the answer to
/// a refresh would be lost with the login in it.
final class LenientHead: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    /// Bytes; a longer head is the parser's to refuse.
    private static let limit = 256 << 10

    /// What has come of a head; nil while a body is read.
    private var head: ByteBuffer? = ByteBuffer()

    /// Puts a handler right before the parser.
    static func add(to pipeline: ChannelPipeline.SynchronousOperations) throws -> LenientHead {
        let parser = try pipeline.handler(type: ByteToMessageHandler<HTTPResponseDecoder>.self)
        let handler = LenientHead()
        try pipeline.addHandler(handler, position: .before(parser))
        return handler
    }

    /// The next bytes are those of another head: a request has begun, and the answer to the one before it has ended.
    func begin() { head = ByteBuffer() }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard head != nil else { return context.fireChannelRead(data) }
        var bytes = unwrapInboundIn(data)
        head?.writeBuffer(&bytes)
        while let whole = head, let end = Self.end(whole.readableBytesView) {
            var mended = context.channel.allocator.buffer(capacity: end)
            mended.writeBytes(Self.mended(Array(whole.readableBytesView.prefix(end))))
            let isInterim = mended.readableBytesView.dropFirst(9).first == UInt8(ascii: "1")
            var rest = whole
            rest.moveReaderIndex(forwardBy: end)
            // After an interim answer (RFC 9110 section 15.2) another head comes.
            head = isInterim ? rest : nil
            context.fireChannelRead(wrapInboundOut(mended))
            if !isInterim, rest.readableBytes > 0 { context.fireChannelRead(wrapInboundOut(rest)) }
        }
        if let whole = head, whole.readableBytes > Self.limit { passOn(context) }
    }

    func channelInactive(context: ChannelHandlerContext) {
        passOn(context)
        context.fireChannelInactive()
    }

    private func passOn(_ context: ChannelHandlerContext) {
        guard let whole = head else { return }
        head = nil
        if whole.readableBytes > 0 { context.fireChannelRead(wrapInboundOut(whole)) }
    }

    /// How many bytes the head has, with the empty line at its end.
    private static func end(_ bytes: ByteBufferView) -> Int? {
        var count = 0
        var isLineStart = false
        for byte in bytes {
            count += 1
            if byte == 0x0A {
                if isLineStart { return count }
                isLineStart = true
            } else if byte != 0x0D {
                isLineStart = false
            }
        }
        return nil
    }

    static func mended(_ head: [UInt8]) -> [UInt8] {
        var lines: [[UInt8]] = []
        for line in head.split(separator: 0x0A, omittingEmptySubsequences: false) {
            let line = line.last == 0x0D ? line.dropLast() : line
            if let first = line.first, first == 0x20 || first == 0x09, lines.count > 1 {
                lines[lines.count - 1] += [0x20] + line.drop { $0 == 0x20 || $0 == 0x09 }
            } else {
                lines.append(lines.isEmpty ? Array(line) : withoutSpace(line))
            }
        }
        return Array(lines.joined(separator: [0x0D, 0x0A]))
    }

    /// A field without white space before its colon.
    private static func withoutSpace(_ line: ArraySlice<UInt8>) -> [UInt8] {
        guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { return Array(line) }
        var name = line[..<colon]
        while let last = name.last, last == 0x20 || last == 0x09 { name.removeLast() }
        return Array(name + line[colon...])
    }
}
