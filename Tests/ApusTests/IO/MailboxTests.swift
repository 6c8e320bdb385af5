// Mailbox: what other threads post, run oldest first, each item once.

import CSystem
import Glibc
import Testing

@testable import Apus

/// What the mails of a test note; each mail's object is one of these.
private final class Note {
  let number: Int
  let record: Record
  var mail: Ref<Mail>

  init(_ number: Int, _ record: Record) throws {
    self.number = number
    self.record = record
    let placeholder = try #require(UnsafeMutableRawPointer(bitPattern: 8))
    let made = Ref(make: Mail(placeholder, { _ in }))
    mail = try #require(made)
    mail.o.object = Unmanaged.passUnretained(self).toOpaque()
    mail.o.run = { Unmanaged<Note>.fromOpaque($0).takeUnretainedValue().arrive() }
  }

  deinit { mail.free() }

  private func arrive() { record.numbers.append(number) }
}

private final class Record {
  var numbers: [Int] = []
}

private final class Box: @unchecked Sendable {
  let mailbox = Mailbox(descriptor: sys_event_make())
  var notes: [Note] = []

  deinit { close(mailbox.descriptor) }

  /// Waits for the mailbox's descriptor, and empties it.
  func isAwake(within milliseconds: Int32) -> Bool {
    var entry = pollfd(fd: mailbox.descriptor, events: Int16(POLLIN), revents: 0)
    guard poll(&entry, 1, milliseconds) == 1 else { return false }
    var value: UInt64 = 0
    return read(mailbox.descriptor, &value, 8) == 8
  }
}

@Suite struct MailboxTests {
  @Test func runsTheOldestFirst() throws {
    let record = Record()
    let box = Box()
    for number in 0..<10 { box.notes.append(try Note(number, record)) }
    for note in box.notes { box.mailbox.post(note.mail) }
    #expect(record.numbers == [])
    box.mailbox.deliver()
    #expect(record.numbers == Array(0..<10))
    box.mailbox.deliver()
    #expect(record.numbers == Array(0..<10))
  }

  @Test func aChainKeepsItsOrder() throws {
    let record = Record()
    let box = Box()
    for number in 0..<10 { box.notes.append(try Note(number, record)) }
    box.mailbox.post(box.notes[0].mail)
    var chain = MailChain()
    #expect(chain.isEmpty)
    for note in box.notes[1..<9] { chain.add(note.mail) }
    #expect(!chain.isEmpty)
    box.mailbox.post(chain)
    box.mailbox.post(MailChain())
    box.mailbox.post(box.notes[9].mail)
    box.mailbox.deliver()
    #expect(record.numbers == Array(0..<10))
  }

  @Test func wakesOncePerBatch() throws {
    let record = Record()
    let box = Box()
    for number in 0..<3 { box.notes.append(try Note(number, record)) }
    #expect(!box.isAwake(within: 0))
    box.mailbox.post(box.notes[0].mail)
    #expect(box.isAwake(within: 0))
    box.mailbox.post(box.notes[1].mail)
    #expect(!box.isAwake(within: 0))
    box.mailbox.deliver()
    box.mailbox.post(box.notes[2].mail)
    #expect(box.isAwake(within: 0))
    box.mailbox.deliver()
    #expect(record.numbers == [0, 1, 2])
  }

  /// Several threads post, one runs what comes: nothing lost, nothing twice, and
  /// each thread's in its order.
  @Test func takesFromSeveralThreads() throws {
    let record = Record()
    let box = Box()
    let threads = 4
    let each = 2000
    for number in 0..<(threads * each) { box.notes.append(try Note(number, record)) }
    let running = try (0..<threads).map { thread in
      try Thread {
        for number in 0..<each { box.mailbox.post(box.notes[thread * each + number].mail) }
      }
    }
    var idle = 0
    while record.numbers.count < threads * each, idle < 50 {
      if box.isAwake(within: 100) { idle = 0 } else { idle += 1 }
      box.mailbox.deliver()
    }
    for thread in running { thread.join() }
    #expect(record.numbers.sorted() == Array(0..<(threads * each)))
    for thread in 0..<threads {
      let own = record.numbers.filter { $0 / each == thread }
      #expect(own == own.sorted())
    }
  }
}
