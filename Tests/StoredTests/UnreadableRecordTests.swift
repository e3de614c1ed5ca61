import Foundation
import TestSupport
import Testing

/// One record that this version can't read keeps nobody from using the others.
@Suite(.timeLimit(.minutes(4))) struct UnreadableRecordTests {
    private func newer() async throws -> StoredHome {
        let home = try StoredHome(try #require(Generation.all.last))
        try await home.set("everything", "made_up", #"{"from":"a later version"}"#)
        return home
    }

    private func others(_ home: StoredHome) throws -> Set<String> {
        Set(try home.generation.contents().records.keys).subtracting(["everything"])
    }

    @Test func `list and status show a newer record as newer, and all others`() async throws {
        let home = try await newer()
        let listed = try #require(try await home.json("list") as? [[String: Any]])
        let status = try #require(try await home.json("status") as? [String: Any])
        let shown = try #require(status["credentials"] as? [[String: Any]])
        for all in [listed, shown] {
            let names = Set(all.compactMap { $0["name"] as? String })
            #expect(try names == others(home).union(["everything"]))
            let newer = try #require(all.first { $0["name"] as? String == "everything" })
            #expect(newer as? [String: String] == ["name": "everything", "state": "newer"])
            #expect(all.filter { $0["client_id"] != nil }.count == all.count - 1)
        }
        let needs = try #require(status["to_do"] as? [[String: String]])
        #expect(needs.contains { $0["credential"] == "everything" && $0["what"]?.contains("newer claviger") == true })
        let table = try await home.does("list")
        #expect(table.split(separator: "\n").contains { $0.hasPrefix("everything ") && $0.contains(" newer ") })
    }

    @Test func `check goes on after a newer record, and does not say that it works`() async throws {
        let home = try await newer()
        let result = await home.run(["check", "everything", "nothing", "--json"])
        #expect(result.status == 1)
        let all = try #require(try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [[String: Any]])
        #expect(all.map { $0["unreadable"] as? String } == ["newer", nil])
        #expect(all.map { $0["works"] as? Bool } == [false, false])
        #expect(await home.run(["check", "everything"]).output.contains(" newer "))
    }

    @Test func `a newer record is renamed and removed without a loss`() async throws {
        let home = try await newer()
        let before = try await home.contents()
        let other = try #require(try others(home).min())
        try await home.does("rename", other, "another")
        try await home.does("rename", "everything", "newest")
        let after = try await home.contents()
        #expect(JSON.lost(try before.description("everything"), try after.description("newest")) == [])
        #expect(try before.secrets("everything") == after.secrets("newest"))
        try await home.does("remove", "newest", "--yes")
        #expect(try await home.contents().records["newest"] == nil)
    }

    /// The records stand in the order of their ids, so that a damaged byte hits another one in each vault.
    private func damaged() async throws -> (StoredHome, name: String) {
        let home = try StoredHome(try #require(Generation.all.last))
        let whole = bytes(ofFile: home.vault)
        for distance in stride(from: 1, to: whole.count / 2, by: 200) {
            var file = whole
            file[file.count - distance] ^= 1
            try Data(file).write(to: URL(fileURLWithPath: home.vault))
            let errors = await home.run(["list"]).errors
            guard let found = errors.firstMatch(of: #/the record of the credential “(.+)” is damaged/#) else {
                continue
            }
            return (home, String(found.1))
        }
        throw CocoaError(.fileReadCorruptFile)
    }

    @Test func `list and status name a damaged record, show the rest, and end with 65`() async throws {
        let (home, name) = try await damaged()
        let names = Set(try home.generation.contents().records.keys)
        for command in ["list", "status"] {
            let result = await home.run([command])
            #expect(result.status == 65 && result.errors.contains("the record of the credential “\(name)” is damaged"))
            let lines = result.output.split(separator: "\n")
            for other in names { #expect(lines.contains { $0.hasPrefix(other + " ") }, "\(command): \(other)") }
            #expect(lines.contains { $0.hasPrefix(name + " ") && $0.contains(" damaged ") })
        }
        let result = await home.run(["list", "--json"])
        #expect(result.status == 65)
        let all = try #require(try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [[String: Any]])
        #expect(all.filter { $0["state"] as? String == "damaged" }.map { $0["name"] as? String } == [name])
        #expect(await home.run(["show", name]).refuses(65, "is damaged: it is not the one in the root"))
        try await home.does("remove", name, "--yes")
        try await home.does("list")
    }
}
