public import HTTPTypes
public import OAuth

/// An answer, read to its end or to where its connection broke.
public struct EndpointAnswer: Sendable {
    public var status: Int
    public var headerFields: HTTPFields
    /// With its content coding undone (gzip, deflate).
    public var body: [UInt8]
    /// False if the connection broke, or the time was up, before the body's end. What has come may still hold a refresh
    /// token that the server has rotated to; nothing else in it can be relied on.
    public var isWhole: Bool

    public init(status: Int, headerFields: HTTPFields = [:], body: [UInt8], isWhole: Bool = true) {
        self.isWhole = isWhole
        self.status = status
        self.headerFields = headerFields
        self.body = body
        self.isWhole = isWhole
    }
}

/// Sends one request and reads its answer. Follows no redirect and sends nothing twice.
public protocol HTTPTransport: Sendable {
    /// - Throws: `noConnection`, `certificate` or `configuration` only if no byte of the request was sent.
    func send(_ request: EndpointRequest) async throws(TransportFailure) -> EndpointAnswer
}
