"""Peers for the tests of TLS: the program tls_server with its commands, a server of
Python's that counts the bytes of requests, and a proxy that leads all hosts to one port."""
import os
import socket
import ssl
import subprocess
import threading
import time


class TLSServer:
    """The program; its commands are those of src/helpers/tls_server.c."""

    def __init__(self, *settings):
        path = os.path.join(os.environ["APUS_BIN"], "tls_server")
        self.process = subprocess.Popen([path, *settings, "0"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.first = self.process.stdout.readline().strip()
        self.port = int(self.first.rsplit(":", 1)[1]) if "https://" in self.first else 0
        self.url = f"https://localhost:{self.port}"

    def tell(self, line):
        """A command; the code and the sentence."""
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        code, _, sentence = self.process.stdout.readline().strip().partition(" ")
        return int(code), sentence

    def stop(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                return self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.status = self.stop()
        if self.status not in (0, 1):
            raise RuntimeError(f"tls_server ended with {self.status}")


class Threads:
    """Accepts, each connection on a thread, until it is stopped."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.threads, self.connections, self.is_over = [], 0, False
        self.acceptor = threading.Thread(target=self.accept)
        self.acceptor.start()

    def accept(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            if self.is_over:
                return peer.close()
            self.connections += 1
            thread = threading.Thread(target=self.run, args=(peer,))
            self.threads.append(thread)
            thread.start()

    def run(self, peer):
        peer.settimeout(30)
        try:
            self.serve(peer)
        except OSError:
            pass
        finally:
            peer.close()

    def settle(self):
        """Waits for the connections that came."""
        for thread in list(self.threads):
            thread.join(60)

    def stop(self):
        self.is_over = True
        try:
            socket.create_connection(("127.0.0.1", self.port), 5).close()
        except OSError:
            pass
        self.acceptor.join()
        self.listener.close()
        self.settle()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


class Counting(Threads):
    """HTTPS with a certificate; notice: whether its ends are announced; junk: it says that
    instead of TLS."""

    def __init__(self, chain, key, reply=REPLY, notice=True, junk=None, context=None):
        self.context = context or ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if context is None:
            self.context.set_ciphers("DEFAULT:@SECLEVEL=0")
        self.context.load_cert_chain(chain, key)
        self.reply, self.notice, self.junk, self.bytes = reply, notice, junk, 0
        super().__init__()

    def serve(self, peer):
        if self.junk is not None:
            peer.recv(1)
            peer.sendall(self.junk)
            return
        with self.context.wrap_socket(peer, server_side=True) as secure:
            data = b""
            while b"\r\n\r\n" not in data:
                piece = secure.recv(4096)
                if not piece:
                    break
                self.bytes += len(piece)
                data += piece
            if b"\r\n\r\n" in data:
                # Several come apart most of the time, and may come together.
                for part in [self.reply] if isinstance(self.reply, bytes) else self.reply:
                    secure.sendall(part)
                    if part is not self.reply:
                        time.sleep(0.05)
                if self.notice:
                    secure.unwrap().close()
                else:
                    os.close(secure.detach())

    def count(self):
        self.settle()
        return self.bytes


class Tunnel(Threads):
    """CONNECT to whatever host ends at one port."""

    def __init__(self, target):
        self.target, self.hosts = target, []
        super().__init__()

    def serve(self, peer):
        head = b""
        while b"\r\n\r\n" not in head:
            piece = peer.recv(4096)
            if not piece:
                return
            head += piece
        self.hosts.append(head.split()[1].decode())
        with socket.create_connection(("127.0.0.1", self.target), 30) as other:
            peer.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=self.copy, args=(other, peer))
            back.start()
            self.copy(peer, other)
            back.join()

    @staticmethod
    def copy(source, sink):
        try:
            while piece := source.recv(65536):
                sink.sendall(piece)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass
