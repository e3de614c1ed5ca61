// swift-tools-version: 6.1
import PackageDescription

// A package of its own, so that nobody who builds claviger builds the benchmark's dependencies.
let package = Package(
    name: "Benchmarks",
    dependencies: [
        .package(name: "claviger", path: ".."),
        .package(url: "https://github.com/ordo-one/benchmark", from: "1.38.1", traits: []),
    ],
    targets: [
        .executableTarget(
            name: "VaultBenchmarks",
            dependencies: [
                .product(name: "Benchmark", package: "benchmark"),
                .product(name: "ClavigerKit", package: "claviger"),
            ],
            path: "Benchmarks/VaultBenchmarks",
            plugins: [.plugin(name: "BenchmarkPlugin", package: "benchmark")])
    ]
)
