// The target that carries the link flags of libapus.so; see Package.swift.
