public import HTTPTypes
public import OAuth

/// An answer, read to its end or to where its connection broke.
public struct EndpointAnswer: Sendable {
    public var status: Int
    public var headerFields: HTTPFields
    public var body: [UInt8]
    /// False if the connection ended before the body did.
    public var isWhole: Bool

    public init(status: Int, headerFields: HTTPFields = [:], body: [UInt8], isWhole: Bool = true) {
        self.isWhole = isWhole
        self.status = status
        self.headerFields = headerFields
        self.body = body
    }
}

/// Sends one request and reads its answer; follows nothing, repeats nothing.
public protocol HTTPTransport: Sendable {
    func send(_ request: EndpointRequest) async throws(TransportFailure) -> EndpointAnswer
}
