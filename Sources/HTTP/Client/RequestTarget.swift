import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import NIOSSL
import OAuth
import Sodium

/// Carries the target of a request (RFC 9112 section 3.2) past AsyncHTTPClient, byte for byte.
///
/// The library takes an address in text and makes the target from what Foundation decodes of it: a path with a byte that is no
/// UTF-8 (`/%ff`) becomes `/`, and other characters are encoded once more. A request would reach another resource than the one
/// that was checked, with a secret in it. So the library only ever sees hexadecimal digits, and `RequestTargetHandler` puts the
/// target back, on every connection of a `ClientPool`.
enum RequestTarget {
    /// The address to give to the library.
    static func address(_ url: EndpointURL) -> String {
        let digits = unsafe Hex.encode(Array(url.requestTarget.utf8).span.bytes)
        return "\(url.scheme)://\(url.authority)/" + digits
    }

    /// The target that stands in such an address.
    /// - Returns: nil for what `address(_:)` has not written.
    static func target(of path: String) -> String? {
        let digits = Array(path.utf8.dropFirst())
        guard path.hasPrefix("/"), digits.count.isMultiple(of: 2) else { return nil }
        let values = digits.compactMap { Character(UnicodeScalar($0)).hexDigitValue }
        guard values.count == digits.count else { return nil }
        let bytes = stride(from: 0, to: values.count, by: 2).map { UInt8(values[$0] << 4 | values[$0 + 1]) }
        // The head's line ends where a space or a line break stands.
        guard bytes.first == UInt8(ascii: "/"), bytes.allSatisfy({ (0x21...0x7E).contains($0) }) else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// A connection without TLS that leads to another machine. `localhost` and the names below it should be this one's (RFC 6761
/// section 6.3), but a resolver may know better: what counts is where the connection has led.
struct UnencryptedConnection: Error {
    /// Refuses one before a request is written to it.
    static func refuse(_ channel: any Channel) throws {
        let pipeline = channel.pipeline.syncOperations
        if (try? pipeline.handler(type: NIOSSLClientHandler.self)) != nil { return }
        let address = channel.remoteAddress?.ipAddress ?? ""
        if address.hasPrefix("127.") || address == "::1" { return }
        channel.close(promise: nil)
        throw UnencryptedConnection()
    }
}

/// Writes the target of each request that passes.
final class RequestTargetHandler: ChannelOutboundHandler {
    typealias OutboundIn = HTTPClientRequestPart
    typealias OutboundOut = HTTPClientRequestPart

    private let answers: LenientHead

    private init(_ answers: LenientHead) { self.answers = answers }

    /// Puts a handler right before the encoder, where only finished requests pass.
    /// - Throws: `UnencryptedConnection`.
    static func add(to channel: any Channel) -> EventLoopFuture<Void> {
        channel.eventLoop.submit {
            let pipeline = channel.pipeline.syncOperations
            try UnencryptedConnection.refuse(channel)
            let answers = try LenientHead.add(to: pipeline)
            try pipeline.addHandler(
                RequestTargetHandler(answers), position: .after(pipeline.handler(type: HTTPRequestEncoder.self)))
        }
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard case .head(var head) = unwrapOutboundIn(data) else { return context.write(data, promise: promise) }
        guard let target = RequestTarget.target(of: head.uri) else {
            promise?.fail(ChannelError.inappropriateOperationForState)
            return context.close(promise: nil)
        }
        head.uri = target
        answers.begin()
        context.write(wrapOutboundOut(.head(head)), promise: promise)
    }
}
