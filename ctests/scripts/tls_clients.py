"""The client's side of tls_peers_test: https and wss with servers of other makes."""
import ctypes
import os
import select
import shutil
import socket
import ssl
import subprocess
import threading
import time

from apus_fetch import Client, Fetch, apus, call, declare_more
from certificates import openssl
from common import Loop, check, check_in, skipped
from tls_servers import Counting, Threads, TLSServer, Tunnel

try:
    import websockets
    from websockets.asyncio.server import serve
except ImportError:
    websockets = None
    skipped.append("websockets")
try:
    import aiohttp
    from aiohttp import web
except ImportError:
    aiohttp = None
    skipped.append("aiohttp")

declare_more("""
client_add_ca_file i hs, client_add_ca_memory i hsz, client_add_ca_directory i hs
client_trust_system i hi, client_set_verify i hii, client_add_pin i hss
client_set_certificate i hss, client_set_certificate_memory i hszsz
client_set_tls_versions i hii, client_set_hsts i hi, client_set_tls_password i hppp
channel_make h h, channel_destroy i h, channel_open i hs, channel_wait_open i hi
channel_send_text i hsz, channel_recv i hpi, channel_state i h
""")
MODES = ("worker", "tick", "threadless")


class Message(ctypes.Structure):
    _fields_ = [("opcode", ctypes.c_int32), ("final", ctypes.c_int32), ("data", ctypes.c_void_p),
                ("length", ctypes.c_size_t), ("reserved", ctypes.c_uint64 * 4)]


def ask(client, url, method="GET", **options):
    fetch = Fetch(client, method, url, **options)
    try:
        return fetch.send()
    finally:
        fetch.end()


def trusting(mode, ca):
    client = Client(mode)
    call("client_add_ca_file", client.handle, ca.certificate)
    return client


def facts_of(outcome):
    return dict(line.split("=", 1) for line in outcome.body.decode().splitlines() if "=" in line)


# ---- own server: what the client says of itself ------------------------------------

PASSWORD = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p,
                            ctypes.c_size_t)


def locked_certificate(client, pair):
    """Gives a client a certificate and a key in PEM that is encrypted; for what names the
    password was asked."""
    asked = []

    @PASSWORD
    def password(_, name, buffer, capacity):
        asked.append(name)
        ctypes.memmove(buffer, b"secret", 6)
        return 6

    with open(pair[0], "rb") as file:
        chain = file.read()
    openssl("pkcs8", "-topk8", "-in", pair[1], "-out", pair[1] + ".locked", "-passout",
            "pass:secret")
    with open(pair[1] + ".locked", "rb") as file:
        key = file.read()
    check("without a password", -19, apus.apus_client_set_certificate_memory(
        client.handle, chain, len(chain), key, len(key)))
    call("client_set_tls_password", client.handle, password, None, None)
    call("client_set_certificate_memory", client.handle, chain, len(chain), key, len(key))
    call("client_set_tls_password", client.handle, None, None, None)
    return asked


