#!/usr/bin/env python3
"""Frames, close payloads and handshakes without a connection, against those of
`websockets`, by ctypes: what one side writes the other reads, both ways."""
# ctest: nosanitize
import ctypes
import os
import random
import sys
from ctypes import POINTER, Structure, byref, c_char_p, c_int32, c_int64, c_size_t
from ctypes import c_uint8, c_uint64, c_void_p

try:
    from websockets.client import ClientProtocol
    from websockets.exceptions import ProtocolError
    from websockets.frames import Close, Frame, Opcode
    from websockets.http11 import Request
    from websockets.server import ServerProtocol
    from websockets.streams import StreamReader
    from websockets.uri import parse_uri
    from websockets.utils import accept_key
except ImportError as error:
    print("codec_peers_test:", error)
    sys.exit(77)

CLIENT, SERVER = 0, 1
LENGTHS = [0, 1, 2, 124, 125, 126, 127, 128, 255, 256, 1000, 65534, 65535, 65536, 65537, 100000]


class Header(Structure):
    _fields_ = [("opcode", c_int32), ("final", c_int32), ("reserved_bits", c_int32),
                ("masked", c_int32), ("mask", c_uint8 * 4), ("header_length", c_int32),
                ("length", c_int64), ("reserved", c_uint64 * 4)]


SIGNATURES = {
    "apus_last_error_message": (c_char_p, []),
    "apus_live_count": (c_int32, [c_int32]),
    "apus_request_parse": (c_uint64, [c_char_p, c_size_t, POINTER(c_size_t)]),
    "apus_request_destroy": (c_int32, [c_uint64]),
    "apus_frame_decode": (c_int32, [c_char_p, c_size_t, POINTER(Header)]),
    "apus_frame_check": (c_int32, [POINTER(Header), c_int32, c_int32, c_int32]),
    "apus_frame_length": (c_int64, [c_int64, c_int32]),
    "apus_frame_encode": (c_int64, [c_int32, c_int32, c_int32, c_char_p, c_char_p, c_size_t,
                                    c_void_p, c_size_t]),
    "apus_frame_mask": (c_int32, [c_char_p, c_uint64, c_void_p, c_size_t]),
    "apus_frame_make_mask": (c_int32, [c_void_p]),
    "apus_utf8_is_valid": (c_int32, [c_char_p, c_size_t]),
    "apus_close_is_valid": (c_int32, [c_int32]),
    "apus_close_encode": (c_int32, [c_int32, c_char_p, c_size_t, c_void_p, c_size_t]),
    "apus_close_decode": (c_int32, [c_char_p, c_size_t, POINTER(c_int32)]),
    "apus_handshake_check": (c_int32, [c_uint64]),
    "apus_handshake_key": (c_char_p, [c_uint64]),
    "apus_handshake_accept": (c_int32, [c_char_p, c_void_p, c_size_t]),
    "apus_handshake_make_key": (c_int32, [c_void_p, c_size_t]),
    "apus_handshake_protocol_count": (c_int32, [c_uint64]),
    "apus_handshake_protocol_at": (c_int32, [c_uint64, c_int32, c_void_p, c_size_t]),
    "apus_handshake_check_response": (c_int32, [c_char_p, c_size_t, c_char_p, c_char_p,
                                                POINTER(c_int32)]),
}

counts = {"frames": 0, "texts": 0, "close payloads": 0, "handshakes": 0}


def load():
    library = ctypes.CDLL(os.environ["APUS_LIBRARY"])
    for name, (result, arguments) in SIGNATURES.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


apus = load()


def check(condition, *about):
    if not condition:
        print("FAILED:", *about, apus.apus_last_error_message().decode())
        sys.exit(1)


# ---- frames -------------------------------------------------------------------

def parse_peer(data, mask):
    """What the peer makes of a frame: a Frame, or its complaint."""
    reader = StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    steps = Frame.parse(reader.read_exact, mask=mask)
    try:
        while True:
            next(steps)
    except StopIteration as end:
        return end.value
    except ProtocolError as error:
        return error


