// The environment of the process, which the library reads only when it is told to.

import CSystem

enum Environment {
  /// The value of a variable, as it is at the moment.
  @unsafe static func value(_ name: StaticString) -> Text? {
    let name = Text(name)
    return unsafe sys_environment(name.characters).map { unsafe Text(characters: $0) }
  }
}