def test_own(mode, ca):
    pair, mine = ca.make("own" + mode), ca.make("client" + mode, common="the client")
    settings = (f"clients,1,{ca.certificate}", f"add,-,{','.join(pair)}")
    with TLSServer(*settings) as server:
        client = trusting(mode, ca)
        facts = facts_of(ask(client, server.url + "/facts"))
        check(f"{mode}: a first connection", ("TLSv1.3", "localhost", "http/1.1", "0", "-"), tuple(
            facts[each] for each in ("version", "name", "alpn", "resumed", "subject")))
        client.set(keep_alive=0)
        ask(client, server.url + "/facts")
        facts = facts_of(ask(client, server.url + "/facts"))
        check(f"{mode}: resumed", "1", facts["resumed"])
        again = [facts_of(ask(client, server.url + "/facts"))["resumed"] for _ in range(8)]
        check(f"{mode}: again and again", ["1"] * 8, again)
        call("client_set_tls_versions", client.handle, 12, 12)
        ask(client, server.url + "/facts")
        facts = facts_of(ask(client, server.url + "/facts"))
        check(f"{mode}: TLS 1.2", ("TLSv1.2", "1"), (facts["version"], facts["resumed"]))
        call("client_set_tls_versions", client.handle, 12, 13)
        call("client_set_certificate", client.handle, *mine)
        facts = facts_of(ask(client, server.url + "/facts"))
        check(f"{mode}: its certificate", ("CN=the client", "1", "0"), tuple(
            facts[each] for each in ("subject", "verified", "resumed")))
        other = trusting(mode, ca)
        asked = locked_certificate(other, mine)
        facts = facts_of(ask(other, server.url + "/facts"))
        check(f"{mode}: a certificate from memory, its key with a password",
              ("CN=the client", "1", [b""]), (facts["subject"], facts["verified"], asked))
        other.end()
        facts = facts_of(ask(client, f"https://127.0.0.1:{server.port}/facts"))
        check(f"{mode}: an address is no name", "", facts["name"])
        whole = ask(client, server.url + "/big")
        check(f"{mode}: ten megabytes", (0, 10 << 20), (whole.code, len(whole.body)))
        data = os.urandom(2 << 20)
        outcome = ask(client, server.url + "/echo", "POST", body=data)
        check(f"{mode}: two megabytes there and back", True, outcome.body == data)
        check(f"{mode}: times", True, outcome.code == 0)
        client.end()


def test_strict(ca):
    """RFC 6797: once a host has said so, http is https; on request alone."""
    with TLSServer(f"add,-,{','.join(ca.make('strict'))}") as server:
        plain = f"http://localhost:{server.port}/facts"
        for remembers in (0, 1):
            client = trusting("worker", ca)
            call("client_set_hsts", client.handle, remembers)
            check("before: a plain request", 400, ask(client, plain).status)
            check("the field", b"strict", ask(client, server.url + "/strict").body)
            outcome = ask(client, plain)
            check(f"remembered: {remembers}", 200 if remembers else 400, outcome.status)
            if remembers:
                check("its URL", server.url + "/facts", outcome.url)
            channel = call("channel_make", client.handle)
            call("channel_open", channel, f"ws://localhost:{server.port}/ws")
            check("ws is wss", bool(remembers),
                  apus.apus_channel_wait_open(channel, 30_000) == 1)
            apus.apus_channel_destroy(channel)
            if remembers:
                call("client_set_hsts", client.handle, 0)
                check("forgotten", 400, ask(client, plain).status)
            client.end()


def test_trust(ca, folder):
    pair = ca.make("trusted")
    with Counting(*pair) as server:
        url = f"https://localhost:{server.port}/"
        with open(ca.certificate, "rb") as file:
            pem = file.read()
        hashed = os.path.join(folder, "hashed")
        os.makedirs(hashed)
        shutil.copy(ca.certificate, hashed + "/ca.crt")
        openssl("rehash", hashed)
        for what, name, *given in (("memory", "add_ca_memory", pem, len(pem)),
                                   ("a folder", "add_ca_directory", hashed),
                                   ("a file", "add_ca_file", ca.certificate),
                                   ("nobody", "set_verify", 0, 0)):
            client = Client("worker")
            call("client_" + name, client.handle, *given)
            outcome = ask(client, url)
            check(f"trust in {what}: {outcome.message}", (0, b"ok"), (outcome.code, outcome.body))
            client.end()
        # The system's store is no variable of the environment.
        os.environ["SSL_CERT_FILE"] = ca.certificate
        for trusts in (0, 1):
            client = Client("worker")
            call("client_trust_system", client.handle, trusts)
            check(f"trust in the system: {trusts}", -24, ask(client, url).code)
            client.end()
        del os.environ["SSL_CERT_FILE"]
        client = Client("worker")
        check("no PEM", -19, apus.apus_client_add_ca_memory(client.handle, b"nonsense", 8))
        check("no file", -12, apus.apus_client_add_ca_file(client.handle, b"/no/such"))
        check("no folder", -12, apus.apus_client_add_ca_directory(client.handle, b"/no/such"))
        check("no pin", -2, apus.apus_client_add_pin(client.handle, b"a", b"sha256//abc"))
        check("another's key", -19, apus.apus_client_set_certificate(
            client.handle, pair[0].encode(), ca.path("ca.key").encode()))
        client.end()


