import NIOCore
import NIOEmbedded
import NIOHTTP1
import Testing

@testable import HTTP

@Suite struct LenientHeadTests {
    @Test(arguments: [
        ("HTTP/1.1 200 OK\r\nA: b\r\n\r\n", "HTTP/1.1 200 OK\r\nA: b\r\n\r\n"),
        ("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\td\r\nE: f\r\n\r\n", "HTTP/1.1 200 OK\r\nA: b c d\r\nE: f\r\n\r\n"),
        ("HTTP/1.1 200 OK\r\nA : b\r\nB\t: c : d\r\n\r\n", "HTTP/1.1 200 OK\r\nA: b\r\nB: c : d\r\n\r\n"),
        ("HTTP/1.1 200 OK\nA: b\n\n", "HTTP/1.1 200 OK\r\nA: b\r\n\r\n"),
    ])
    func `a head is mended where it is certain what is meant`(_ head: String, _ mended: String) {
        #expect(String(decoding: LenientHead.mended(Array(head.utf8)), as: UTF8.self) == mended)
    }

    /// Cut in two at every place, through the parser that refuses what is not mended.
    @Test func `answers on one connection are read, wherever they are cut`() throws {
        let first =
            "HTTP/1.1 103 Early Hints\r\nLink : x\r\n\r\nHTTP/1.1 200 OK\r\nX-A: one\r\n two\r\nContent-Length : 13\r\n\r\nA : b\r\n c\r\n\r\n"
        for cut in 1..<first.utf8.count {
            let channel = EmbeddedChannel()
            let pipeline = channel.pipeline.syncOperations
            try pipeline.addHTTPClientHandlers(leftOverBytesStrategy: .forwardBytes)
            let handler = try LenientHead.add(to: pipeline)
            defer { _ = try? channel.finish() }
            for _ in 0..<2 {
                try channel.writeOutbound(HTTPClientRequestPart.head(HTTPRequestHead(version: .http1_1, method: .GET, uri: "/")))
                try channel.writeOutbound(HTTPClientRequestPart.end(nil))
                handler.begin()
                let bytes = Array(first.utf8)
                try channel.writeInbound(ByteBuffer(bytes: bytes[..<cut]))
                try channel.writeInbound(ByteBuffer(bytes: bytes[cut...]))
                var (fields, body) = (HTTPHeaders(), "")
                while let part = try channel.readInbound(as: HTTPClientResponsePart.self) {
                    switch part {
                    case .head(let head): fields = head.headers
                    case .body(let piece): body += String(buffer: piece)
                    case .end: break
                    }
                }
                #expect(fields["X-A"] == ["one two"] && body == "A : b\r\n c\r\n\r\n", "cut at \(cut)")
            }
        }
    }
}
