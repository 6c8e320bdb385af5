// All that the target with the link flags of libapus.so compiles; see Package.swift.

/// Stands in for the standard library's table of the Unicode characters' names,
/// which is a tenth of a static Swift runtime and which nothing here asks for:
/// the linker's `--wrap` leads its only reader here, and drops the table.
///
/// - Returns: the length of the name, always 0: every character is nameless.
@_cdecl("__wrap__swift_stdlib_getScalarName")
public func scalarName(scalar: UInt32, buffer: UnsafeMutableRawPointer?, capacity: Int) -> Int {
  0
}
