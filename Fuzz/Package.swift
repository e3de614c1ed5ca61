// swift-tools-version: 6.2
import PackageDescription

// A package of its own: it is built with the fuzzer's instrumentation, and by nobody else.
let package = Package(
    name: "Fuzz",
    dependencies: [.package(name: "claviger", path: "..")],
    targets: [
        .executableTarget(name: "Fuzz", dependencies: [.product(name: "ClavigerOAuth", package: "claviger")])
    ]
)
