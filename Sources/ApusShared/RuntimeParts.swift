// All that the target with the link flags of libapus.so compiles; see Package.swift. The
// linker's `--wrap` leads callers in the static Swift runtime here, and what they would have
// called is left out: a library has no say in its host's signals, output and variables.

/// Stands in for the standard library's table of the Unicode characters' names,
/// which is a tenth of a static Swift runtime and which nothing here asks for.
///
/// - Returns: the length of the name, always 0: every character is nameless.
@_cdecl("__wrap__swift_stdlib_getScalarName")
public func scalarName(scalar: UInt32, buffer: UnsafeMutableRawPointer?, capacity: Int) -> Int {
  0
}

/// Stands in for what reads the runtime's settings (SWIFT_BACKTRACE, SWIFT_DEBUG_ and so on)
/// from the environment: they keep their defaults.
@_cdecl("__wrap__ZN5swift7runtime11environment10initializeEPv")
public func readEnvironment(context: UnsafeMutableRawPointer?) {}

/// Stands in for the search for the program that prints a crash.
///
/// - Returns: its path: there is none.
@_cdecl("__wrap_swift_copyAuxiliaryExecutablePath")
public func findCrashPrinter(name: UnsafePointer<CChar>?) -> UnsafePointer<CChar>? { nil }

/// Stands in for the handlers of signals by which a crash is told.
///
/// - Returns: 0: they are as they should be.
@_cdecl("__wrap__swift_installCrashHandler")
public func installCrashHandler() -> Int32 { 0 }
