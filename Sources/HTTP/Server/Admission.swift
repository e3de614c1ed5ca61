public import Linux
import NIOCore

/// Which users a server on a loopback port answers.
///
/// Everybody on a machine can connect to a port of it, and an address with a secret in it is no secret for long: it becomes an
/// argument of the first `curl`, and the arguments of every process are readable for everybody (`/proc/PID/cmdline`).
public struct Admission: Sendable {
    let users: Set<UInt32>
    let onRefusal: @Sendable (UInt32?) -> Void

    /// - Parameters:
    ///   - users: their numbers. Root is not among them unless it is named.
    ///   - onRefusal: told of each connection that is refused: its user, or nil if that can't be told.
    /// - Throws: what hinders it, if users can't be told here at all.
    public init(users: Set<UInt32>, onRefusal: @escaping @Sendable (UInt32?) -> Void) throws(FileError) {
        try TCPConnection.requireOwners()
        (self.users, self.onRefusal) = (users, onRefusal)
    }

    func admits(_ peer: ConnectionPeer) -> Bool {
        guard case .user(let uid) = peer else { return false }
        return users.contains(uid)
    }
}

/// Stands before everything else in a connection, and lets nothing through before it is known whose connection it is.
final class AdmissionHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// How long a client that was refused may take to read that.
    private static let closeTimeout = TimeAmount.seconds(1)

    private let admission: Admission
    private let deadline: IdleDeadline
    /// Says whose a connection is; false if it is one too many of that user's.
    private let attribute: (ConnectionPeer) -> Bool
    private var isAdmitted = false

    init(_ admission: Admission, _ deadline: IdleDeadline, attribute: @escaping (ConnectionPeer) -> Bool) {
        (self.admission, self.deadline, self.attribute) = (admission, deadline, attribute)
    }

    func channelActive(context: ChannelHandlerContext) {
        let peer = ConnectionPeer.ofLoopback(context.channel)
        isAdmitted = admission.admits(peer)
        if isAdmitted { return context.fireChannelActive() }
        guard attribute(peer) else { return context.close(promise: nil) }
        if case .user(let uid) = peer { admission.onRefusal(uid) } else { admission.onRefusal(nil) }
        refuse(context)
    }

    /// Answers what was not read, and closes once the client has: a reset would take the answer from it.
    private func refuse(_ context: ChannelHandlerContext) {
        deadline.restart(Self.closeTimeout)
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: Self.answer)), promise: nil)
        context.close(mode: .output, promise: nil)
    }

    private static let answer: String = {
        let body = #"{"source":"claviger","status":403,"title":"this address is not for your user"}"#
        return "HTTP/1.1 403 Forbidden\r\nContent-Type: application/problem+json\r\nContent-Length: \(body.utf8.count)\r\n"
            + "Connection: close\r\n\r\n" + body
    }()

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if isAdmitted { context.fireChannelRead(data) }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if isAdmitted { return context.fireUserInboundEventTriggered(event) }
        if case ChannelEvent.inputClosed = event { context.close(promise: nil) }
    }
}
