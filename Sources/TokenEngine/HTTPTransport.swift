public import HTTPTypes
public import OAuth

/// An answer, read whole.
public struct EndpointAnswer: Sendable {
    public var status: Int
    public var headerFields: HTTPFields
    public var body: [UInt8]

    public init(status: Int, headerFields: HTTPFields = [:], body: [UInt8]) {
        self.status = status
        self.headerFields = headerFields
        self.body = body
    }
}

/// Sends one request and reads its answer; follows nothing, repeats nothing.
public protocol HTTPTransport: Sendable {
    func send(_ request: EndpointRequest) async throws(TransportFailure) -> EndpointAnswer
}
