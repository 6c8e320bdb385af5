#!/usr/bin/env python3
"""Writes the seeds of the fuzz targets, one file each, into a folder: the bytes of the
vectors in Tests/ApusTests/Vectors, as Escapes.swift has them.

  fuzz/seeds.py FOLDER"""
import glob
import os
import re
import sys
import zlib

VECTORS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "Tests", "ApusTests",
                       "Vectors")
PLAIN = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "s": b" ", "\\": b"\\"}


def decode(text):
    """Bytes as the vectors write them: \\r \\n \\xHH \\(abc*100) and so on."""
    out, at = b"", 0
    while at < len(text):
        if text[at] != "\\":
            out += text[at].encode()
            at += 1
            continue
        letter = text[at + 1]
        if letter == "x":
            out += bytes([int(text[at + 2:at + 4], 16)])
            at += 4
        elif letter == "(":
            end = text.index(")", at)
            piece, count = text[at + 2:end].rsplit("*", 1)
            out += decode(piece) * int(count)
            at = end + 1
        else:
            out += PLAIN[letter]
            at += 2
    return out


def lines(pattern):
    for path in sorted(glob.glob(os.path.join(VECTORS, pattern))):
        with open(path, encoding="utf-8") as file:
            yield from file.read().split("\n")


def blocks(pattern, word):
    """What stands between ```word and ```."""
    block = None
    for line in lines(pattern):
        if line.startswith("```"):
            if block:
                yield block
            block = [] if line[3:] == word else None
        elif block is not None:
            block.append(line)


def requests():
    for block in blocks("*.md", "request"):
        yield b"".join(map(decode, block))


def responses():
    """A line that begins with "<" is bytes of a response; one with "#", a title."""
    data = b""
    for line in [*lines("Responses/*.txt"), "# end"]:
        if line.startswith("< "):
            data += decode(line[2:])
        elif line.startswith("#") and data:
            yield data
            data = b""


OPCODES = {"continuation": 0, "text": 1, "binary": 2, "close": 8, "ping": 9, "pong": 10}


def frame(line, masked):
    """A frame as the vectors of WebSocket write it: words, a colon and the payload."""
    words, payload = line.split(":", 1) if ":" in line else (line, "")
    payload = decode(payload.strip(" "))
    words = words.split()
    if words[0] == "bytes":
        return payload
    first, length, size, mask = 0x80, None, None, masked
    for at, word in enumerate(words):
        if word in OPCODES:
            first |= OPCODES[word]
        elif word.startswith("rsv"):
            first |= 0x80 >> int(word[3])
        elif word in ("opcode", "length", "size") or word.isdigit() and words[at - 1] == "close":
            number = int(words[at + 1] if word in ("opcode", "length", "size") else word)
            if word == "opcode":
                first |= number
            elif word == "length":
                length = number
            elif word == "size":
                size = number
            else:
                payload = number.to_bytes(2, "big") + payload
    first &= 0x7F if "unfinished" in words else 0xFF
    mask = "masked" in words or mask and "unmasked" not in words
    length = len(payload) if length is None else length
    size = size or (0 if length < 126 else 2 if length < 65536 else 8)
    second = length if size == 0 else 126 if size == 2 else 127
    head = bytes([first, second | 0x80 * mask]) + (length.to_bytes(size, "big") if size else b"")
    key = b"\1\2\3\4" if mask else b""
    return head + key + bytes(byte ^ key[at % 4] for at, byte in enumerate(payload)
                              ) if mask else head + payload


def frames(masked):
    """The frames of the vectors; the first byte is the target's setting."""
    for block in blocks("WebSocket/frames-*.md", "frames"):
        try:
            data = b"".join(frame(line, masked) for line in block)
        except (IndexError, KeyError, ValueError, OverflowError):
            continue
        for setting in (5, 7, 1):
            yield bytes([setting]) + data


def deflated():
    """Compressed payloads, and messages compressed here; a window and a cap first."""
    for block in blocks("WebSocket/frames-deflate.md", "frames"):
        data = b"".join(frame(line, False)[2:] for line in block if "rsv1" in line)
        yield b"\x0f\x40" + data
        yield b"\x07\x01" + data
    for content in (b"", b"a" * 3000, bytes(range(256)) * 4, b"hello, hello, hello"):
        for level in (0, 1, 9):
            maker = zlib.compressobj(level, zlib.DEFLATED, -15)
            data = maker.compress(content) + maker.flush(zlib.Z_SYNC_FLUSH)
            yield b"\x0f\xff" + data[:-4]
            yield b"\x0f\xff" + data + maker.flush()


def contents():
    """The table of contents.txt: title | codings | hexadecimal => ..."""
    codings = ["", "gzip", "deflate", "gzip, deflate", "deflate, gzip", "br", "zstd"]
    for line in lines("contents.txt"):
        if line.startswith("#") or line.count("|") < 2:
            continue
        _, names, rest = line.split("|", 2)
        data = re.match(r"\s*([0-9a-f]*)", rest).group(1)
        names = names.strip().lower().replace("x-gzip", "gzip")
        if names in codings and len(data) % 2 == 0:
            yield bytes([codings.index(names), 0xFF]) + bytes.fromhex(data)


