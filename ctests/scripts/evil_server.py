"""A server that answers by a script, on a TCP port and a Unix socket, for the tests of
the client: it says what a case has, in one of several ways, and keeps account of what
was asked on which connection."""
import fcntl
import os
import random
import select
import socket
import struct
import threading
import time
import zlib

PATIENCE = 180
SIOCOUTQ = 0x5411
LONG = 4096
# Each case begins on a fresh connection.
GOOD = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\nX-Number: %d\r\n\r\ngood"


def packed(part):
    """{"gzip": parts}, or "deflate" or "raw"; "cut" so many bytes off its end, or "flip"
    the bits of one."""
    kinds = {"gzip": 31, "deflate": 15, "raw": -15}
    kind = next(name for name in kinds if name in part)
    packer = zlib.compressobj(9, zlib.DEFLATED, kinds[kind])
    data = packer.compress(joined(part[kind])) + packer.flush()
    if "flip" in part:
        at = part["flip"] % len(data)
        data = data[:at] + bytes([data[at] ^ 255]) + data[at + 1:]
    return data[:max(0, len(data) - part.get("cut", 0))]


def joined(parts):
    """The bytes of a case: texts, [text, times] and what is to be compressed."""
    pieces = []
    for part in parts:
        if isinstance(part, dict):
            pieces.append(packed(part))
        elif isinstance(part, list):
            pieces.append(part[0].encode("latin-1") * part[1])
        else:
            pieces.append(part.encode("latin-1"))
    return b"".join(pieces)


class Play:
    """What is said to each request for /case: bytes in a way, and what comes behind."""

    def __init__(self, data=b"", way="whole", end="stay", replay=False, act=None, seed=0):
        self.data, self.way, self.end, self.replay, self.act = data, way, end, replay, act
        self.chance = random.Random(seed)

    def pieces(self):
        data = self.data
        if self.way == "whole" or len(data) < 2:
            return [data] if data else []
        if self.way == "two":
            at = self.chance.randrange(1, len(data))
            return [data[:at], data[at:]]
        if len(data) <= LONG:
            return [data[at:at + 1] for at in range(len(data))]
        cuts = sorted(self.chance.sample(range(1, len(data)), 40))
        return [data[a:b] for a, b in zip([0] + cuts, cuts + [len(data)])]


class Connection:
    def __init__(self, number, peer, is_unix):
        self.number, self.peer, self.is_unix = number, peer, is_unix
        self.requests = []
        self.closed = threading.Event()

    def send(self, pieces):
        """On a Unix socket a piece goes once the one before it was read."""
        for piece in pieces:
            self.peer.sendall(piece)
            while self.is_unix and len(pieces) > 1 and self.unread() and not self.readable():
                time.sleep(0)

    def unread(self):
        return struct.unpack("i", fcntl.ioctl(self.peer, SIOCOUTQ, bytes(4)))[0] != 0

    def readable(self):
        return bool(select.select([self.peer], [], [], 0)[0])

    def close(self, reset):
        if reset:
            self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.peer.close()
        self.closed.set()


class EvilServer:
    def __init__(self, folder):
        self.path = os.path.join(folder, "evil.socket")
        self.connections, self.lock = [], threading.Lock()
        self.play, self.is_ended = Play(), False
        tcp = socket.create_server(("127.0.0.1", 0), backlog=64)
        unix = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        unix.bind(self.path)
        unix.listen(64)
        self.listeners = [tcp, unix]
        self.port = tcp.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.threads = [threading.Thread(target=self.accept, args=(each,))
                        for each in self.listeners]
        for thread in self.threads:
            thread.start()

    def accept(self, listener):
        while not self.is_ended:
            peer, _ = listener.accept()
            if self.is_ended:
                peer.close()
                break
            is_unix = listener.family == socket.AF_UNIX
            if not is_unix:
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                connection = Connection(len(self.connections), peer, is_unix)
                self.connections.append(connection)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            self.answer(connection)
        except OSError:
            connection.close(False)

    def answer(self, connection):
        rest = b""
        while True:
            while b"\r\n\r\n" not in rest:
                data = connection.peer.recv(65536)
                if not data:
                    return connection.close(False)
                rest += data
            head, _, rest = rest.partition(b"\r\n\r\n")
            connection.requests.append(head)
            play = self.play
            if b" /case" not in head.split(b"\r\n")[0] or \
                    len(connection.requests) > 1 and not play.replay:
                connection.peer.sendall(GOOD % connection.number)
                return connection.close(False)
            if play.act:
                play.act(connection)
            else:
                connection.send(play.pieces())
            if play.end != "stay":
                return connection.close(play.end == "reset")

    def last(self):
        """The connection that got the latest /case."""
        with self.lock:
            return next((each for each in reversed(self.connections)
                         if each.requests and b" /case" in each.requests[0]), None)

    def end(self):
        self.is_ended = True
        socket.create_connection(("127.0.0.1", self.port)).close()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
            peer.connect(self.path)
        for thread in self.threads:
            thread.join()
        for listener in self.listeners:
            listener.close()