def decode(data):
    """The header and the payload in clear, by Apus."""
    header = Header()
    size = apus.apus_frame_decode(data, len(data), byref(header))
    check(size > 0 and size == header.header_length, "no header", data[:20])
    payload = ctypes.create_string_buffer(data[size:], len(data) - size)
    check(header.length == len(payload.raw), "length", header.length)
    if header.masked:
        apus.apus_frame_mask(bytes(header.mask), 0, payload, len(payload.raw))
    return header, payload.raw


def encode(opcode, final, reserved, mask, payload):
    size = apus.apus_frame_length(len(payload), mask is not None)
    buffer = ctypes.create_string_buffer(size)
    got = apus.apus_frame_encode(opcode, final, reserved, mask, payload, len(payload), buffer, size)
    check(got == size, "encode", got, size)
    return buffer.raw


def test_frames(chance):
    for length in LENGTHS:
        payload = chance.randbytes(length)
        for opcode in Opcode:
            for mask in (False, True):
                for final in (False, True):
                    if opcode >= 8 and (length > 125 or not final):
                        continue
                    frame_both_ways(Frame(opcode, payload, fin=final), mask)


def frame_both_ways(frame, mask):
    counts["frames"] += 1
    theirs = frame.serialize(mask=mask)
    header, payload = decode(theirs)
    check((header.opcode, header.final, header.masked, header.reserved_bits, payload)
          == (frame.opcode, frame.fin, mask, 0, frame.data), "decode", frame)
    role, inside = SERVER if mask else CLIENT, frame.opcode == 0
    check(apus.apus_frame_check(byref(header), role, inside, 0) == 0, "check", frame)
    check(apus.apus_frame_check(byref(header), 1 - role, inside, 0) == 1002, "masking", frame)
    key = ctypes.create_string_buffer(4)
    apus.apus_frame_make_mask(key)
    ours = encode(frame.opcode, frame.fin, 0, key.raw if mask else None, frame.data)
    check(parse_peer(ours, mask) == frame, "the peer reads another frame", frame)
    again = encode(frame.opcode, frame.fin, 0, bytes(header.mask) if mask else None, frame.data)
    check(again == theirs, "not the same bytes", frame)


def test_wrong_starts():
    """Each of 65536 starts, refused by both or by neither; but the peer leaves reserved
    bits to its extensions."""
    for first in range(256):
        for second in range(256):
            counts["frames"] += 1
            size = second & 127
            more = {126: (200).to_bytes(2, "big"), 127: (70000).to_bytes(8, "big")}.get(size, b"")
            length = {126: 200, 127: 70000}.get(size, size)
            data = bytes([first, second]) + more + (b"mask" if second > 127 else b"")
            header = Header()
            got = apus.apus_frame_decode(data, len(data), byref(header))
            check(got == len(data), "start", data)
            check(header.length == length, "length", data)
            ours = apus.apus_frame_check(byref(header), SERVER, (first & 15) == 0, 0)
            theirs = parse_peer(data + bytes(length), True)
            refused = isinstance(theirs, ProtocolError) or bool(first & 0x70)
            check((ours != 0) == refused, "start", data, ours, theirs)


# ---- text and close payloads ----------------------------------------------------

def is_utf8(data):
    try:
        data.decode()
        return True
    except UnicodeDecodeError:
        return False


def test_texts(chance):
    pieces = ["a", "é", "€", "𝄞", "\x00", "\u07ff", "\ud7ff", "\ue000", "\U0010ffff"]
    for _ in range(20000):
        counts["texts"] += 1
        data = bytearray("".join(chance.choices(pieces, k=chance.randrange(40))).encode())
        if data and chance.random() < 0.7:
            data[chance.randrange(len(data))] = chance.randrange(256)
        data = bytes(data[:chance.randrange(len(data) + 1)])
        check(apus.apus_utf8_is_valid(data, len(data)) == is_utf8(data), "text", data)


