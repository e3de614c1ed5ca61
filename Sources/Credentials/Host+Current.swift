import Linux
public import TokenEngine

extension Host {
    /// This machine by its machine-id, where nobody says more.
    public static var unnamed: Host { .current(stateFolder: nil, environment: [:]) }

    /// This machine, as logins name their owner.
    /// - Parameters:
    ///   - stateFolder: where the id is kept, beside the generations that were seen; nil where there is no home.
    ///   - environment: `$CLAVIGER_HOST_ID` overrides the id.
    public static func current(stateFolder: String?, environment: [String: String]) -> Host {
        let identity = HostIdentity.current(stateFolder: stateFolder, environment: environment)
        return Host(id: identity.id, former: [identity.legacy], boot: HostIdentity.boot)
    }
}
