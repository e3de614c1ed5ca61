import Foundation
import TestSupport
import Testing

/// A change of what an older version has stored changes nothing else: the second implementation of the format reads the vault
/// that this version wrote, and every member that is not the change's is still there.
@Suite(.timeLimit(.minutes(4))) struct ChangingTests {
    /// What was recorded of one credential, to be held against what is stored now.
    private struct Record {
        var description: [String: Any]
        var secrets: [String: String]

        init(_ contents: Contents, _ name: String) throws {
            description = try contents.description(name)
            secrets = try contents.secrets(name)
        }

        /// What a change of its requests, or of its key pair, takes away: nothing that only a person could bring back.
        mutating func dropTokens() {
            let grant = (description["settings"] as? [String: Any])?["grant"] as? String ?? ""
            let login = description["login"] as? [String: Any]
            let needsLogin = ["authorization_code", "refresh_token", "device_code"].contains(grant)
            if needsLogin, login == nil || login?["ended"] != nil { return }
            description["tokens"] = [Any]()
            secrets = secrets.filter { !$0.key.hasPrefix("token.") }
        }

        mutating func set(_ member: String, _ value: Any) {
            var settings = description["settings"] as? [String: Any] ?? [:]
            settings[member] = value
            description["settings"] = settings
        }

        /// What is not in the vault any more, or is there and should not be.
        func lost(in home: StoredHome, _ name: String) async throws -> [String] {
            let found = try Record(try await home.contents(), name)
            let revived = found.secrets.keys.filter { $0.hasPrefix("token.") && secrets[$0] == nil }
            return JSON.lost(description, found.description) + JSON.lost(secrets, found.secrets) + revived
        }
    }

    @Test(arguments: Generation.credentials)
    func `edits what no token request says`(_ stored: Generation.Stored) async throws {
        let home = try StoredHome(stored.generation)
        var record = try Record(try stored.generation.contents(), stored.name)
        try await home.does("edit", stored.name, "--api-url", "https://new.example.com/api")
        record.set("api_url", "https://new.example.com/api")
        #expect(try await record.lost(in: home, stored.name) == [])
    }

    @Test(arguments: Generation.credentials)
    func `edits what token requests say`(_ stored: Generation.Stored) async throws {
        let home = try StoredHome(stored.generation)
        var record = try Record(try stored.generation.contents(), stored.name)
        try await home.does("edit", stored.name, "--header", "X-New: yes", "--no-verify")
        record.set("headers", [["name": "X-New", "value": "yes"]])
        record.dropTokens()
        #expect(try await record.lost(in: home, stored.name) == [])
    }

    @Test(arguments: Generation.credentials)
    func `renames it, with its rules and what is exchanged`(_ stored: Generation.Stored) async throws {
        let home = try StoredHome(stored.generation)
        let contents = try stored.generation.contents()
        try await home.does("rename", stored.name, "another")
        #expect(try await Record(contents, stored.name).lost(in: home, "another") == [])
        let others = try await home.contents().records
        #expect(others[stored.name] == nil && others.count == contents.records.count)
        for name in contents.records.keys where name != stored.name {
            var record = try Record(contents, name)
            try followRename(of: stored.name, in: &record)
            #expect(try await record.lost(in: home, name) == [], "\(name)")
        }
        let rules = try #require(try stored.generation.expected()["policy"] as? [[String: Any]]).map { rule in
            var rule = rule
            if rule["credential"] as? String == stored.name { rule["credential"] = "another" }
            return rule
        }
        let found = try #require(try await home.json("policy", "list") as? [[String: Any]])
        #expect(found.count == rules.count)
        for rule in rules { #expect(found.contains { JSON.lost(rule, $0) == [] }, "\(rule)") }
    }

    private func followRename(of name: String, in record: inout Record) throws {
        for member in ["subject", "actor"] {
            let settings = record.description["settings"] as? [String: Any]
            guard var exchanged = settings?[member] as? [String: Any],
                let source = exchanged["source"] as? [String: [String: String]], source["credential"]?["name"] == name
            else { continue }
            exchanged["source"] = ["credential": ["name": "another"]]
            record.set(member, exchanged)
        }
    }

    @Test(arguments: Generation.credentials)
    func `rotates its key pair, and rolls that back`(_ stored: Generation.Stored) async throws {
        let home = try StoredHome(stored.generation)
        let before = try Record(try stored.generation.contents(), stored.name)
        var arguments = ["rotate", stored.name, "--no-verify", "--client-id", "made-up-rotated"]
        if let secret = before.secrets["client_secret"] {
            arguments += ["--secret-file", home.folder.write("secret", secret)]
        }
        if before.secrets["password"] != nil {
            arguments += ["--username", "made-up-rotated", "--password-file", home.folder.write("password", "made-up-rotated")]
        }
        let rotated = await home.run(arguments)
        try #require(rotated.status == 0, "\(rotated.errors)")
        var record = before
        record.dropTokens()
        record.description["previous_key_pair"] = before.description["key_pair"]
        for member in ["key_pair", "staged_key_pair", "refused_since"] { record.description[member] = nil }
        record.secrets = record.secrets.filter { !$0.key.hasSuffix(".staged") && !$0.key.hasSuffix(".previous") }
        for name in ["client_secret", "password"] { record.secrets[name + ".previous"] = before.secrets[name] }
        if record.secrets["password"] != nil { record.secrets["password"] = "made-up-rotated" }
        #expect(try await record.lost(in: home, stored.name) == [])

        try await home.does("rotate", stored.name, "--rollback", "--no-verify")
        let found = try await home.contents()
        let pair = try #require(before.description["key_pair"])
        #expect(JSON.lost(pair, try found.description(stored.name)["key_pair"]) == [])
        for name in ["client_secret", "password", "refresh_token"] {
            #expect(try found.secrets(stored.name)[name] == before.secrets[name])
        }
    }

    @Test(arguments: Generation.credentials)
    func `allows and denies somebody its tokens`(_ stored: Generation.Stored) async throws {
        let home = try StoredHome(stored.generation)
        let rules = try #require(try stored.generation.expected()["policy"] as? [[String: Any]])
        try await home.does("allow", stored.name, "--user", "4799", "--scope", "new", "--max-ttl", "10m")
        let rule: [String: Any] = [
            "credential": stored.name, "uid": 4799, "user": "4799", "scopes": ["new"], "max_ttl": 600,
        ]
        let allowed = try #require(try await home.json("policy", "list") as? [[String: Any]])
        #expect(allowed.count == rules.count + 1)
        for rule in rules + [rule] { #expect(allowed.contains { JSON.lost(rule, $0) == [] }, "\(rule)") }
        try await home.does("deny", stored.name, "--user", "4799")
        #expect(JSON.lost(rules, try await home.json("policy", "list")) == [])
        #expect(try await Record(try stored.generation.contents(), stored.name).lost(in: home, stored.name) == [])
    }

    @Test(arguments: Generation.credentials)
    func `removes it, with its rules, and nothing else`(_ stored: Generation.Stored) async throws {
        let home = try StoredHome(stored.generation)
        let contents = try stored.generation.contents()
        try await home.does("remove", stored.name, "--yes")
        let found = try await home.contents().records
        #expect(found[stored.name] == nil)
        #expect(JSON.lost(contents.records.filter { $0.key != stored.name }, found) == [])
        let rules = try #require(try await home.json("policy", "list") as? [[String: Any]])
        #expect(!rules.contains { $0["credential"] as? String == stored.name })
    }
}

/// An older program leaves alone what it does not know: it would lose it by writing the record anew.
@Suite(.timeLimit(.minutes(2))) struct NewerRecordTests {
    @Test(arguments: [
        "made_up", "settings/made_up", "key_pair/made_up", "previous_key_pair/made_up", "staged_key_pair/made_up",
        "login/made_up", "tokens/0/made_up", "settings/subject/made_up",
    ])
    func `a record with an unknown member is refused and left as it is`(_ member: String) async throws {
        let home = try StoredHome(try #require(Generation.all.last))
        try await home.set("everything", member, #"{"from":"a later version"}"#)
        let before = bytes(ofFile: home.vault)
        let other = home.folder.write("secret", "made-up-other")
        for arguments in [
            ["show", "everything"], ["token", "everything"],
            ["edit", "everything", "--api-url", "https://example.com"],
            ["rotate", "everything", "--no-verify", "--client-id", "made-up", "--secret-file", other],
        ] {
            #expect(await home.run(arguments).refuses(65, "was written by a newer claviger"), "\(arguments)")
        }
        let isAsItWas = bytes(ofFile: home.vault) == before
        #expect(isAsItWas)
        // Others are no worse for it, also where the vault is written anew.
        try await home.does("show", "cc-post")
        try await home.does("edit", "cc-post", "--api-url", "https://example.com")
        let left = try await home.contents().description("everything")
        var place: Any? = left
        for step in member.split(separator: "/") {
            if let list = place as? [Any] { place = list[Int(step)!] } else { place = (place as? [String: Any])?[String(step)] }
        }
        #expect((place as? [String: String]) == ["from": "a later version"])
    }

    /// A later version may keep a secret that this one has no place for, beside members that it knows.
    @Test
    func `a record with an unknown secret is refused and left as it is`() async throws {
        let home = try StoredHome(try #require(Generation.all.last))
        try await home.setSecret("everything", "refresh_token.replaced", "made-up-from-a-later-version")
        let before = bytes(ofFile: home.vault)
        #expect(
            await home.run(["edit", "everything", "--api-url", "https://example.com"]).refuses(
                65, "was written by a newer claviger"))
        let isAsItWas = bytes(ofFile: home.vault) == before
        #expect(isAsItWas)
    }
}
