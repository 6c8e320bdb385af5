#!/usr/bin/env python3
"""Writes the seeds of the fuzz targets, one file each, into a folder: the bytes of the
vectors in Tests/ApusTests/Vectors, as Escapes.swift has them.

  fuzz/seeds.py FOLDER"""
import glob
import os
import re
import sys

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


def frames():
    """Frames in the hexadecimal form of their vectors, where that is all there is, and
    a few written here: the first byte is the target's setting."""
    texts = [(0x81, b"hello"), (0x01, b"hel"), (0x80, b"lo"), (0x89, b"ping"), (0x8A, b""),
             (0x88, b"\x03\xe8bye"), (0x82, bytes(range(200))), (0xC1, b"\xf2H\xcd\xc9\xc9\x07\0"),
             (0x88, b""), (0x81, "\u00e4\u20ac\U0001f600".encode())]
    for setting in range(8):
        for masked in (False, True):
            every = bytes([setting])
            for first, payload in texts:
                size = len(payload)
                head = bytes([first]) + (bytes([size | 0x80 * masked]) if size < 126 else
                                         bytes([126 | 0x80 * masked, size >> 8, size & 255]))
                key = b"\1\2\3\4" if masked else b""
                if masked:
                    payload = bytes(byte ^ key[at % 4] for at, byte in enumerate(payload))
                yield bytes([setting]) + head + key + payload
                every += head + key + payload
            yield every


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
    "request": requests, "response": responses,
    "chunked": lambda: (data.split(b"\r\n\r\n", 1)[-1] for data in requests()),
    "frames-server": frames, "frames-client": frames, "url": urls, "set-cookie": cookies,
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
