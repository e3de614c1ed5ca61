import OAuth

extension SecretFields {
    /// The values for the names in the settings: of these, and where these have none, of the stored ones. What the settings
    /// don't name is left out.
    /// - Throws: `CredentialError.noValue` if a name has neither.
    func values(for settings: ClientSettings, else stored: SecretFields = SecretFields()) throws -> SecretFields {
        SecretFields(
            parameters: try Self.values(for: settings.secretParameters, in: parameters + stored.parameters),
            headers: try Self.values(for: settings.secretHeaders, in: headers + stored.headers))
    }

    private static func values(for names: [String]?, in fields: [SecretField]) throws -> [SecretField] {
        try (names ?? []).map { name in
            // As bytes: to a String, two spellings of one character are the same.
            guard let field = fields.first(where: { $0.name.utf8.elementsEqual(name.utf8) }) else {
                throw CredentialError.noValue(name: name)
            }
            return field
        }
    }
}
