/// Where one request goes, and how its parameters travel.
struct RequestFormat {
    var url: EndpointURL
    var method = RequestMethod.post
    var placement = ParameterPlacement.body
    var clientAuthentication: ClientAuthentication
    /// The server's own names of parameters, by their standard ones; an empty one leaves a parameter out.
    var parameterNames: [String: String] = [:]
    /// What the request says besides, as it is.
    var parameters: [Parameter] = []
    var sendsScopes = true
    /// Whether the credential's own `Content-Type` takes the place of ours.
    var takesContentType = true

    /// Parameters under the server's names.
    func named(_ standard: [Parameter]) -> [Parameter] {
        standard.compactMap { parameter in
            guard let name = parameterNames[parameter.name] else { return parameter }
            return name.isEmpty ? nil : Parameter(name, parameter.value)
        }
    }
}

extension ClientSettings {
    /// The format of a token request.
    func format(refreshing: Bool) -> RequestFormat {
        var format = RequestFormat(
            url: tokenURL, method: method ?? .post, placement: placement, clientAuthentication: clientAuthentication,
            parameterNames: parameterNames ?? [:], parameters: parameters)
        guard refreshing else { return format }
        format.sendsScopes = refresh?.scopes == true
        guard let refresh else { return format }
        format.url = refresh.url ?? format.url
        format.method = refresh.method ?? format.method
        format.placement = refresh.placement ?? format.placement
        format.clientAuthentication = refresh.clientAuthentication ?? format.clientAuthentication
        format.parameterNames = refresh.parameterNames ?? format.parameterNames
        format.parameters = refresh.parameters ?? format.parameters
        return format
    }

    /// The format of all other requests: a form, as their RFCs say.
    func format(to url: EndpointURL) -> RequestFormat {
        var format = RequestFormat(url: url, clientAuthentication: clientAuthentication, parameterNames: parameterNames ?? [:])
        format.takesContentType = false
        return format
    }
}
