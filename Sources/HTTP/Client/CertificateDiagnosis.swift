import FoundationEssentials
import NIOCore
import NIOPosix
import NIOSSL
import OAuth
import TokenEngine

/// Why a server's certificate was refused: the library says only that it was. The server is asked once more for its certificate,
/// which is looked at and refused again; nothing is sent to it.
enum CertificateDiagnosis {
    static let unknown = "it has expired, or its authority is not trusted here"

    private static let limit = TimeAmount.seconds(5)

    /// - Returns: the failure with the reason, where it can be found; any other failure as it is.
    static func explain(_ failure: TransportFailure, of url: EndpointURL, through proxy: ProxySettings.Proxy?) async
        -> TransportFailure
    {
        guard case .certificate(let host, Self.unknown) = failure, proxy == nil,
            let certificate = try? await fetch(url)
        else { return failure }
        let now = Date().timeIntervalSince1970
        let reason: String
        if Double(certificate.notValidAfter) < now {
            reason = "it has expired, on \(day(certificate.notValidAfter))"
        } else if Double(certificate.notValidBefore) > now {
            reason = "it is not valid before \(day(certificate.notValidBefore)): is this machine's clock right?"
        } else {
            reason = "its authority is not trusted here"
        }
        return .certificate(host: host, reason: reason)
    }

    private static func day(_ seconds: Int) -> String {
        Date(timeIntervalSince1970: Double(seconds)).formatted(.iso8601.year().month().day())
    }

    private struct NoCertificate: Error {}

    private static func fetch(_ url: EndpointURL) async throws -> NIOSSLCertificate {
        let context = try NIOSSLContext(configuration: ClientTLS.standard)
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let certificate = loop.makePromise(of: NIOSSLCertificate.self)
        let name = url.host.allSatisfy { $0.isNumber || ".:".contains($0) } || url.host.contains(":") ? nil : url.host
        let timer = loop.scheduleTask(in: limit) { certificate.fail(NoCertificate()) }
        ClientBootstrap(group: loop).connectTimeout(limit)
            .channelInitializer { channel in
                channel.closeFuture.whenComplete { _ in certificate.fail(NoCertificate()) }
                return channel.eventLoop.makeCompletedFuture {
                    let tls = try NIOSSLClientHandler(context: context, serverHostname: name) { chain, verdict in
                        if let leaf = chain.first { certificate.succeed(leaf) }
                        verdict.succeed(NIOSSLVerificationResult.failed)
                    }
                    try channel.pipeline.syncOperations.addHandler(tls)
                }
            }
            .connect(host: url.host, port: url.port ?? 443)
            .whenFailure { _ in certificate.fail(NoCertificate()) }
        defer { timer.cancel() }
        return try await certificate.futureResult.get()
    }
}
