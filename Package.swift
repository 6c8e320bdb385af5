// swift-tools-version: 6.2
import PackageDescription

let release = BuildSettingCondition.when(configuration: .release)

// What scripts/profile.sh has counted places code by how often it runs. Only Swift 6.3 and
// later can read it.
#if compiler(>=6.3)
  let counts = Context.environment["APUS_PROFILE"] ?? "profile/apus.profdata"
#else
  let counts = ""
#endif
let placement =
  counts.isEmpty
  ? [] : ["-Xfrontend", "-ir-profile-use=\(Context.packageDirectory)/\(counts)"]

// The link flags of the shared library stand on a thin target of their own, so
// that test bundles do not inherit them. What each is for: CONTRIBUTING.md.
let linkerFlags: [String] = [
  "-static-stdlib", "-use-ld=lld",
  "-Xlinker", "-soname=libapus.so.1",
  "-Xlinker", "--version-script=\(Context.packageDirectory)/cmake/apus.map",
  "-Xlinker", "--no-undefined-version",
  "-Xlinker", "--icf=all",
  "-Xlinker", "-z", "-Xlinker", "keep-text-section-prefix",
  "-Xlinker", "-z", "-Xlinker", "nodelete",
  "-Xlinker", "-z", "-Xlinker", "defs",
  "-Xlinker", "--wrap=_swift_stdlib_getScalarName",
  "-Xlinker", "--wrap=_ZN5swift7runtime11environment10initializeEPv",
  "-Xlinker", "--wrap=swift_copyAuxiliaryExecutablePath",
  "-Xlinker", "--wrap=_swift_installCrashHandler",
]

let package = Package(
  name: "apus",
  products: [.library(name: "apus", type: .dynamic, targets: ["ApusShared"])],
  targets: [
    .systemLibrary(name: "CApus", path: "include"),
    .systemLibrary(name: "CSystem", path: "Sources/CSystem"),
    .systemLibrary(
      name: "CZlib", path: "Sources/CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
    .systemLibrary(
      name: "COpenSSL", path: "Sources/COpenSSL", pkgConfig: "openssl",
      providers: [.apt(["libssl-dev"])]),
    .target(
      name: "Apus", dependencies: ["CApus", "CSystem", "CZlib", "COpenSSL"],
      swiftSettings: [
        .swiftLanguageMode(.v6), .strictMemorySafety(),
        .enableExperimentalFeature("Lifetimes"),
        .unsafeFlags(
          ["-enforce-exclusivity=unchecked", "-Xfrontend", "-function-sections"] + placement,
          release),
      ]),
    .target(
      name: "ApusShared", dependencies: ["Apus"],
      linkerSettings: [.unsafeFlags(linkerFlags, release)]),
    .testTarget(
      name: "ApusTests", dependencies: ["Apus", "CApus"], exclude: ["Vectors"]),
  ]
)
