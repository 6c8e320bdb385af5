// A stream that sends a stretch of a file: from the file itself, or, where all is
// encrypted, block by block.

import CSystem

extension Ref where Object == Stream {
  /// Sends a stretch of a file behind what there is: one at a time, and nothing is
  /// written before it has gone. It is the stream's from here on.
  func send(_ stretch: Ref<FileStretch>) {
    if writing() == nil || o.stretch != nil || o.isEnded {
      stretch.free()
    } else {
      o.stretch = stretch
      o.stretchLeft = Int(stretch.o.left)
      o.isUnusual = true
    }
    o.loop.addDirty(self)
  }

  /// The one place where files are sent, but for what is encrypted.
  @inline(never)
  func flushUnusual() {
    if o.isBroken { return fail(ENOMEM) }
    if let tls = o.tls { return flush(through: tls) }
    guard let output = o.output, !output.o.failed else { return fail(ENOMEM) }
    let loop = o.loop
    if !output.o.isEmpty {
      let system = loop.o.system
      let sent = unsafe system.sendAhead(
        system.context, o.descriptor, output.o.pointer, output.o.count)
      if sent < 0, !isBusy(sent) { return fail(Int32(truncatingIfNeeded: 0 &- sent)) }
      note(sent: Int(sent))
      output.o.consume(max(0, Int(sent)))
    }
    guard output.o.isEmpty, let stretch = o.stretch else {
      block(!output.o.isEmpty)
      return finishFlush(output)
    }
    let outcome = stretch.send(on: o.descriptor, loop)
    note(sent: o.stretchLeft &- Int(stretch.o.left))
    o.stretchLeft = Int(stretch.o.left)
    if case .failed(let number) = outcome { return fail(number) }
    if stretch.o.left == 0 { endStretch() }
    block(o.stretch != nil)
    finishFlush(output)
  }

  func isBusy(_ sent: Int64) -> Bool {
    sent == Int64(-EAGAIN) || sent == Int64(-EINTR) || sent == Int64(-ENOBUFS)
  }

  func endStretch() {
    o.stretch?.free()
    o.stretch = nil
    o.stretchLeft = 0
    o.isUnusual = o.isBroken || o.tls != nil
  }

  /// What goes to be encrypted: of the file, once all before it has gone. False: it has
  /// failed, and the user knows.
  func readStretch() -> Bool {
    guard let stretch = o.stretch, let output = o.output, output.o.isEmpty else { return true }
    let outcome = stretch.read(to: &output.o)
    o.stretchLeft = Int(stretch.o.left)
    if case .failed(let number) = outcome {
      fail(number)
      return false
    }
    if stretch.o.left == 0 { endStretch() }
    return true
  }
}
