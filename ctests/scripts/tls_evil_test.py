#!/usr/bin/env python3
"""TLS against those who break its rules, and against what must not be trusted.

The server: requests without TLS, old versions, renegotiation, a handshake of a byte a
second, early data, garbage, records that are cut. The client: certificates that are
expired, not valid yet, self-signed, of an unknown issuer, for another host, named in CN
alone, with a partial wildcard or a NUL in the name, without their intermediate, weak,
revoked, or with another key than the one that was pinned: each has its code, and the
server, which counts, sees no byte of a request. And bodies that end without notice."""
# ctest: nosanitize timeout=300
import os
import pty
import select
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from apus_fetch import Client, Fetch, apus, call, declare_more
from certificates import Authority, pin
from common import check, check_in, report
from tls_servers import REPLY, Counting, TLSServer, Tunnel

declare_more("""
client_add_ca_file i hs, client_add_ca_memory i hpz, client_set_verify i hii, client_add_pin i hss
client_set_crl_file i hs, client_set_tls_versions i hii
""")
MODES = ("worker", "tick", "threadless")
REFUSED, IDLE, ERRORS = 8, 13, 16  # counters
E_CLOSED, E_TLS, CERTIFICATE = -8, -19, -20
EXPIRED, NOT_YET, SELF_SIGNED, UNKNOWN, HOST, REVOKED, WEAK, PIN = range(-21, -29, -1)


# ---- the server -----------------------------------------------------------------

def say(port, data, more=b""):
    """What a server answers to bytes, up to its end."""
    with socket.create_connection(("127.0.0.1", port), 10) as peer:
        peer.sendall(data)
        if more:
            peer.sendall(more)
        got = b""
        try:
            while piece := peer.recv(4096):
                got += piece
        except ConnectionResetError:
            got += b"<reset>"
        return got


def context(ca, least=None, most=None):
    made = ssl.create_default_context(cafile=ca)
    if most is not None:
        made.set_ciphers("ALL:@SECLEVEL=0")
        made.minimum_version, made.maximum_version = least, most
    return made


def refuses(port, made, word):
    try:
        with socket.create_connection(("127.0.0.1", port), 10) as peer:
            with made.wrap_socket(peer, server_hostname="localhost") as secure:
                secure.recv(1)
        check(f"{word}: refused", True, False)
    except (ssl.SSLError, OSError):
        check(f"{word}: refused", True, True)


