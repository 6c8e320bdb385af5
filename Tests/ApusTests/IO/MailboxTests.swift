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

  var isEmpty: Bool { mailbox.isEmpty }
  var isHeldBack: Bool { mailbox.isHeldBack }

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
    var chain = MailChain()
    #expect(chain.isEmpty)
    for note in box.notes { chain.add(note.mail) }
    #expect(!chain.isEmpty)
    chain.deliver()
    #expect(record.numbers == Array(0..<10))
  }

  /// What is posted quietly wakes nobody by itself: whoever posts loudly or hurries does,
  /// once, and all of it comes in its order.
  @Test func holdsBackWhatIsQuiet() throws {
    let record = Record()
    let box = Box()
    for number in 0..<6 { box.notes.append(try Note(number, record)) }
    box.mailbox.hurry()
    #expect(!box.isAwake(within: 0))
    #expect(box.isEmpty && !box.isHeldBack)
    box.mailbox.post(box.notes[0].mail, quietly: true)
    box.mailbox.post(box.notes[1].mail, quietly: true)
    #expect(!box.isAwake(within: 0))
    #expect(!box.isEmpty && box.isHeldBack)
    box.mailbox.hurry()
    #expect(box.isAwake(within: 0) && !box.isHeldBack)
    box.mailbox.hurry()
    box.mailbox.post(box.notes[2].mail, quietly: true)
    #expect(!box.isAwake(within: 0) && !box.isHeldBack)
    box.mailbox.deliver()
    #expect(box.isEmpty)
    #expect(record.numbers == [0, 1, 2])
    box.mailbox.post(box.notes[3].mail, quietly: true)
    box.mailbox.post(box.notes[4].mail)
    #expect(box.isAwake(within: 0))
    box.mailbox.post(box.notes[5].mail)
    #expect(!box.isAwake(within: 0))
    box.mailbox.deliver()
    #expect(record.numbers == Array(0..<6))
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

  /// Several threads post, some of it quietly, one runs what comes: nothing lost, nothing
  /// twice, and each thread's in its order.
  @Test func takesFromSeveralThreads() throws {
    let record = Record()
    let box = Box()
    let threads = 4
    let each = 2000
    for number in 0..<(threads * each) { box.notes.append(try Note(number, record)) }
    let running = try (0..<threads).map { thread in
      try Thread {
        for number in 0..<each {
          box.mailbox.post(box.notes[thread * each + number].mail, quietly: number % 3 != 0)
        }
        box.mailbox.hurry()
      }
    }
    var idle = 0
    while record.numbers.count < threads * each, idle < 50 {
      if box.isAwake(within: 100) {
        idle = 0
        box.mailbox.deliver()
      } else {
        idle += 1
      }
    }
    for thread in running { thread.join() }
    #expect(record.numbers.sorted() == Array(0..<(threads * each)))
    for thread in 0..<threads {
      let own = record.numbers.filter { $0 / each == thread }
      #expect(own == own.sorted())
    }
  }
}
