import AgentProtocol
import Credentials
import FoundationEssentials
import Glibc
import HTTP
import Linux
import OAuth
import Proxy
import Synchronization
import TokenEngine

/// `claviger curl` with a token that is bound to a key (RFC 9449): each of curl's requests needs a proof of its own, and the server
/// may want its nonce in it. curl can do neither, so it talks to a proxy in this process, which passes on what goes to the
/// server that was named and nothing else.
struct ProvenCurl {
    let name: String
    let url: EndpointURL
    /// Of curl's.
    let arguments: [String]

    /// - Returns: curl's exit status.
    func run(_ agent: any TokenSource) async throws -> Int32 {
        let admission: Admission
        do {
            admission = try Admission(users: [geteuid()]) { _ in }
        } catch {
            throw Problem.system("see whose connections come to the proxy", error.code)
        }
        let upstream = StreamingClient(proxies: ProxySettings(environment: Session.environment))
        let proxy = try CredentialProxy(
            [try await agent.credential(name).withAPI(try origin())], minimumLifetime: nil, agent: agent, admission: admission,
            upstream: upstream, describe: CredentialProxy.answer)
        do {
            let status = try await serve(proxy)
            await upstream.close()
            return status
        } catch {
            await upstream.close()
            throw error
        }
    }

    private func origin() throws -> EndpointURL { try EndpointURL("\(url.scheme)://\(url.authority)/") }

    /// Serves until curl has ended.
    private func serve(_ proxy: CredentialProxy) async throws -> Int32 {
        let (bases, continuation) = AsyncStream<String>.makeStream()
        let name = name
        return try await withThrowingTaskGroup(of: Int32?.self) { group in
            group.addTask {
                defer { continuation.finish() }
                try await proxy.run { continuation.yield($0[name] ?? "") }
                return nil
            }
            group.addTask {
                for await base in bases { return try await curl(base + url.requestTarget) }
                return nil
            }
            while let status = try await group.next() {
                guard let status else { continue }
                group.cancelAll()
                return status
            }
            throw Problem("the proxy ended before curl", .internalError)
        }
    }

    /// The address goes to curl on a pipe: there is a secret in it.
    private func curl(_ address: String) async throws -> Int32 {
        do throws(FileError) {
            let reading = try File.pipe(holding: Array("url = \"\(address)\"\n".utf8))
            var curl = ChildProcess("curl", ["--config", "/dev/fd/3"] + arguments)
            curl.streams = [.inherited, .inherited, .inherited, .file(reading)]
            curl.inheritsFurtherFiles = true
            let running = try curl.start()
            return await Task.detached { running.wait() }.value
        } catch {
            throw Problem.system("run curl", error.code)
        }
    }
}

extension ListedCredential {
    /// The same with another address below which its API lies.
    fileprivate func withAPI(_ url: EndpointURL) -> ListedCredential {
        switch self {
        case .readable(var view):
            view.settings.apiURL = url
            return .readable(view)
        case .offered(var offered):
            offered.apiURL = url
            return .offered(offered)
        case .unreadable: return self
        }
    }
}