def still_serves(server, ca, what):
    with socket.create_connection(("127.0.0.1", server.port), 10) as peer:
        with context(ca).wrap_socket(peer, server_hostname="localhost") as secure:
            secure.sendall(b"GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            got = b""
            while piece := secure.recv(4096):
                got += piece
            check(f"{what}: it serves on", True, got.endswith(b"hello"))


def test_server(ca):
    chain, key = ca.make("server")
    with TLSServer(f"add,-,{chain},{key}", "header_timeout,1000") as server:
        for request in (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                        b"PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n", b"POST / HTTP/1.0\r\n\r\n"):
            got = say(server.port, request)
            check(f"plain {request[:4]}", b"HTTP/1.1 400 ", got[:13])
            check_in("the reason", b"https", got)
            check_in("the end", b"Connection: close", got)
        for least in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
            refuses(server.port, context(ca.certificate, least, least), str(least))
        for garbage in (b"\x16\x03\x01\x00\x00", b"\x80\x2e\x01\x00\x02" + 41 * b"a",
                        b"\x16\x03\x01\xff\xff" + 4096 * b"\x00", bytes(range(256)), b"\x15" * 99,
                        b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00" + 300 * b"\x16"):
            got = say(server.port, garbage)
            check(f"garbage {garbage[:6]}: an alert, a reset or nothing", True,
                  got[:1] in (b"\x15", b"<", b""))
        # A hello that comes by one byte, and stops: cut after the time of a head.
        hello, (before, _) = client_hello(), server.tell(f"counter {REFUSED}")
        with socket.create_connection(("127.0.0.1", server.port), 30) as peer:
            for index in range(20):
                peer.sendall(hello[index:index + 1])
            try:
                check("a slow handshake ends", b"", peer.recv(100))
            except ConnectionResetError:
                check("a slow handshake ends", True, True)
        check("which is counted as too late", (before + 1, 0),
              tuple(server.tell(f"counter {number}")[0] for number in (REFUSED, IDLE)))
        # In pieces, but whole: fine.
        with socket.create_connection(("127.0.0.1", server.port), 10) as peer:
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for index in range(len(hello)):
                peer.sendall(hello[index:index + 1])
            check("a hello in bytes is answered", b"\x16", peer.recv(1))
        renegotiation(server.port)
        early_data(server.port)
        still_serves(server, ca.certificate, "after all that")
    test_silence(ca, f"add,-,{chain},{key}")


def test_silence(ca, certificate):
    """One that says nothing has the time of any connection; one that is reset is no error."""
    with TLSServer(certificate, "header_timeout,0", "keep_alive_timeout,300") as server:
        with socket.create_connection(("127.0.0.1", server.port), 30) as peer:
            with context(ca.certificate).wrap_socket(peer, server_hostname="localhost") as secure:
                check("silence behind a handshake ends", b"", secure.recv(1))
        check("as idle", 1, server.tell(f"counter {IDLE}")[0])
        for _ in range(20):
            peer = socket.create_connection(("127.0.0.1", server.port), 30)
            secure = context(ca.certificate).wrap_socket(peer, server_hostname="localhost")
            secure.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            secure.close()
        still_serves(server, ca.certificate, "after resets")
        check("resets are no errors", 0, server.tell(f"counter {ERRORS}")[0])


def client_hello():
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    made = ssl.create_default_context()
    peer = made.wrap_bio(incoming, outgoing, server_hostname="localhost")
    try:
        peer.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def s_client(port, *words, data=b""):
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "localhost",
         *words], input=data, capture_output=True, timeout=60)
    return done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")


def renegotiation(port):
    got = s_client(port, "-tls1_2", data=b"R\nGET /hello HTTP/1.1\r\n")
    check_in("renegotiation is asked for", "RENEGOTIATING", got)
    check_in("renegotiation is refused", "no renegotiation", got)
    check_in("no compression", "Compression: NONE", got)


def early_data(port):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "session")
        head = b"GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        s_client(port, "-tls1_3", "-sess_out", path, "-ign_eof", data=head)
        if not os.path.exists(path):
            return check("a session is given", True, False)
        text = subprocess.run(["openssl", "sess_id", "-in", path, "-noout", "-text"],
                              capture_output=True).stdout.decode()
        check_in("no early data is offered", "Max Early Data: 0", text)


# ---- the client ------------------------------------------------------------------

def attempt(mode, url, setup, proxy=None):
    client = Client(mode)
    try:
        setup(client.handle)
        if proxy:
            call("client_set_proxy", client.handle, proxy)
        fetch = Fetch(client, "GET", url)
        try:
            return fetch.send()
        finally:
            fetch.end()
    finally:
        client.end()


def refused(what, ca, pair, code, word, host="localhost", setup=None, proxy=None):
    """The code and the sentence, in each dispatch; and not a byte of the request."""
    with Counting(*pair) as server:
        for mode in MODES:
            def prepare(handle):
                call("client_add_ca_file", handle, ca.certificate)
                if setup:
                    setup(handle)
            way = None
            if proxy:
                way = Tunnel(server.port)
            try:
                outcome = attempt(mode, f"https://{host}:{server.port}/secret", prepare,
                                  f"http://127.0.0.1:{way.port}" if way else None)
            finally:
                if way:
                    way.stop()
            check(f"{what} ({mode}): {outcome.message}", code, outcome.code)
            check_in(f"{what} ({mode}), the sentence", word, outcome.message)
            check_in(f"{what} ({mode}), the advice", ";", outcome.message)
        check(f"{what}: connections that came", True, server.connections >= len(MODES))
        check(f"{what}: bytes of requests", 0, server.count())