def test_close(chance):
    for code in range(0, 5001):
        reason = "".join(chance.choices("aé€𝄞", k=chance.randrange(30)))
        counts["close payloads"] += 1
        buffer, found = ctypes.create_string_buffer(125), c_int32(77)
        size = apus.apus_close_encode(code, reason.encode(), len(reason.encode()), buffer, 125)
        payload = code.to_bytes(2, "big") + reason.encode()
        try:
            theirs = Close.parse(payload)
        except ProtocolError:
            theirs = None
        valid = theirs is not None
        check(apus.apus_close_is_valid(code) == valid, "code", code)
        check(apus.apus_close_decode(payload, len(payload), byref(found)) == (0 if valid else 1002),
              "close", payload)
        if valid:
            check(buffer.raw[:size] == Close(code, reason).serialize() == payload, "close", code)
            check(found.value == code, "code", code, found.value)
        else:
            check(found.value == 77 and (size < 0 or code == 0 == len(reason)), "close", code)


# ---- handshakes -----------------------------------------------------------------

def test_handshakes(chance):
    """A client and a server of the peer's, each with the other half done by Apus."""
    for _ in range(200):
        counts["handshakes"] += 1
        names = chance.sample(["chat", "superchat", "v1.x", "graphql-ws"], chance.randrange(5))
        # Their client.
        client = ClientProtocol(parse_uri("ws://example.com/chat"), subprotocols=names or None)
        client.send_request(client.connect())
        data = b"".join(client.data_to_send())
        request = apus.apus_request_parse(data, len(data), None)
        check(request and apus.apus_handshake_check(request) == 0, "request", data)
        check(apus.apus_handshake_protocol_count(request) == len(names), "subprotocols", names)
        name = ctypes.create_string_buffer(32)
        for index, due in enumerate(names):
            apus.apus_handshake_protocol_at(request, index, name, 32)
            check(name.value.decode() == due, "subprotocol", due)
        key, accept = apus.apus_handshake_key(request), ctypes.create_string_buffer(29)
        check(apus.apus_handshake_accept(key, accept, 29) == 28, "accept", key)
        check(accept.value.decode() == accept_key(key.decode()), "accept", key)
        chosen = b"Sec-WebSocket-Protocol: " + name.value + b"\r\n" if names else b""
        client.receive_data(b"HTTP/1.1 101 \r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                            b"Sec-WebSocket-Accept: " + accept.value + b"\r\n" + chosen + b"\r\n")
        check(client.handshake_exc is None and client.state.name == "OPEN", "their client")
        check(client.subprotocol == (names[-1] if names else None), "their choice")
        apus.apus_request_destroy(request)
        # Their server.
        key = ctypes.create_string_buffer(25)
        check(apus.apus_handshake_make_key(key, 25) == 24, "key")
        offer = b"Sec-WebSocket-Protocol: " + ", ".join(names).encode() + b"\r\n" if names else b""
        server = ServerProtocol(subprotocols=names[-1:] or None)
        server.receive_data(b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
                            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                            b"Sec-WebSocket-Key: " + key.value + b"\r\n" + offer + b"\r\n")
        asked = server.events_received()
        check(len(asked) == 1 and isinstance(asked[0], Request), "their server")
        server.send_response(server.accept(asked[0]))
        server.send_text(b"Hello")
        data = b"".join(server.data_to_send())
        index = c_int32(77)
        size = apus.apus_handshake_check_response(data, len(data), key.value,
                                                  ",".join(names).encode(), byref(index))
        check(size == data.index(b"\r\n\r\n") + 4, "response", data)
        check(index.value == len(names) - 1, "chosen", names, index.value)
        header, payload = decode(data[size:])
        check(header.opcode == 1 and payload == b"Hello", "the frame behind it")
        other = ctypes.create_string_buffer(25)
        apus.apus_handshake_make_key(other, 25)
        check(apus.apus_handshake_check_response(data, len(data), other.value, None, None) < 0,
              "another key")


def main():
    seed = int(os.environ.get("APUS_SEED") or random.randrange(1 << 32))
    print(f"seed {seed}", flush=True)
    chance = random.Random(seed)
    test_frames(chance)
    test_wrong_starts()
    test_texts(chance)
    test_close(chance)
    test_handshakes(chance)
    check(apus.apus_live_count(0) == 0, "handles are left")
    print("codec_peers_test:", ", ".join(f"{count} {what}" for what, count in counts.items()),
          "agree")
    return 0


if __name__ == "__main__":
    sys.exit(main())
