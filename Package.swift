// swift-tools-version: 6.2
import PackageDescription

/// The house rules of every Swift target: imports stay private unless said otherwise, every file says which modules its
/// members come from, and existentials say `any`.
let house: [SwiftSetting] = [
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("ExistentialAny"),
]

/// In what people run, the compiler refuses an unsafe expression that is not marked as such.
let marked = house + [.strictMemorySafety(), .treatWarning("StrictMemorySafety", as: .error)]

/// The thin front is Embedded Swift: no runtime and no metadata, and so it starts as fast as a C program. Also in a debug
/// build it is optimised, or it would want Unicode's tables.
let thin: [SwiftSetting] =
    marked + [
        .enableExperimentalFeature("Embedded"),
        .unsafeFlags(["-O", "-whole-module-optimization", "-num-threads", "2", "-no-static-stdlib"]),
    ]
let thinLink: [LinkerSetting] = [
    .unsafeFlags(["-enable-experimental-feature", "Embedded", "-no-static-stdlib"]),
    .unsafeFlags(
        [
            "-use-ld=lld", "-Xclang-linker", "-static-pie", "-Xclang-linker", "-Wno-unused-command-line-argument",
            "-Xlinker", "-s",
        ], .when(platforms: [.linux], configuration: .release)),
]

/// The core stays dynamic (DNS, libsodium), with packed relocations and everything bound at start. It exports no symbols: the
/// dynamic loader would look through 45,000 of them.
let coreLink: [LinkerSetting] = [
    .unsafeFlags(
        [
            "-use-ld=lld", "-Xlinker", "-s", "-Xlinker", "-z", "-Xlinker", "pack-relative-relocs",
            "-Xlinker", "-z", "-Xlinker", "now", "-Xlinker", "-z", "-Xlinker", "relro", "-Xlinker", "--no-export-dynamic",
        ], .when(platforms: [.linux], configuration: .release))
]