def accepted(what, ca, pair, setup=None, host="localhost", proxy=False, reply=REPLY):
    with Counting(*pair, reply) as server:
        for mode in MODES:
            def prepare(handle):
                call("client_add_ca_file", handle, ca.certificate)
                if setup:
                    setup(handle)
            way = Tunnel(server.port) if proxy else None
            try:
                outcome = attempt(mode, f"https://{host}:{server.port}/", prepare,
                                  f"http://127.0.0.1:{way.port}" if way else None)
            finally:
                if way:
                    way.stop()
            check(f"{what} ({mode}): {outcome.message}", (0, 200), (outcome.code, outcome.status))


def name_with_nul():
    name = b"localhost\x00.evil.test"
    inner = b"\x82" + bytes([len(name)]) + name
    der = b"\x30" + bytes([len(inner)]) + inner
    return "subjectAltName=DER:" + ":".join(f"{byte:02x}" for byte in der) + "\n"


def read(path):
    with open(path) as file:
        return file.read()


def test_terminal():
    """A certificate in a block that is encrypted: nobody is asked for its password."""
    block = ("-----BEGIN CERTIFICATE-----\nProc-Type: 4,ENCRYPTED\n"
             "DEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF\n\n"
             "AAAAAAAAAAAAAAAAAAAAAA==\n-----END CERTIFICATE-----\n").encode()
    child, terminal = pty.fork()
    if child == 0:
        client = apus.apus_client_make()
        os._exit(0 if apus.apus_client_add_ca_memory(client, block, len(block)) == E_TLS else 1)
    said = b""
    while select.select([terminal], [], [], 20)[0]:
        try:
            said += os.read(terminal, 1000)
        except OSError:
            break
        if said:
            os.kill(child, signal.SIGKILL)
    os.close(terminal)
    check("what is said on the terminal", b"", said)
    check("an encrypted certificate", 0, os.waitpid(child, 0)[1])


def test_client(folder, ca):
    other = Authority(os.path.join(folder, "other"), "Other CA")
    middle = Authority(os.path.join(folder, "middle"), "Middle CA", above=ca)
    good = ca.make("good")
    accepted("a good one", ca, good)
    accepted("an address", ca, good, host="127.0.0.1")
    accepted("with its intermediate", ca, middle.make("whole"))
    for proxy in (False, True):
        accepted(f"a head in pieces, by a proxy: {proxy}", ca, good, proxy=proxy,
                 reply=[REPLY[:20], REPLY[20:40], REPLY[40:]])
    refused("expired", ca, ca.make("expired", days=("20200101000000Z", "20210101000000Z")),
            EXPIRED, "expired")
    refused("not valid yet", ca, ca.make("early", days=("20480101000000Z", "20490101000000Z")),
            NOT_YET, "not valid yet")
    refused("self-signed", ca, ca.make("alone", alone=True), SELF_SIGNED, "self-signed")
    refused("unknown issuer", ca, other.make("foreign"), UNKNOWN, "Other CA")
    refused("no intermediate", ca, middle.make("short", chain=False), UNKNOWN, "Middle CA")
    refused("wrong host", ca, ca.make("wrong", names="DNS:elsewhere.test"), HOST, "host")
    refused("wrong address", ca, ca.make("named", names="DNS:localhost"), HOST, "host",
            host="127.0.0.1")
    refused("the name in CN alone", ca, ca.make("common", names="", common="localhost"), HOST,
            "host")
    refused("a NUL in the name", ca, ca.make("nul", names="", extra=name_with_nul()), HOST, "host")
    partial = ca.make("partial", names="DNS:w*.apus.test")
    refused("a partial wildcard", ca, partial, HOST, "host", host="www.apus.test", proxy=True)
    whole = ca.make("wild", names="DNS:*.apus.test")
    accepted("a wildcard", ca, whole, host="www.apus.test", proxy=True)
    refused("a wildcard of two labels", ca, whole, HOST, "host", host="a.b.apus.test", proxy=True)
    refused("a wildcard and no label", ca, whole, HOST, "host", host="apus.test", proxy=True)
    refused("a small key", ca, ca.make("small", kind="1024"), WEAK, "weak")
    refused("an old digest", ca, ca.make("sha1", digest="sha1"), WEAK, "weak")
    gone = ca.make("gone")
    crl = ca.revoke(gone[0])
    refused("revoked", ca, gone, REVOKED, "revoked",
            setup=lambda handle: call("client_set_crl_file", handle, crl))
    accepted("not revoked", ca, good, lambda handle: call("client_set_crl_file", handle, crl))
    # All of a chain is looked up: the issuer of its issuer must have a list, too.
    below = middle.make("below")
    lower = middle.revoke(middle.make("lost")[0])
    both = ca.write("both.crl", read(crl) + read(lower))
    accepted("none of a chain is revoked", ca, below,
             lambda handle: call("client_set_crl_file", handle, both))
    refused("no list of the root's", ca, below, CERTIFICATE, "add a list of its issuer's",
            setup=lambda handle: call("client_set_crl_file", handle, lower))
    ca.write("both.crl", read(ca.revoke(middle.certificate)) + read(lower))
    refused("the issuer is revoked", ca, below, REVOKED, "revoked",
            setup=lambda handle: call("client_set_crl_file", handle, both))
    refused("another key", ca, good, PIN, "sha256//",
            setup=lambda handle: call("client_add_pin", handle, "localhost", pin(gone[0])))
    accepted("the pinned key", ca, good,
             lambda handle: call("client_add_pin", handle, "localhost", pin(good[0])))
    # What is not verified is not, and what is, is.
    wrong = ca.make("both", names="DNS:elsewhere.test")
    accepted("the host is not verified", ca, wrong,
             lambda handle: call("client_set_verify", handle, 1, 0))
    refused("the host alone is", ca, wrong, HOST, "host",
            setup=lambda handle: call("client_set_verify", handle, 0, 1))
    foreign = other.make("theirs")
    accepted("the chain is not verified", ca, foreign,
             lambda handle: call("client_set_verify", handle, 0, 1))
    refused("the chain alone is", ca, foreign, UNKNOWN, "issuer",
            setup=lambda handle: call("client_set_verify", handle, 1, 0))
    test_system(good)
    test_ends(ca, good)


