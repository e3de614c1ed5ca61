import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import TokenEngine

/// Errors in our own words: those of the libraries may quote what was sent or received.
extension TransportFailure {
    /// - Parameters:
    ///   - error: what AsyncHTTPClient threw.
    ///   - host: whom the request was for.
    ///   - hasBegun: whether the request's first byte may be on its way. Whatever goes wrong then, the server may have
    ///     acted on the request: a refresh token may be spent.
    init(_ error: any Error, host: String, hasBegun: Bool) {
        if let refusal = Self.refusalOfCertificate(error) {
            // With TLS 1.3 that comes after our side has begun to send; the server has read nothing of it.
            self = .configuration(reason: "\(host) \(refusal)")
        } else {
            self = hasBegun ? .answerLost(host: host, reason: Self.loss(error)) : Self.beforeSending(error, host: host)
        }
    }

    /// That the server has ended the handshake because of the certificate that we showed, or did not show (RFC 8446 section 6.2).
    private static func refusalOfCertificate(_ error: any Error) -> String? {
        guard error is NIOSSLError || error is BoringSSLError else { return nil }
        let words = String(describing: error)
        if words.contains("ALERT_CERTIFICATE_REQUIRED") { return "wants a certificate of the client's (--client-auth tls)" }
        let alerts = [
            "BAD_CERTIFICATE", "UNSUPPORTED_CERTIFICATE", "CERTIFICATE_REVOKED", "CERTIFICATE_EXPIRED", "CERTIFICATE_UNKNOWN",
            "UNKNOWN_CA", "ACCESS_DENIED",
        ]
        return alerts.contains { words.contains("ALERT_" + $0) } ? "does not accept the client's certificate" : nil
    }

    private static func loss(_ error: any Error) -> String {
        switch error {
        case let error as HTTPClientError where [.readTimeout, .writeTimeout, .deadlineExceeded].contains(error):
            "no answer within the time limit"
        case NIOSSLError.uncleanShutdown: "the connection was cut before the answer's end"
        case is HTTPParserError: "the answer is no HTTP that can be read"
        default: "the connection broke"
        }
    }

    private static func beforeSending(_ error: any Error, host: String) -> TransportFailure {
        switch error {
        case let error as HTTPClientError:
            return beforeSending(error, host: host)
        case let error as NIOConnectionError:
            let dns = error.connectionErrors.isEmpty && (error.dnsAError != nil || error.dnsAAAAError != nil)
            return .noConnection(host: host, reason: dns ? "no such host is known" : "the connection was refused")
        case is IOError:
            return .noConnection(host: host, reason: "the connection was refused")
        case NIOSSLError.handshakeFailed(.sslError(let stack)) where stack.description.contains("CERTIFICATE_VERIFY_FAILED"):
            return .certificate(host: host, reason: CertificateDiagnosis.unknown)
        case is NIOSSLExtraError:
            return .certificate(host: host, reason: "it belongs to another host")
        case is UnencryptedConnection:
            return .noConnection(host: host, reason: "the name leads to another machine, and http goes to this one only")
        case is NIOSSLError:
            return .noConnection(host: host, reason: "no secure connection could be agreed")
        default:
            return .noConnection(host: host, reason: "the connection broke before anything was sent")
        }
    }

    private static func beforeSending(_ error: HTTPClientError, host: String) -> TransportFailure {
        switch error {
        case .connectTimeout, .deadlineExceeded, .getConnectionFromPoolTimeout:
            .noConnection(host: host, reason: "no connection within the time limit")
        case .tlsHandshakeTimeout: .noConnection(host: host, reason: "no secure connection within the time limit")
        case .httpProxyHandshakeTimeout, .socksHandshakeTimeout, .proxyAuthenticationRequired, .invalidProxyResponse:
            .noConnection(host: host, reason: "the proxy does not let us through")
        // It may be a thread's turn to send at this very moment.
        case .cancelled: .answerLost(host: host, reason: "the request was given up")
        default: .noConnection(host: host, reason: "the connection broke before anything was sent")
        }
    }
}
