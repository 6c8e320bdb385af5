// Section 15 of the header: folders that are served, and replies from files.

import CApus

@_cdecl("apus_server_serve_folder")
public func apusServerServeFolder(
  _ handle: UInt64, _ prefix: UnsafePointer<CChar>?, _ folder: UnsafePointer<CChar>?
) -> Int32 {
  boundary { () throws(Failure) in
    try withServer(handle) { server throws(Failure) in
      let prefix = try unsafe text(prefix)
      let folder = try unsafe text(folder)
      return try server.whileIdle { () throws(Failure) in
        try server.mount(prefix.bytes, folder)
      }
    }
  }
}

/// Sets an option of a folder.
private func set(
  _ handle: UInt64, _ folder: Int32, _ body: (Ref<Mount>) throws(Failure) -> Void
) -> Int32 {
  boundary { () throws(Failure) in
    try withServer(handle) { server throws(Failure) in
      try server.whileIdle { () throws(Failure) in
        try body(server.mount(of: folder))
        return 0
      }
    }
  }
}

private func set(
  _ handle: UInt64, _ folder: Int32, on: Int32, _ body: (Ref<Mount>) -> Void
) -> Int32 {
  set(handle, folder) { mount throws(Failure) in
    try check(on, in: 0...1)
    body(mount)
  }
}

@_cdecl("apus_server_set_folder_index")
public func apusServerSetFolderIndex(
  _ handle: UInt64, _ folder: Int32, _ names: UnsafePointer<CChar>?
) -> Int32 {
  set(handle, folder) { mount throws(Failure) in
    let names = unsafe names == nil ? Text("") : try text(names)
    try mount.o.setIndexNames(names.bytes)
  }
}

@_cdecl("apus_server_set_folder_listing")
public func apusServerSetFolderListing(_ handle: UInt64, _ folder: Int32, _ on: Int32) -> Int32 {
  set(handle, folder, on: on) { $0.o.lists = on == 1 }
}

@_cdecl("apus_server_set_folder_cache_control")
public func apusServerSetFolderCacheControl(
  _ handle: UInt64, _ folder: Int32, _ value: UnsafePointer<CChar>?
) -> Int32 {
  set(handle, folder) { mount throws(Failure) in
    let value = unsafe value == nil ? Text("") : try text(value)
    guard value.bytes.isFieldValue, value.count <= 256 else {
      throw Failure(.argument, "not a field value of at most 256 bytes")
    }
    mount.o.cacheControl.clear()
    mount.o.cacheControl.append(value.bytes)
    if mount.o.cacheControl.failed { throw .noMemory }
  }
}

@_cdecl("apus_server_set_folder_precompressed")
public func apusServerSetFolderPrecompressed(
  _ handle: UInt64, _ folder: Int32, _ on: Int32
) -> Int32 {
  set(handle, folder, on: on) { $0.o.usesSiblings = on == 1 }
}

@_cdecl("apus_server_set_folder_compression")
public func apusServerSetFolderCompression(
  _ handle: UInt64, _ folder: Int32, _ on: Int32
) -> Int32 {
  set(handle, folder, on: on) { $0.o.compresses = on == 1 }
}

@_cdecl("apus_server_set_folder_hidden")
public func apusServerSetFolderHidden(_ handle: UInt64, _ folder: Int32, _ on: Int32) -> Int32 {
  set(handle, folder, on: on) { $0.o.showsHidden = on == 1 }
}

@_cdecl("apus_server_set_error_page")
public func apusServerSetErrorPage(
  _ handle: UInt64, _ status: Int32, _ path: UnsafePointer<CChar>?
) -> Int32 {
  boundary { () throws(Failure) in
    try withServer(handle) { server throws(Failure) in
      try server.whileIdle { () throws(Failure) in
        try check(status, in: 400...599)
        try server.setErrorPage(status, unsafe path == nil ? nil : text(path))
        return 0
      }
    }
  }
}

// ---- replies

@_cdecl("apus_reply_file")
public func apusReplyFile(
  _ handle: UInt64, _ path: UnsafePointer<CChar>?, _ type: UnsafePointer<CChar>?
) -> Int32 {
  reply(handle) { exchange throws(Failure) in
    let path = try unsafe text(path)
    try exchange.reply(file: path, type: unsafe type == nil ? nil : checkedType(type))
  }
}

/// A type that `setType` will take: it is refused before the file is opened.
private func checkedType(_ type: UnsafePointer<CChar>?) throws(Failure) -> Text {
  let type = try unsafe text(type)
  guard type.bytes.isFieldValue, type.count <= ReplyHead.slack / 2 else {
    throw Failure(.argument, "not a media type")
  }
  return type
}

@_cdecl("apus_reply_attachment")
public func apusReplyAttachment(
  _ handle: UInt64, _ path: UnsafePointer<CChar>?, _ name: UnsafePointer<CChar>?,
  _ type: UnsafePointer<CChar>?
) -> Int32 {
  reply(handle) { exchange throws(Failure) in
    let path = try unsafe text(path)
    let name = unsafe name == nil ? lastName(of: path) : try text(name)
    let type = unsafe type == nil ? nil : try checkedType(type)
    var value = ByteBuffer()
    guard ContentDisposition.append(attachment: name.bytes, to: &value) else {
      throw Failure(.argument, "a file's name is UTF-8 of 1 to 255 bytes without slashes")
    }
    try exchange.reply(file: path, type: type, disposition: value.bytes)
  }
}

private func lastName(of path: Text) -> Text {
  var start = path.count
  let bytes = path.bytes
  while start > 0, bytes[start &- 1] != UInt8(ascii: "/") { start &-= 1 }
  return unsafe Text(start: path.start + start, count: path.count &- start)
}

@_cdecl("apus_reply_set_attachment")
public func apusReplySetAttachment(_ handle: UInt64, _ name: UnsafePointer<CChar>?) -> Int32 {
  reply(handle, completes: false) { exchange throws(Failure) in
    let name = try unsafe text(name)
    try exchange.setAttachment(name.bytes)
  }
}

@_cdecl("apus_reply_set_compression")
public func apusReplySetCompression(_ handle: UInt64, _ on: Int32) -> Int32 {
  reply(handle, completes: false) { exchange throws(Failure) in
    try check(on, in: 0...1)
    exchange.o.reply.setCompression(on == 1)
  }
}

@_cdecl("apus_writer_file")
public func apusWriterFile(
  _ handle: UInt64, _ path: UnsafePointer<CChar>?, _ offset: Int64, _ length: Int64
) -> Int32 {
  boundary { () throws(Failure) in
    let path = try unsafe text(path)
    guard offset >= 0, length >= -1 else {
      throw Failure(.argument, "an offset is 0 or more, a length -1 or more")
    }
    return try withWriter(handle) { exchange throws(Failure) in
      try exchange.checkOpen()
      try exchange.write(OpenFile.open(path), offset, length)
      return 0
    }
  }
}
