"""What hostile_test.py needs for its cases of WebSockets: a strict reader of what a
server sends, and the reactions that data/README.md names."""
import base64
import hashlib
import re
import socket
import zlib

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
ACCEPT = base64.b64encode(hashlib.sha1(KEY + GUID).digest())


class Broken(Exception):
    """What the server sent is no WebSocket's."""


def request(deflate):
    """The handshake before cases of frames."""
    offer = b"Sec-WebSocket-Extensions: permessage-deflate\r\n" if deflate else b""
    return (b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: " + KEY + b"\r\nSec-WebSocket-Version: 13\r\n" + offer + b"\r\n")


def masked(first, payload):
    assert len(payload) < 126
    return bytes([first, 0x80 | len(payload)]) + b"\0\0\0\0" + payload


class Peer:
    def __init__(self, peer, deflate):
        self.peer, self.deflate = peer, deflate
        self.rest, self.ended = b"", False
        self.inflater = zlib.decompressobj(-15)

    def fill(self):
        try:
            data = self.peer.recv(65536)
        except socket.timeout:
            raise Broken(f"nothing came for a long time behind {self.rest[:100]!r}")
        except ConnectionResetError:
            data = b""
        self.ended = not data
        self.rest += data

    def need(self, count):
        while len(self.rest) < count and not self.ended:
            self.fill()
        return len(self.rest) >= count

    def take_head(self):
        """The 101, as RFC 6455 section 4.2.2 has it."""
        while b"\r\n\r\n" not in self.rest and not self.ended:
            self.fill()
        head, end, self.rest = self.rest.partition(b"\r\n\r\n")
        if not end or not head.startswith(b"HTTP/1.1 101 "):
            raise Broken(f"no 101: {head[:200]!r}")
        if re.search(rb"(?<!\r)\n|\r(?!\n)", head):
            raise Broken(f"a head with a bare CR or LF: {head!r}")
        fields = [line.split(b": ", 1) for line in head.split(b"\r\n")[1:]]
        names = [name.lower() for name, _ in fields]
        values = {name.lower(): value for name, value in fields}
        if len(names) != len(set(names)) or b"content-length" in names:
            raise Broken(f"fields twice, or of a body: {names}")
        if (values.get(b"upgrade"), values.get(b"connection")) != (b"websocket", b"Upgrade"):
            raise Broken(f"no upgrade: {values}")
        if values.get(b"sec-websocket-accept") != ACCEPT:
            raise Broken(f"a wrong Sec-WebSocket-Accept: {values}")
        accepted = b"sec-websocket-extensions" in names
        if accepted and not self.deflate or b"sec-websocket-protocol" in names:
            raise Broken(f"what was not asked for: {values}")

    def frame(self):
        """The next frame: final, opcode and payload; None at the end."""
        if not self.need(2):
            if self.rest:
                raise Broken(f"half a frame: {self.rest!r}")
            return None
        first, second = self.rest[0], self.rest[1]
        size = {126: 4, 127: 10}.get(second & 0x7f, 2)
        if second & 0x80 or first & 0x30 or not self.need(size):
            raise Broken(f"no frame of a server: {self.rest[:14]!r}")
        length = int.from_bytes(self.rest[2:size], "big") if size > 2 else second
        if size > 2 and length < (126 if size == 4 else 65536) or not self.need(size + length):
            raise Broken(f"a length that is wrong: {self.rest[:14]!r}")
        payload, self.rest = self.rest[size:size + length], self.rest[size + length:]
        if first & 0x40:
            if not self.deflate or first & 15 not in (1, 2):
                raise Broken("RSV1 where it must not be")
            payload = self.inflater.decompress(payload + b"\0\0\xff\xff")
        return first & 0x80 != 0, first & 15, payload

    def outcome(self, marker, due):
        """The messages that come, and the code of the Close behind them; or None once
        as many came as are due, and the pong of the marker, which may overtake them."""
        messages, is_marked = [], False
        while True:
            if is_marked and len(messages) >= due:
                return messages, None
            frame = self.frame()
            if frame is None:
                raise Broken(f"the end without a Close, behind {len(messages)} messages")
            final, opcode, payload = frame
            if not final:
                raise Broken("a frame of an echo that is not final")
            if opcode == 8:
                if self.frame() is not None:
                    raise Broken("something behind a Close")
                code = int.from_bytes(payload[:2], "big") if payload else 1005
                payload[2:].decode()
                return messages, code
            is_marked = is_marked or opcode == 10 and payload == marker
            if opcode in (1, 2):
                messages.append(payload)

    def problem(self, expect, send):
        """Why none of the forms came true; None if one did."""
        closes = any(re.search(r"10\d\d|[345]\d\d\d", form) for form in expect.split("|"))
        marker = b"the marker"
        if not closes:
            send(masked(0x89, marker))
        due = re.search(r"(\d+ )?msg", expect)
        messages, code = self.outcome(marker, int(due.group(1) or 1) if due else 0)
        for form in expect.split("|"):
            if matches(form, messages, code):
                return None
        return f"{len(messages)} messages and {code or 'still open'}, expected {expect}"


def matches(form, messages, code):
    if form.startswith("101"):
        form = form[4:]
    words = form.split()
    if words and words[-1].isdigit():
        if code != int(words.pop()):
            return False
        words = [word for word in words if word != "echo"]
        if not words:
            return True
    elif code is not None:
        return False
    count = int(words.pop(0)) if words and words[0].isdigit() else 1
    if not words:
        return not messages
    return len(messages) == count and all((not message) == (words[-1] == "empty")
                                         for message in messages)