# ---- proxies -----------------------------------------------------------------------

class Socks(Threads):
    """SOCKS 5 to whatever host ends at one port."""

    def __init__(self, target):
        self.target = target
        super().__init__()

    def serve(self, peer):
        peer.recv(3)
        peer.sendall(b"\x05\x00")
        peer.recv(300)

        with socket.create_connection(("127.0.0.1", self.target), 30) as other:
            peer.sendall(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50")
            back = threading.Thread(target=Tunnel.copy, args=(other, peer))
            back.start()
            Tunnel.copy(peer, other)
            back.join()


def test_proxies(mode, ca):
    pair = ca.make("proxied" + mode, names="DNS:far.test")
    with TLSServer(f"add,-,{','.join(pair)}") as server:
        for kind, scheme in ((Tunnel, "http"), (Socks, "socks5h")):
            with kind(server.port) as proxy:
                client = trusting(mode, ca)
                call("client_set_proxy", client.handle, f"{scheme}://127.0.0.1:{proxy.port}")
                facts = facts_of(ask(client, "https://far.test/facts"))
                check(f"{mode}: through {scheme}", ("far.test", "https"),
                      (facts.get("name"), facts.get("scheme")))
                wrong = ask(client, "https://near.test/facts")
                check(f"{mode}: another name through {scheme}: {wrong.message}", -25, wrong.code)
                client.end()


# ---- servers of other makes ----------------------------------------------------------

NGINX = """
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
worker_processes 1;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen unix:{folder}/socket ssl;
    ssl_certificate {chain};
    ssl_certificate_key {key};
    ssl_client_certificate {ca};
    ssl_verify_client optional;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_tickets on;
    location / {{
      return 200 "$ssl_protocol $ssl_session_reused $ssl_client_s_dn $ssl_server_name";
    }}
  }}
}}
"""


def test_nginx(ca, folder):
    if not shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin"):
        return skipped.append("nginx")
    pair, mine = ca.make("nginx"), ca.make("visitor", common="visitor")
    path = os.path.join(folder, "nginx")
    os.makedirs(path)
    with open(path + "/conf", "w") as file:
        file.write(NGINX.format(folder=path, chain=pair[0], key=pair[1], ca=ca.certificate))
    log = open(path + "/log", "w")
    program = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    process = subprocess.Popen([program, "-c", path + "/conf", "-p", path], stderr=log)
    try:
        client = trusting("worker", ca)
        call("client_set_unix_socket", client.handle, path + "/socket")
        call("client_set_certificate", client.handle, *mine)
        client.set(keep_alive=0)
        outcome = ask(client, "https://localhost/", retries=(50, 100))
        check_in(f"nginx: {outcome.message}", b"TLSv1.3 . CN=visitor localhost", outcome.body)
        ask(client, "https://localhost/")
        outcome = ask(client, "https://localhost/")
        check_in("nginx: resumed", b"TLSv1.3 r ", outcome.body)
        wrong = ask(client, "https://elsewhere.test/")
        check(f"nginx: another name: {wrong.message}", -25, wrong.code)
        client.end()
    finally:
        process.terminate()
        process.wait(30)
        log.close()


def test_s_server(ca):
    pair = ca.make("s_server")
    for word in ("-tls1_2", "-tls1_3"):
        process = subprocess.Popen(
            ["openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", pair[0], "-key", pair[1],
             "-www", word], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        line = b""
        while b"ACCEPT" not in line:
            line = process.stdout.readline()
            if not line:
                break
        port = int(line.rsplit(b":", 1)[1])
        client = trusting("threadless", ca)
        outcome = ask(client, f"https://localhost:{port}/")
        check(f"s_server {word}: {outcome.message}", 200, outcome.status)
        check_in("its page", b"Cipher", outcome.body)
        client.end()
        process.kill()
        process.communicate()


def records(data):
    """The whole records of TLS at the start, each with its header."""
    found, index = [], 0
    while index + 5 <= len(data):
        end = index + 5 + int.from_bytes(data[index + 3:index + 5], "big")
        if end > len(data):
            break
        found.append(data[index:end])
        index = end
    return found


class HalfTicket(Threads):
    """A way to a server, on which the rest of what it says behind the handshake comes only
    when the client has had nothing more to say for a while."""

    def __init__(self, port, between):
        self.to, self.parts, self.between = port, 0, between
        super().__init__()

    def serve(self, peer):
        with socket.create_connection(("127.0.0.1", self.to), 30) as server:
            # Until the client's part of the handshake, which a ChangeCipherSpec begins.
            said, answer = b"", b""
            while not any(each[0] == 20 for each in records(said)):
                for ready in select.select([peer, server], [], [])[0]:
                    data = ready.recv(65536)
                    (server if ready is peer else peer).sendall(data)
                    said += data if ready is peer else b""
            while self.parts < 2:
                ready = select.select([peer, server], [], [])[0]
                if server in ready:
                    answer += server.recv(65536)
                    self.parts = len(records(answer))
                elif peer in ready:
                    server.sendall(peer.recv(512))
            first = len(records(answer)[0])
            peer.sendall(answer[:first])
            while select.select([peer], [], [], 0.3)[0]:
                server.sendall(peer.recv(65536))
            self.between()
            peer.sendall(answer[first:])
            while True:
                for ready in select.select([peer, server], [], [])[0]:
                    data = ready.recv(65536)
                    if not data:
                        return
                    (server if ready is peer else peer).sendall(data)


def test_half_ticket(mode, ca, pauses=False):
    """A ticket in several records (RFC 8446 §5.1): with the client's certificate in it, it is
    longer than one may be here. Between them nothing can be encrypted."""
    name = f"half{mode}{pauses}"
    pair, mine = ca.make(name), ca.make("of" + name, common="the client")
    process = subprocess.Popen(
        ["openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", pair[0], "-key", pair[1],
         "-CAfile", ca.certificate, "-Verify", "1", "-tls1_3", "-max_send_frag", "512",
         "-num_tickets", "1", "-naccept", "1"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    line = b""
    while b"ACCEPT" not in line:
        line = process.stdout.readline()
    body = b"x" * (32 << 20) + b"\nthe end\n"
    whole = threading.Event()

    def answer():
        tail = b""
        while b"\nthe end\n" not in tail:
            data = process.stdout.read1(65536)
            if not data:
                return
            tail = tail[-16:] + data
        whole.set()
        process.stdin.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        process.stdin.flush()
    thread = threading.Thread(target=answer)
    thread.start()
    client, fetch = trusting(mode, ca), None
    call("client_set_certificate", client.handle, *mine)

    def between():
        """Nor need anything be read for it."""
        if pauses:
            call("fetch_pause", fetch.handle)
            time.sleep(0.2)  # until its loop has seen that

    with HalfTicket(int(line.rsplit(b":", 1)[1]), between) as way:
        fetch = Fetch(client, "POST", f"https://localhost:{way.port}/", body=body)
        if pauses:
            fetch.tell()
            check("half a ticket, paused: the body", True, whole.wait(60))
            call("fetch_resume", fetch.handle)
        outcome = fetch.finish() if pauses else fetch.send()
        fetch.end()
        check(f"half a ticket ({mode}): {outcome.message}", b"ok", outcome.body)
        check("records of the ticket", True, way.parts > 1)
        client.end()
        process.kill()
        thread.join()
        process.communicate()


def server_context(pair):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(*pair)
    return made


def test_aiohttp(ca, loop):
    if aiohttp is None:
        return

    async def start():
        async def hello(request):
            return web.Response(text=f"hello {request.scheme}")

        async def streamed(request):
            response = web.StreamResponse()
            await response.prepare(request)
            for _ in range(64):
                await response.write(b"x" * 4096)
            return response
        app = web.Application()
        app.add_routes([web.get("/", hello), web.get("/streamed", streamed)])
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server_context(ca.make("aiohttp")))
        await site.start()
        return runner, runner.addresses[0][1]

    runner, port = loop.run(start())
    for mode in MODES:
        client = trusting(mode, ca)
        outcome = ask(client, f"https://localhost:{port}/")
        check(f"aiohttp ({mode}): {outcome.message}", b"hello https", outcome.body)
        outcome = ask(client, f"https://localhost:{port}/streamed")
        check(f"aiohttp, in pieces ({mode}): {outcome.message}", 64 * 4096, len(outcome.body))
        client.end()
    loop.run(runner.cleanup())


# ---- wss -------------------------------------------------------------------------------

def echo_once(mode, client, url, text, due=0):
    channel = call("channel_make", client.handle)
    try:
        call("channel_open", channel, url)
        opened = apus.apus_channel_wait_open(channel, 30_000)
        check(f"wss ({mode}) {url}: {apus.apus_last_error_message()}", due or 1, opened)
        if due:
            check_in("what is wrong", b"Test CA", apus.apus_last_error_message())
        if opened != 1:
            return
        call("channel_send_text", channel, text, len(text))
        message = Message()
        check(f"wss ({mode}): an answer", 1,
              apus.apus_channel_recv(channel, ctypes.byref(message), 30_000))
        check(f"wss ({mode}): its bytes", True,
              ctypes.string_at(message.data, message.length) == text)
    finally:
        apus.apus_channel_destroy(channel)


def test_wss(ca, loop):
    if websockets is None:
        return
    pair = ca.make("wss")

    async def start():
        async def echo(peer):
            async for message in peer:
                await peer.send(message)
        server = await serve(echo, "127.0.0.1", 0, ssl=server_context(pair), max_size=None)
        return server, server.sockets[0].getsockname()[1]

    async def visit(port, text):
        made = ssl.create_default_context(cafile=ca.certificate)
        async with websockets.connect(f"wss://localhost:{port}/ws", ssl=made,
                                      max_size=None) as peer:
            await peer.send(text)
            return await peer.recv()

    server, port = loop.run(start())
    for mode in ("worker", "threadless"):
        client = trusting(mode, ca)
        for text in (b"hello", b"long " * 60_000):
            echo_once(mode, client, f"wss://localhost:{port}/", text)
        client.end()
        client = Client(mode)
        echo_once(mode, client, f"wss://localhost:{port}/", b"no", due=-24)
        client.end()
    with TLSServer(f"add,-,{','.join(pair)}") as own:
        for text in ("hello", "long " * 60_000):
            check("the server with websockets", True, loop.run(visit(own.port, text)) == text)
        client = trusting("worker", ca)
        echo_once("worker", client, f"wss://localhost:{own.port}/ws", b"both ends")
        client.end()
    server.close()


def test_clients(ca, folder):
    for mode in MODES:
        test_own(mode, ca)
        test_proxies(mode, ca)
        test_half_ticket(mode, ca)
    test_half_ticket("worker", ca, pauses=True)
    test_trust(ca, folder)
    test_strict(ca)
    test_nginx(ca, folder)
    test_s_server(ca)
    loop = Loop()
    try:
        test_aiohttp(ca, loop)
        test_wss(ca, loop)
    finally:
        loop.stop()
