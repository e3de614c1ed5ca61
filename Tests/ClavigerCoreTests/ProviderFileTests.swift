import Foundation
import TestSupport
import Testing

@Suite struct ProviderFileTests {
    private static let good = """
        {
          "name": "mine", "title": "Mine", "token_url": "https://{tenant}.example/token",
          "variables": [{"name": "tenant", "title": "the tenant"}],
          "grants": ["client_credentials"], "scopes": ["read"]
        }
        """

    @Test func `a provider file that is good shows what would be sent`() async throws {
        let fixture = CommandFixture(withoutVault: ())
        let shown = await fixture.run("providers", "test", fixture.folder.write("mine.json", Self.good))
        #expect(shown.status == 0, "\(shown.errors)")
        for words in ["POST https://tenant.example/token", "grant_type=client_credentials&scope=read", "--set tenant="] {
            #expect(shown.output.contains(words), "\(words)")
        }
    }

    @Test func `what is wrong is told with line and column`() async throws {
        let fixture = CommandFixture(withoutVault: ())
        let file = fixture.folder.write("mine.json", Self.good.replacing("\"scopes\": [\"read\"]", with: "\"scope\": \"read\""))
        #expect(await fixture.run("providers", "test", file).refuses(78, "\(file):4:37: the member \"scope\" is unknown"))
        fixture.folder.write("mine.json", Self.good.replacing("\"Mine\",", with: "\"Mine\""))
        #expect(await fixture.run("providers", "test", file).refuses(78, "\(file):2:35: a comma or } must come here"))
        #expect(await fixture.run("providers", "test", fixture.folder.file("none.json")).status != 0)
    }

    @Test func `all files of a folder are checked`() async throws {
        let fixture = CommandFixture(withoutVault: ())
        let folder = fixture.folder.file("files")
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let empty = await fixture.run("providers", "test", folder)
        #expect(empty.status == 0 && empty.errors.contains("there is no provider file"))
        fixture.folder.write("files/a.json", Self.good)
        fixture.folder.write("files/notes.txt", "no provider")
        let one = await fixture.run("providers", "test", folder)
        #expect(one.status == 0 && one.output == "a.json: Mine\n", "\(one.errors)")
        fixture.folder.write("files/b.json", Self.good)
        fixture.folder.write("files/c.json", "{}")
        let result = await fixture.run("providers", "test", folder)
        #expect(result.status == 78 && result.errors.contains("2 of 3 provider files cannot be used"))
        #expect(result.errors.contains("b.json:1:1: a.json has the name “mine”, too"), "\(result.errors)")
        #expect(result.errors.contains("c.json:1:1: the member \"name\" is missing"), "\(result.errors)")
    }
}
