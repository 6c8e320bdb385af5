"""What traps in Swift, as far as its text tells: a part of tidy_test.py.

Anywhere in the library: calls and unwrappings that end the process. In the folders that take
bytes from a peer also what ends it for some values: arithmetic that is not &+, &- or &*,
division by what may be zero, and conversions to a type that may be too narrow. What can
still trap there is a subscript or a range that is out of bounds, which no text tells; the
fuzz targets look for those.

A line that is sound for a reason that this cannot see says so, on itself or on the line
above: "No trap:" in a comment, and why."""
import re

# A trap takes the host down; a print writes to a stream that is the host's.
BANNED = {
    r"\btry!": "try!",
    r"\bas!": "as!",
    r"\bfatalError\b": "fatalError",
    r"\bprecondition\b": "precondition",
    r"\bpreconditionFailure\b": "preconditionFailure",
    r"\bassertionFailure\b": "assertionFailure",
    r"(?<![.\w])assert\(": "assert",
    r"\bunowned\b": "unowned",
    r"(?<![.\w])(?:abort|exit|_exit)\(": "an end of the process",
    r"(?<![.\w])(?:debugPrint|print|dump)\(": "print",
    r"(?<=[\w)\]>?])(?<!\btry)(?<!\bas)!(?!=)": "a force unwrap",
}

# The folders whose values are a peer's.
FOLDERS = ("Text", "HTTP1", "WebSocket", "SSE", "Multipart", "Compression")

MARK = re.compile(r"//.*\bno trap: *\S+ \S+", re.IGNORECASE)
OPERATOR = re.compile(r"(?<=[\w)\]]) (?P<sign>[-+*/%]=?) (?=\S)")
OPERAND_BEFORE = re.compile(r"([\w.]+)$")
LITERAL = re.compile(r"(?:0x[0-9A-Fa-f_]+|[0-9][0-9_]*)\b(?!\.)")
# Pointers move without a check: their lines say "unsafe" right before.
POINTER = re.compile(r"\bunsafe (?:\(|Text\(start: )?[\w.]+$")
NEGATION = re.compile(r"(?<=[(\[=,:?&|<>] )-(?=[A-Za-z_(])|(?<=[(\[])-(?=[A-Za-z_(])"
                      r"|\breturn -(?=[A-Za-z_(])|(?<![.\w])abs\(")
WIDTHS = {"UInt8": 8, "Int8": 7, "UInt16": 16, "Int16": 15, "UInt32": 32, "Int32": 31,
          "UInt64": 64, "Int64": 63, "UInt": 64, "Int": 63}
CONVERSION = re.compile(r"(?<![\w.])(U?Int(?:8|16|32|64)?)\(")
SAFE_LABEL = re.compile(r"(?:truncatingIfNeeded|exactly|clamping|bitPattern|ascii|littleEndian"
                        r"|bigEndian)\s*:")
# An element of bytes, at most changed by what leaves a byte a byte.
ELEMENT = re.compile(r"\w+(?:\.bytes)?\[[^\[\]]*(?:\[[^\[\]]*\])?[^\[\]]*\]"
                     r"(?: (?:&[-+]|[&|^]|>>) \w+)*")
BYTE = re.compile(r"(?:byte|digit|first|second|third|fourth)(?: (?:&[-+]|[&|^]|>>) \w+)*")
MASKED = re.compile(r"\w+ & (\d+|0x[0-9A-Fa-f]+)")
NAME = re.compile(r"\w+")


def argument(code, start):
    """What stands between a parenthesis that was opened before start and its end."""
    depth, end = 1, start
    while depth and end < len(code):
        depth += {"(": 1, ")": -1}.get(code[end], 0)
        end += 1
    return " ".join(code[start:end - 1].split())


def declared(code, name):
    """The integer type that a name is declared with in a file, if it is one and the same."""
    found = set(re.findall(rf"\b{name}: (?:inout )?(U?Int(?:8|16|32|64)?|Double|Float)\b", code))
    return found.pop() if len(found) == 1 else None


def converts(code, target, text):
    """Why a conversion may trap; None: it does not."""
    if SAFE_LABEL.match(text) or LITERAL.fullmatch(text):
        return None
    text = text.removeprefix("unsafe ")
    source = None
    if ELEMENT.fullmatch(text) or BYTE.fullmatch(text):
        source = "UInt8"
    elif NAME.fullmatch(text):
        source = declared(code, text)
        # Int and Int64 take each other here, and all that is narrower.
        if source is None and target in ("Int", "Int64"):
            return None
    elif MASKED.fullmatch(text):
        most = int(MASKED.fullmatch(text).group(1), 0)
        return None if most < 1 << WIDTHS[target] else f"{target}() of {text}"
    elif target in ("Int", "Int64"):
        wide = re.search(r"\bUInt(?:64)?\(|\.magnitude\b|\bDouble\(", text)
        return f"{target}() of {text}" if wide else None
    if source in WIDTHS:
        if source[0] == "I" and target[0] == "U":
            return f"{target}() of {text}, which may be negative"
        if WIDTHS[source] <= WIDTHS[target]:
            return None
    return f"{target}() of {text}: truncatingIfNeeded, clamping or exactly"


