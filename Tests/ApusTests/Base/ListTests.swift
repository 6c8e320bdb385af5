// List: a growing list of plain values.

import Testing

@testable import Apus

@Suite struct ListTests {
  private func array(_ list: borrowing List<Int>) -> [Int] { (0..<list.count).map { list[$0] } }

  @Test func appendsAndRemoves() {
    var list = List<Int>()
    #expect(list.isEmpty == true)
    let nothing = list.removeLast()
    #expect(nothing == nil)
    for number in 0..<100 {
      let done = list.append(number)
      #expect(done)
    }
    #expect(array(list) == Array(0..<100))
    list[7] = -7
    #expect(list[7] == -7)
    list[100] = 1
    list[-1] = 1
    #expect(list.count == 100)
    let last = list.removeLast()
    #expect(last == 99)
    list.removeFirst(90)
    #expect(array(list) == Array(90..<99))
    list.removeFirst(0)
    list.removeFirst(-1)
    list.removeFirst(10)
    #expect(array(list) == Array(90..<99))
    list.removeFirst(9)
    #expect(list.isEmpty == true)
    _ = list.append(5)
    #expect(array(list) == [5])
    list.removeAll()
    #expect(list.isEmpty == true)
  }

  @Test func removesAnOverlappingFront() {
    for front in 1...8 {
      var list = List<Int>()
      for number in 0..<8 { _ = list.append(number) }
      list.removeFirst(front)
      #expect(array(list) == Array(front..<8))
    }
  }
}