def cases(path, mark="< "):
    """The bytes of cases whose titles stand behind "##"."""
    data = b""
    for line in [*lines(path), "## end"]:
        if line.startswith(mark):
            data += decode(line[len(mark):])
        elif line.startswith("##") and data:
            yield data
            data = b""


def forms():
    """The boundary is one of the target's; the setting chooses it."""
    known = {b"b": 0, b"x-y": 1, b"--": 2, b"aab": 3}
    boundary, data = b"b", b""
    for line in [*lines("Multipart/forms.txt"), "## end"]:
        if line.startswith("= "):
            boundary = line[2:].encode()
        elif line.startswith("< "):
            data += decode(line[2:])
        elif line.startswith("##") and data:
            if boundary not in known:
                data, boundary = data.replace(boundary, b"b"), b"b"
            yield bytes([known[boundary]]) + data
            data = b""


def several(*texts):
    """The input of a target that wants several texts: the length of all but the last."""
    return b"".join(bytes([len(text)]) + text for text in texts[:-1]) + texts[-1]


def dates():
    for line in lines("Client/dates.txt"):
        if line and not line.startswith("#"):
            yield line.split("|")[0].strip().encode()


def quoted(path, start):
    """Texts in quotes of a test, where vectors are none; they begin with these."""
    with open(os.path.join(VECTORS, "..", path), encoding="utf-8") as file:
        for text in re.findall(r'"((?:[^"\\\n]|\\.)*)"', file.read()):
            if start.lower() in text.lower():
                yield text.encode()


def values():
    """The values of fields of handshakes, and of others that are read alike."""
    for block in blocks("WebSocket/handshake-*.md", "request"):
        for line in block:
            if ":" in line:
                yield decode(line).split(b":", 1)[1].strip()
    yield b'multipart/form-data; boundary="a b"'
    yield b"multipart/form-data; boundary=----x; charset=utf-8"
    yield b"gzip;q=0.5, br;q=1.0, *;q=0, identity"
    yield b'"a", W/"b", "c\xff"'
    yield b"Basic dXNlcjpwYXNz"
    yield b"Bearer abc.def-_~+/=="


def cookie_fields():
    for data in by_line("Client/cookies.txt", "> "):
        yield data.split(b" ", 1)[-1]
    for setting in (b"", b"\1\2\3", b"\x11", b"\0\0\0\x61\0"):
        yield several(b"name", b"value", setting)
        yield several(b"__Host-a", b'"b"', setting)


def by_line(pattern, prefix):
    for line in lines(pattern):
        if line.startswith(prefix):
            try:
                yield decode(line[len(prefix):])
            except (IndexError, KeyError, ValueError):
                continue


def urls():
    for line in lines("urls.txt"):
        if line and not line.startswith("#"):
            for word in re.split(r"\s+", line):
                yield word.encode()


def cookies():
    for data in by_line("Client/cookies.txt", "< "):
        yield data.split(b" ", 1)[-1]


SEEDS = {
    "request": requests,
    "response": responses,
    "reply": lambda: [several(b"Content-Type", b"text/plain", b"X", b" a\tb ", b"Date", b"x",
                              b"body"), several(b"Connection", b"close", b"Set-Cookie", b"a=b",
                                                b"Vary", b"*", b""),
                      several(b"Transfer-Encoding", b"chunked", b"A", b"a\r\nB: c", b"Server",
                              b"", b"\0\1")],
    "chunked": lambda: (data.split(b"\r\n\r\n", 1)[-1] for data in requests()),
    "frames-server": lambda: frames(True),
    "frames-client": lambda: frames(False),
    "messages": lambda: (bytes([setting]) + several(b"", b"a" * 60, b"hello", bytes(range(256)))
                         for setting in range(256)),
    "handshake": values,
    "inflate": deflated,
    "contents": contents,
    "multipart": forms,
    "form": lambda: [several(b"name", b"va\r\nlue", b"file", b"a\"b.txt", b"content\r\n--"),
                     several(b"", b"", b"\r\n", b"%22", b""),
                     several(b"a&b=c", b"%41+\xff", b"x\\y", b"\xe4.png", b"\r\n--aB3-bou")],
    "events": lambda: cases("SSE/events.txt"),
    "event": lambda: [several(b"name", b"1", b"comment\nmore", b"a\r\nb\rc\n"),
                      several(b"", b"", b"", b""), several(b"a:b", b" 1", b":", b" \n\n: x")],
    "url": urls,
    "set-cookie": cookies,
    "cookies": cookie_fields,
    "ranges": lambda: (data + bytes([100]) for data in
                       quoted("HTTP1/ByteRangesTests.swift", "bytes")),
    "dates": dates,
    "forwarded": lambda: [data for kind in "FAPH" for data in
                          by_line("forwarded.txt", kind + " ")],
    "proxy": lambda: by_line("proxy.txt", "< "),
}


def main():
    for target, make in SEEDS.items():
        folder = os.path.join(sys.argv[1], target)
        os.makedirs(folder, exist_ok=True)
        count = 0
        for count, data in enumerate(make(), 1):
            with open(os.path.join(folder, f"{count:04}"), "wb") as file:
                file.write(data[:2048])
        if not count:
            sys.exit(f"no seeds for {target}")


if __name__ == "__main__":
    main()