def operations(code):
    """Where arithmetic may trap, and which."""
    for match in OPERATOR.finditer(code):
        sign = match.group("sign")
        before = code[:match.start()]
        right = LITERAL.match(code, match.end())
        if sign[0] in "/%":
            if right is None or int(right.group().replace("_", ""), 0) == 0:
                yield match.start(), f"{sign} by what may be zero"
            continue
        left = OPERAND_BEFORE.search(before)
        if right and left and LITERAL.fullmatch(left.group()):
            continue
        if sign in "+-" and POINTER.search(before):
            continue
        yield match.start(), f"{sign} that traps: &{sign}"
    for match in NEGATION.finditer(code):
        yield match.start(), "a negation that traps: 0 &-"


def banned(code):
    for pattern, what in BANNED.items():
        for match in re.finditer(pattern, code):
            yield match.start(), what


def of_values(code):
    yield from operations(code)
    for match in CONVERSION.finditer(code):
        what = converts(code, match.group(1), argument(code, match.end()))
        if what:
            yield match.start(), what


def found(code, text, folder):
    """Line and name of each; `code` is the text without comments and literals."""
    lines = text.split("\n")
    places = list(banned(code))
    if folder in FOLDERS:
        places += of_values(code)
    for place, what in sorted(places):
        line = code.count("\n", 0, place) + 1
        own = lines[line - 1:line] + lines[max(line - 2, 0):line - 1]
        above_is_comment = len(own) > 1 and own[1].lstrip().startswith("//")
        if MARK.search(own[0]) or above_is_comment and MARK.search(own[1]):
            continue
        yield line, what


# ---- The rule is one that finds: each of these is found, and none of those.

PLANTED = [
    "let a = b!", "let a = b.first!.c", "let a = try! b()", "let a = b as! C", "fatalError()",
    "precondition(a > 0)", "preconditionFailure()", "assert(a > 0)", "assertionFailure()",
    "unowned let a: B", "weak var a: B; unowned(unsafe) var c: D", "print(a)", "abort()", "exit(1)",
]
PLANTED_OF_VALUES = [
    "let a = b + c", "a += b", "a -= 1", "a *= 2", "let a = b[c] - 1", "let a = 2 * b",
    "let a = b * 2", "let a = f(b) - g(c)", "let a = b / c", "a %= b", "let a = b / 0",
    "let a = -b", "f(-b)", "return -b", "let a = abs(b)", "let a = UInt8(b)",
    "let a = Int32(b.count)", "let a = UInt16(b &+ c)", "let b: UInt64 = 0; let a = Int(b)",
    "let b: Double = 0; let a = Int64(b)", "let b: Int32 = 0; let a = UInt32(b)",
    "let a = UInt64(b.count)", "let a = Int(b.magnitude)", "let a = UInt8(b & 0x1FF)",
    "let a = UInt32(\n  b.count)", "let a = unsafe f(b + c)", "let a = b + c  // No trap:",
    "let a = b + c  // no traps here",
]
SOUND_OF_VALUES = [
    "let a = b &+ c", "a &+= b", "let a = 64 * 1024", "let a = 8 * 1024 * 1024",
    "let a = b / 10 % 10", "let a = unsafe base + b", "let a = unsafe (base + b).c",
    "let a = unsafe Text(start: base + b, count: c)", "let a = -1", "f(-1)", "case .a: 0 &- b",
    "let a = UInt8(truncatingIfNeeded: b)", "let a = UInt32(clamping: b)",
    "let a = Int32(text[b] &- 48)", "let a = UInt16(bytes[0]) << 8 | UInt16(bytes[1])",
    "let a = Int(b)", "let a = UInt8(ascii: \"+\")", "let b: UInt8 = 0; let a = UInt32(b)",
    "let a = UInt32(b & 3)", "let a: (B) -> C", "a != b", "if !a, b != c { }",
    "let a = b + c  // No trap: both are small", "// No trap: both are small.\nlet a = b + c",
    "let a = Int32(9)",
]


def self_check(without_comments):
    """What the rule misses, or finds where nothing is."""
    for folder, planted in (("Server", PLANTED), ("HTTP1", PLANTED + PLANTED_OF_VALUES)):
        for text in planted:
            if not list(found(without_comments(text), text, folder)):
                yield f"a trap is not found in {folder}: {text}"
    for text in SOUND_OF_VALUES:
        for _, what in found(without_comments(text), text, "HTTP1"):
            yield f"{what} is found where none is: {text}"
    for text in PLANTED_OF_VALUES:
        for _, what in found(without_comments(text), text, "Server"):
            yield f"{what} is found in a folder that may have it: {text}"
