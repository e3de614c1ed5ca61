public import OAuth

/// Finds what a server says of itself.
public enum Discovery {
    /// Asks at both well-known addresses, and takes the first answer that is metadata.
    /// - Throws: `TokenFailure` where nothing can be reached, `ServerMetadata.Refusal` where the answer can't be used.
    public static func metadata(
        of issuer: EndpointURL, certificateAuthority: String?, by transport: any HTTPTransport
    ) async throws -> ServerMetadata {
        var status = 404
        for address in ServerMetadata.addresses(of: issuer) {
            guard let url = try? EndpointURL(address) else { continue }
            let answer: EndpointAnswer
            do throws(TransportFailure) {
                answer = try await transport.send(ServerMetadata.request(url, certificateAuthority: certificateAuthority))
            } catch {
                throw TokenFailure.unreachable(error)
            }
            if answer.status == 200 { return try ServerMetadata(parsing: answer.body, issuer: issuer) }
            status = answer.status
        }
        if status >= 500 { throw TokenFailure.serverFailing(status: status) }
        throw ServerMetadata.Refusal(reason: "there is none at either of the well-known addresses (status \(status))")
    }
}
