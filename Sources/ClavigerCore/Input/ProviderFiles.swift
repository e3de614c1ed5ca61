import Credentials
import AgentProtocol
import Glibc
import OAuth

/// The providers there are: the built-in ones, and the user's own files.
enum ProviderFiles {
    /// The built-in providers and the user's.
    /// - Throws: a problem that names the file that can't be used.
    static func catalogue() throws -> Catalogue {
        var catalogue = Catalogue.builtIn
        guard let folder = Locations.providers else { return catalogue }
        for name in files(in: folder) ?? [] {
            let path = folder + "/" + name
            let bytes = try SecretInput.contents(path, limit: 1 << 20, what: "provider", isSecret: false)
            do throws(CatalogueError) {
                try catalogue.add(json: bytes)
            } catch {
                throw Problem("the provider file \(path) cannot be used: \(Terminal.plain(error.reason))", .configuration)
            }
        }
        return catalogue
    }

    /// The names of the provider files in a folder, sorted; nil where there is no folder.
    static func files(in folder: String) -> [String]? {
        guard let stream = unsafe opendir(folder) else { return nil }
        defer { unsafe closedir(stream) }
        var names: [String] = []
        while let entry = unsafe readdir(stream) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) {
                unsafe $0.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            if name.hasSuffix(".json"), !name.hasPrefix(".") { names.append(name) }
        }
        return names.sorted()
    }

    /// - Throws: a problem that lists the names there are.
    static func named(_ name: String) throws -> Provider {
        let catalogue = try catalogue()
        let names = catalogue.providers.map(\.name)
        // Nobody has two that differ in capitals alone.
        let known = catalogue[name] ?? names.first { $0.lowercased() == name.lowercased() }.flatMap { catalogue[$0] }
        guard let provider = known else {
            if let close = CloseWords.among(names, to: name) {
                throw Problem(
                    "there is no provider \(Problem.quoted(name))",
                    hint: "did you mean \(close)? claviger providers lists them; for any other server use --token-url", .usage)
            }
            throw Problem(
                "there is no provider \(Problem.quoted(name))",
                hint:
                    "there are \(catalogue.providers.map(\.name).joined(separator: ", ")); for any other server use --token-url",
                .usage)
        }
        return provider
    }
}