def test_system(pair):
    """The system's store knows nothing of the test's CA."""
    with Counting(*pair) as server:
        outcome = attempt("worker", f"https://localhost:{server.port}/", lambda handle: None)
        check(f"the system's store: {outcome.message}", UNKNOWN, outcome.code)
        check("bytes of requests", 0, server.count())


def test_ends(ca, pair):
    """RFC 8446 section 6.1: an end without notice may be a cut."""
    def trust(handle):
        call("client_add_ca_file", handle, ca.certificate)
    head = b"HTTP/1.1 200 OK\r\n\r\nthe body"
    for mode in MODES:
        for notice, code in ((True, 0), (False, E_CLOSED)):
            with Counting(*pair, reply=head, notice=notice) as server:
                outcome = attempt(mode, f"https://localhost:{server.port}/", trust)
                check(f"notice {notice} ({mode}): {outcome.message}", code, outcome.code)
        whole = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nthe body"
        with Counting(*pair, reply=whole, notice=False) as server:
            outcome = attempt(mode, f"https://localhost:{server.port}/", trust)
            check(f"a length needs no notice ({mode})", (0, b"the body"),
                  (outcome.code, outcome.body))
        for junk in (b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x16\x03\x03\x00\x02\x00\x00", b""):
            with Counting(*pair, junk=junk) as server:
                outcome = attempt(mode, f"https://localhost:{server.port}/", trust)
                # What is not read may make its end a reset.
                check_in(f"no TLS there: {junk[:8]} ({mode}): {outcome.message}", outcome.code,
                         (E_TLS, E_CLOSED) if junk else (E_CLOSED,))
    # A server of old.
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with Counting(*pair, context=old) as server:
        outcome = attempt("worker", f"https://localhost:{server.port}/", trust)
        check(f"TLS 1.1: {outcome.message}", E_TLS, outcome.code)
        check("bytes of requests", 0, server.count())


def main():
    with tempfile.TemporaryDirectory() as folder:
        ca = Authority(os.path.join(folder, "ca"))
        test_server(ca)
        test_terminal()
        test_client(folder, ca)
    check("handles left", 0, apus.apus_live_count(0))
    return report("tls_evil_test")


sys.exit(main())
