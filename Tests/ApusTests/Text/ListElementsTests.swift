// ListElements: what stands between commas.

import Testing

@testable import Apus

@Suite struct ListElementsTests {
  private func elements(_ text: String) -> [String] {
    with(text) { value in
      var elements = ListElements()
      var result: [String] = []
      while let range = elements.next(in: value) { result.append(string(value.extracting(range))) }
      return result
    }
  }

  @Test func elements() {
    #expect(elements("") == [])
    #expect(elements(" \t ") == [])
    #expect(elements(",, ,") == [])
    #expect(elements("a") == ["a"])
    #expect(elements("a,b") == ["a", "b"])
    #expect(elements(" a b ,\tc,, d e\t") == ["a b", "c", "d e"])
  }

  @Test func contains() {
    #expect(with("keep-alive, Upgrade") { ListElements.contains($0, "upgrade") } == true)
    #expect(with("UPGRADE") { ListElements.contains($0, "upgrade") } == true)
    #expect(with("upgrades, up grade") { ListElements.contains($0, "upgrade") } == false)
    #expect(with("") { ListElements.contains($0, "upgrade") } == false)
  }
}
