import FoundationEssentials

/// The providers that claviger knows by name.
public struct Catalogue: Sendable {
    public private(set) var providers: [Provider]

    /// The built-in ones, as they stand in `providers.json`.
    public static let builtIn = Catalogue(
        // The file is part of the program, and a test reads it.
        providers: (try? JSONDecoder().decode([Provider].self, from: Data(PackageResources.providers_json))) ?? [])

    private init(providers: [Provider]) {
        self.providers = providers
    }

    public subscript(name: String) -> Provider? {
        providers.first { $0.name == name }
    }

    /// Adds a provider of the user's, in place of one of the same name.
    /// - Throws: `CatalogueError` if `json` is no provider.
    public mutating func add(json: [UInt8]) throws(CatalogueError) {
        let provider = try Provider(json: json)
        providers.removeAll { $0.name == provider.name }
        providers.append(provider)
        providers.sort { $0.name < $1.name }
    }
}