let package = Package(
    name: "claviger",
    products: [
        .executable(name: "claviger", targets: ["Claviger"]),
        .executable(name: "claviger-core", targets: ["ClavigerCore"]),
        .executable(name: "claviger-sandbox", targets: ["ClavigerSandbox"]),
        .library(name: "ClavigerOAuth", targets: ["OAuth"]),
        .library(
            name: "ClavigerKit", targets: ["Sodium", "Vault", "OAuth", "TokenEngine", "HTTP", "Access", "Credentials", "Agent"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/apple/swift-http-types", exact: "1.8.0"),
        .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", exact: "2.37.6"),
        .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
        .package(url: "https://github.com/swift-server/async-http-client", exact: "1.37.0"),
        .package(url: "https://github.com/vapor/jwt-kit", exact: "5.7.1"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", exact: "2.28.1"),
    ],
    targets: [
        .systemLibrary(name: "CSodium", pkgConfig: "libsodium", providers: [.apt(["libsodium-dev"])]),
        .systemLibrary(name: "CLinux"),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(name: "CQRencode", pkgConfig: "libqrencode", providers: [.apt(["libqrencode-dev"])]),
        .target(name: "Sodium", dependencies: ["CSodium"], swiftSettings: marked),
        .target(name: "Linux", dependencies: ["CLinux"], swiftSettings: marked),
        // Lifetimes: to return a span of an array.
        .target(
            name: "Vault", dependencies: ["Linux", "Sodium"],
            swiftSettings: marked + [.enableExperimentalFeature("Lifetimes")]),
        .target(
            name: "OAuth",
            dependencies: ["Sodium", .product(name: "HTTPTypes", package: "swift-http-types")],
            resources: [.embedInCode("Providers/providers.json")],
            swiftSettings: marked),
        .target(
            name: "TokenEngine",
            dependencies: [
                "OAuth", "Sodium",
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "JWTKit", package: "jwt-kit"),
            ],
            swiftSettings: marked),
        .target(name: "AgentProtocol", dependencies: ["CLinux"], swiftSettings: marked),
        // The network, out and in. Only Proxy names types of these libraries besides, for bodies that it passes on.
        .target(
            name: "HTTP",
            dependencies: [
                "TokenEngine", "OAuth", "Sodium", "Linux", "CLinux", "CZlib",
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "Logging", package: "swift-log"),
            ], swiftSettings: marked),
        .target(name: "Access", dependencies: ["TokenEngine", "OAuth", "Sodium", "Linux"], swiftSettings: marked),
        .target(
            name: "Credentials",
            dependencies: ["Vault", "TokenEngine", "OAuth", "Access", "AgentProtocol", "Linux", "Sodium"],
            swiftSettings: marked),
        .target(
            name: "Agent",
            dependencies: [
                "Credentials", "Vault", "TokenEngine", "OAuth", "Sodium", "AgentProtocol", "HTTP", "Access", "Linux",
            ],
            swiftSettings: marked),
        .target(
            name: "Proxy",
            dependencies: [
                "Credentials", "TokenEngine", "OAuth", "Sodium", "HTTP",
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
            ], swiftSettings: marked),
        .executableTarget(
            name: "ClavigerCore",
            dependencies: [
                "Agent", "Credentials", "AgentProtocol", "Access", "HTTP", "Proxy", "Vault", "TokenEngine", "OAuth", "Sodium",
                "Linux", "CQRencode",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
            ],
            swiftSettings: marked,
            linkerSettings: coreLink),
        // AgentProtocol's files are linked into its folder: they are compiled once more, for a module of the other kind can't
        // be imported.
        .executableTarget(
            name: "Claviger", dependencies: ["CLinux"],
            swiftSettings: thin,
            linkerSettings: thinLink),
        .executableTarget(
            name: "ClavigerSandbox",
            dependencies: [
                "OAuth",
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "HummingbirdTLS", package: "hummingbird"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: marked),
        .target(name: "TestSupport", dependencies: ["CLinux"], path: "Tests/TestSupport", exclude: ["Contracts"]),
        // What several implementations of one protocol have to do.
        .target(
            name: "Contracts", dependencies: ["Credentials", "AgentProtocol", "TokenEngine", "OAuth", "Sodium"],
            path: "Tests/TestSupport/Contracts", swiftSettings: house),
        .testTarget(name: "SodiumTests", dependencies: ["Sodium"], swiftSettings: house),
        .testTarget(name: "LinuxTests", dependencies: ["Linux", "CLinux", "TestSupport"], swiftSettings: house),
        .testTarget(
            name: "VaultTests", dependencies: ["Vault", "Linux", "Sodium", "TestSupport"],
            exclude: ["vault_contents.py", "vault_reference.py", "vault_vectors.py", "Vectors"],
            swiftSettings: house),
        .testTarget(
            name: "OAuthTests",
            dependencies: ["OAuth", "Sodium", "TestSupport", .product(name: "HTTPTypes", package: "swift-http-types")],
            swiftSettings: house),
        .testTarget(
            name: "TokenEngineTests",
            dependencies: [
                "TokenEngine", "OAuth", "Sodium", "TestSupport", "Contracts",
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "JWTKit", package: "jwt-kit"),
            ], swiftSettings: house),
        .testTarget(
            name: "AgentProtocolTests", dependencies: ["AgentProtocol", "CLinux", "Sodium", "TestSupport"], swiftSettings: house),
        .testTarget(
            name: "HTTPTests",
            dependencies: [
                "HTTP", "Linux", "TokenEngine", "OAuth", "Sodium", "TestSupport", "ClavigerSandbox", "CZlib",
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
            ],
            exclude: ["endpoint_server.py"], swiftSettings: house),
        .testTarget(
            name: "AccessTests", dependencies: ["Access", "TokenEngine", "OAuth", "Sodium", "TestSupport"], swiftSettings: house),
        .testTarget(
            name: "CredentialsTests",
            dependencies: [
                "Credentials", "Access", "AgentProtocol", "Vault", "TokenEngine", "OAuth", "Linux", "Sodium", "TestSupport",
                "Contracts",
                .product(name: "HTTPTypes", package: "swift-http-types"),
            ],
            swiftSettings: house),
        .testTarget(
            name: "AgentTests",
            dependencies: [
                "Agent", "Credentials", "AgentProtocol", "Access", "HTTP", "Vault", "TokenEngine", "OAuth", "Sodium",
                "TestSupport", "Contracts", "Linux",
            ],
            swiftSettings: house),
        .testTarget(
            name: "ProxyTests",
            dependencies: ["Proxy", "OAuth", .product(name: "HTTPTypes", package: "swift-http-types")], swiftSettings: house),
        .testTarget(
            name: "ClavigerCoreTests",
            dependencies: [
                "ClavigerCore", "ClavigerSandbox", "OAuth", "Sodium", "TestSupport",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            exclude: ["memory_scan.py", "mistakes.txt"], swiftSettings: house),
        .testTarget(
            name: "CrashTests",
            dependencies: [
                "ClavigerCore", "ClavigerSandbox", "Agent", "Credentials", "Access", "HTTP", "Vault", "TokenEngine", "OAuth",
                "Linux", "Sodium",
                "TestSupport",
            ], exclude: ["short_calls.c"], swiftSettings: house),
        .testTarget(
            name: "StoredTests", dependencies: ["ClavigerCore", "TestSupport"], exclude: ["Fixtures", "make_fixture.py"],
            swiftSettings: house),
        .testTarget(
            name: "IntegrationTests", dependencies: ["ClavigerCore", "ClavigerSandbox", "TestSupport"],
            exclude: [
                "requirements.txt", "Servers", "api_client.py", "api_server.py", "authlib_server.py", "browser.py",
                "certificates.py", "connect_proxy.py", "django_server.py", "dpop_server.py", "hostile_neighbour.py",
                "idpy_server.py", "jwt_server.py", "mtls_server.py", "name_elsewhere.py", "openapi_cases.py",
                "openapi_check.py", "qr_reader.py", "registration_server.py", "wire_server.py", "without_netlink.py",
            ],
            swiftSettings: house),
    ]
)
