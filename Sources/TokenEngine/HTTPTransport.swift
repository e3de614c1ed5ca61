public import HTTPTypes
public import OAuth

/// An answer, read to its end or to where its connection broke.
public struct EndpointAnswer: Sendable {
    public var status: Int
    public var headerFields: HTTPFields
    /// With its content coding undone (gzip, deflate).
    public var body: [UInt8]
    public var extent: Extent

    /// How much of the body was read. What has come may hold a refresh token that the server has rotated to; of a body that
    /// is not whole, nothing else can be relied on.
    public enum Extent: Sendable {
        case whole
        /// The connection broke, or the time was up, before its end.
        case cutOff
        /// It is longer than the transport's limit; what fits is there.
        case tooLarge
    }

    public var isWhole: Bool { extent == .whole }

    public init(status: Int, headerFields: HTTPFields = [:], body: [UInt8], extent: Extent = .whole) {
        self.status = status
        self.headerFields = headerFields
        self.body = body
        self.extent = extent
    }
}

/// Sends one request and reads its answer. Follows no redirect and sends nothing twice.
public protocol HTTPTransport: Sendable {
    /// - Throws: `noConnection`, `certificate` or `configuration` only if no byte of the request was sent.
    func send(_ request: EndpointRequest) async throws(TransportFailure) -> EndpointAnswer
}
