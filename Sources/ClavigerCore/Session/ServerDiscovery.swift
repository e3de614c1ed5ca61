import AgentProtocol
import OAuth
import TokenEngine

/// What a server, or an API, says of itself: settings for a new credential.
struct ServerDiscovery {
    /// What was given on the command line: it chooses among what the server offers.
    let options: SettingsOptions

    struct Found {
        var settings: ClientSettings
        /// The ways in which a client with a secret may prove itself, best first.
        var methods: [ClientAuthentication] = []
        /// Where clients register themselves.
        var registrationURL: EndpointURL?
    }

    /// Starts from an authorization server (RFC 8414); what was chosen of it is shown.
    func issuer(_ issuer: String) async throws -> Found {
        let url = try SettingInput.address("--issuer", issuer)
        let authority = try certificateAuthority(url)
        let metadata = try await read(
            "the metadata of \(Terminal.plain(issuer))",
            hint: "the issuer must be written as the server writes it; or use --token-url"
        ) {
            try await $0.metadata(of: url, certificateAuthority: authority)
        }
        let found = try refusing("the metadata of \(Terminal.plain(issuer))") { () throws(ServerMetadata.Refusal) in
            try metadata.settings(grant: options.grant, authentication: options.clientAuth)
        }
        Terminal.note(
            "found at \(Terminal.plain(issuer)): \(found.grant.option) with \(found.clientAuthentication.option) at \(found.tokenURL)"
        )
        for name in metadata.leftOut {
            Terminal.note("its \(name) is left out: it is no address that may see a secret (https, without a fragment)")
        }
        return Found(settings: found, methods: metadata.secretMethods, registrationURL: metadata.registrationURL)
    }

    /// Starts from an API (RFC 9728): it names its authorization servers.
    /// - Parameter chosen: the one of `--issuer`, where it was given; the API must name it.
    func resource(_ address: String, issuer chosen: String?) async throws -> Found {
        let url = try SettingInput.address("--resource-url", address)
        let place = "the description of \(Terminal.plain(address))"
        let authority = try certificateAuthority(url)
        let (resource, challenge) = try await read(
            place, hint: "ask its makers for their authorization server, and use --issuer or --token-url"
        ) {
            try await $0.protectedResource(url, certificateAuthority: authority)
        }
        if let chosen, !resource.issuers.contains(chosen) {
            throw Problem(
                "\(Terminal.plain(address)) takes no tokens of \(Terminal.plain(chosen))",
                hint: "it names \(resource.issuers.map(Terminal.plain).joined(separator: ", "))", .configuration)
        }
        if chosen == nil, resource.issuers.count > 1 {
            Terminal.note(
                "it takes tokens of \(resource.issuers.map(Terminal.plain).joined(separator: ", ")); --issuer chooses another than the first"
            )
        }
        var found = try await issuer(chosen ?? resource.issuers[0])
        found.settings.resources = [resource.resource]
        found.settings.apiURL = url.query == nil ? url : nil
        if resource.wantsDPoP { found.settings.dpop = true }
        if options.scope.isEmpty {
            found.settings.scopes = challenge.scopes
            let words = challenge.scopes.isEmpty ? resource.scopes : challenge.scopes
            if !words.isEmpty {
                let which = challenge.scopes.isEmpty ? "it knows the scopes" : "it asks for the scopes"
                Terminal.note("\(which) \(Terminal.plain(words.joined(separator: " "))); --scope chooses")
            }
        }
        return found
    }

    private func certificateAuthority(_ url: EndpointURL) throws -> String? {
        var trusted = ClientSettings(tokenURL: url)
        try options.apply(to: &trusted)
        return trusted.certificateAuthority
    }

    private func read<R>(_ what: String, hint: String, _ body: (EndpointClient) async throws -> R) async throws -> R {
        do {
            return try await Session.withTransport { try await body(EndpointClient(transport: $0)) }
        } catch let refusal as ServerMetadata.Refusal {
            throw Problem("\(what) cannot be used: \(Terminal.plain(refusal.reason))", hint: .text(hint), .unavailable)
        }
    }

    private func refusing<R>(_ what: String, _ body: () throws(ServerMetadata.Refusal) -> R) throws -> R {
        do throws(ServerMetadata.Refusal) {
            return try body()
        } catch {
            throw Problem("\(what) cannot be used: \(Terminal.plain(error.reason))", hint: "use --token-url", .unavailable)
        }
    }
}
