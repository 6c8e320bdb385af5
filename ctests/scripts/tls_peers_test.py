#!/usr/bin/env python3
"""TLS with peers that nobody here wrote. The server with curl, openssl s_client, Python's
ssl, wrk and the package websockets; the client with nginx, openssl s_server, Python's ssl,
aiohttp and websockets. Names, certificates that are replaced under load, client
certificates, resumption, stapling, proxies."""
# ctest: nosanitize timeout=600
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from apus_fetch import apus
from certificates import Authority, fingerprint, openssl
from common import check, check_in, report, skipped
from tls_clients import test_clients
from tls_servers import TLSServer

REQUESTS = 100_000  # of which none may fail
ALPHABET = bytes(range(ord("a"), ord("a") + 23))
GET = b"GET /facts HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def curl(ca, *words, code=0):
    done = subprocess.run(["curl", "-sS", "--cacert", ca, *words], capture_output=True, timeout=60)
    check(f"curl {words}: {done.stderr.decode()}", code, done.returncode)
    return done.stdout


def facts_of(text):
    text = text.decode() if isinstance(text, bytes) else text
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def s_client(server, *words, name="localhost", data=GET):
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-servername", name,
         "-ign_eof", *words], input=data, capture_output=True, timeout=60)
    return done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")


def test_curl(ca, server):
    for version in ("1.2", "1.3"):
        url = server.url + "/facts"
        facts = facts_of(curl(ca, f"--tlsv{version}", "--tls-max", version, url))
        check(f"TLS {version}", ("https", "TLSv" + version, "localhost", "http/1.1"),
              tuple(facts[each] for each in ("scheme", "version", "name", "alpn")))
        check(f"TLS {version}: no certificate", "-", facts["subject"])
    whole = curl(ca, server.url + "/big")
    check("ten megabytes", True, whole == (ALPHABET * (len(whole) // 23 + 1))[:10 << 20])
    data = os.urandom(3 << 20)
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        check("three megabytes there and back", data,
              curl(ca, "--data-binary", "@" + file.name, server.url + "/echo"))
    both = curl(ca, "-v", "-w", "%{num_connects}", server.url + "/hello", server.url + "/hello")
    check("one connection for both", b"hello1hello0", both)
    curl(ca, "--tlsv1.1", "--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0",
         server.url + "/hello", code=35)
    done = subprocess.run(["curl", "-sS", server.url + "/hello"], capture_output=True)
    check("curl does not know the CA", 60, done.returncode)
    check("an address has no name", "", facts_of(
        curl(ca, f"https://127.0.0.1:{server.port}/facts"))["name"])


def test_s_client(server):
    got = s_client(server, "-alpn", "h2", data=b"")
    check_in("ALPN without HTTP/1.1", "no application protocol", got)
    check_in("ALPN", "ALPN protocol: http/1.1", s_client(server, "-alpn", "h2,http/1.1"))
    check_in("no ALPN", "No ALPN negotiated", s_client(server))
    check_in("its order counts", "Cipher is TLS_AES_128_GCM_SHA256", s_client(
        server, "-ciphersuites", "TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256"))
    for cipher in ("AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA256", "DHE-RSA-AES128-GCM-SHA256"):
        check_in(f"{cipher} is refused", "handshake failure",
                 s_client(server, "-tls1_2", "-cipher", cipher + ":@SECLEVEL=0", data=b""))
    check_in("P-521 is refused", "handshake failure",
             s_client(server, "-groups", "P-521", data=b""))


def test_preference(ca):
    """The client's order of ciphers, where the server is told so."""
    with TLSServer("preference,0", f"add,-,{','.join(ca.make('preference'))}") as server:
        for order in ("TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256",
                      "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384"):
            check_in("the client's order counts", "Cipher is " + order.split(":")[0],
                     s_client(server, "-ciphersuites", order))


def resumes(server, folder, *words, name="localhost", save=None, use=None):
    """Whether a session that was kept is taken up again, by the server's own word."""
    path = os.path.join(folder, "session")
    if use is None:
        s_client(server, *words, "-sess_out", save or path, name=name)
    got = s_client(server, *words, "-sess_in", use or path, name=name)
    return "resumed=1" in got


def test_resumption(ca, folder):
    chain, key = ca.make("resumed", names="DNS:localhost,DNS:other.test")
    settings = (f"add,-,{chain},{key}", f"add,other.test,{chain},{key}")
    path = os.path.join(folder, "session")
    with TLSServer(*settings) as server:
        for word in ("-tls1_2", "-tls1_3"):
            check(f"{word} resumes", True, resumes(server, folder, word))
            check(f"{word} not under another name", False,
                  resumes(server, folder, word, name="other.test", use=path))
            check("a new certificate", 0, server.tell(f"add - {chain} {key}")[0])
            check(f"{word} after it", True, resumes(server, folder, word, use=path))
            s_client(server, word, "-sess_out", path)
            check("keys rotate", 0, server.tell("rotate")[0])
            check(f"{word} with the key before", True, resumes(server, folder, word, use=path))
            for _ in range(3):
                server.tell("rotate")
            check(f"{word} with a key that is gone", False,
                  resumes(server, folder, word, use=path))
    keys = os.path.join(folder, "keys")
    with open(keys, "wb") as file:
        file.write(os.urandom(160))
    with TLSServer(*settings, f"keys,{keys}") as one, TLSServer(*settings, f"keys,{keys}") as two:
        s_client(one, "-sess_out", path)
        check("another server with the same keys", True, resumes(two, folder, use=path))
    # No time changes those, whatever was said of it.
    with TLSServer(f"keys,{keys}", "period,3600", *settings) as one, \
            TLSServer(*settings, f"keys,{keys}") as two:
        s_client(one, "-sess_out", path)
        check("the same keys, and a period", True, resumes(two, folder, use=path))
    with TLSServer(*settings) as two:
        check("another server", False, resumes(two, folder, use=path))
    # Without a client certificate, taken to a server that wants one.
    with TLSServer(*settings, f"keys,{keys}", f"clients,1,{ca.certificate}") as two:
        check("another policy", False, resumes(two, folder, use=path))


def shown(server, name):
    """The subject that a name is shown."""
    made = ssl.create_default_context()
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", server.port), 10) as peer:
        with made.wrap_socket(peer, server_hostname=name) as secure:
            der = secure.getpeercert(True)
    return openssl("x509", "-inform", "der", "-noout", "-subject", data=der).decode().split()[-1]


def test_names(ca, folder):
    pairs = {name: ca.make(name, names=f"DNS:{name}.test", common=name)
             for name in ("first", "exact", "wild", "again")}
    settings = [f"add,{label},{','.join(pairs[pair])}" for label, pair in
                (("first.test", "first"), ("a.wild.test", "exact"), ("*.wild.test", "wild"))]
    with TLSServer(*settings) as server:
        for name, due in (("first.test", "first"), ("A.Wild.Test", "exact"),
                          ("b.wild.test", "wild"), ("c.b.wild.test", "first"),
                          ("wild.test", "first"), (None, "first"), ("unknown.test", "first")):
            check(f"the certificate for {name}", due, shown(server, name))
        check("one for the rest", 0, server.tell("add - " + " ".join(pairs["again"]))[0])
        check("for the rest", "again", shown(server, "unknown.test"))
        server.tell("add first.test " + " ".join(pairs["again"]))
        check("in its place", "again", shown(server, "first.test"))
        code, sentence = server.tell(f"add - {pairs['first'][0]} {pairs['wild'][1]}")
        check("another's key", -19, code)
        check_in("OpenSSL's reason", "key values mismatch", sentence)
        code, sentence = server.tell(f"add - {pairs['first'][1]} {pairs['first'][1]}")
        check(f"no certificate: {sentence}", -19, code)
        check("no file", -12, server.tell("add - /no/such /no/such")[0])
        check("and nothing has changed", "again", shown(server, "unknown.test"))
        check("no certificate of the name", -12, server.tell(f"ocsp none {pairs['wild'][0]}")[0])
        folded = os.path.join(folder, "folded")
        os.makedirs(folded)
        shutil.copy(pairs["exact"][0], folded + "/server.crt")
        shutil.copy(pairs["exact"][1], folded + "/server.key")
        check("a folder", 0, server.tell(f"folder - {folded}")[0])
        check("the folder's", "exact", shown(server, "unknown.test"))
        locked = os.path.join(folder, "locked.key")
        openssl("ec", "-in", pairs["wild"][1], "-aes256", "-passout", "pass:open", "-out", locked)
        code, sentence = server.tell(f"add - {pairs['wild'][0]} {locked}")
        check("no password", -19, code)
        check_in("what is missing", "password", sentence)
        server.tell("password wrong")
        check("a wrong password", -19, server.tell(f"add - {pairs['wild'][0]} {locked}")[0])
        server.tell("password open")
        check("the password", 0, server.tell(f"add - {pairs['wild'][0]} {locked}")[0])
        check("opened", "wild", shown(server, "unknown.test"))


def test_client_certificates(ca, folder):
    pair = ca.make("server")
    mine = ca.make("mine", names="DNS:mine.test,IP:10.0.0.1,email:a@mine.test", common="Me Myself")
    foreign = Authority(os.path.join(folder, "foreign"), "Foreign CA").make("foreign")
    show = ("--cert", mine[0], "--key", mine[1])
    alien = ("--cert", foreign[0], "--key", foreign[1])
    path = ca.certificate
    for version in ("1.2", "1.3"):
        words = ("--tls-max", version)
        with TLSServer(f"clients,2,{path}", f"add,-,{','.join(pair)}") as server:
            facts = facts_of(curl(path, *words, *show, server.url + "/facts"))
            check("who it is", ("CN=Me Myself", "CN=Test CA", "1", ""), tuple(
                facts[each] for each in ("subject", "issuer", "verified", "problem")))
            check("its fingerprint", fingerprint(mine[0]), facts["fingerprint"])
            check("its names", "mine.test", facts["names"])
            for none in ((), alien):
                done = subprocess.run(["curl", "-sS", "--cacert", path, *words, *none,
                                       server.url + "/facts"], capture_output=True)
                check_in(f"refused: {none[:2]}", done.returncode, (35, 55, 56, 52))
        with TLSServer(f"clients,1,{path}", f"add,-,{','.join(pair)}") as server:
            for none, verified in (((), "-12"), (show, "1"), (alien, "0")):
                facts = facts_of(curl(path, *words, *none, server.url + "/facts"))
                check(f"optional: {none[:2]}", verified, facts["verified"])
            check("what is wrong", True, len(facts["problem"]) > 5)


def test_settings(ca):
    pair = ca.make("set")
    add = f"add,-,{','.join(pair)}"
    with TLSServer("versions,13,13", "suites,TLS_AES_256_GCM_SHA384", "groups,P-384",
                   add) as server:
        check_in("1.2 is off", "protocol version", s_client(server, "-tls1_2", data=b""))
        got = s_client(server)
        check_in("the suite", "Cipher is TLS_AES_256_GCM_SHA384", got)
        check_in("the group", "secp384r1", got)
    for nonsense in ("ciphers,NOTHING", "suites,NOTHING", "groups,NOTHING", "versions,11,13"):
        with TLSServer(nonsense, add) as server:
            check(f"{nonsense}: {server.first}", "-2", server.first.split()[0])
    with TLSServer(add, "versions,13,13") as server:
        check(f"too late: {server.first}", "-3", server.first.split()[0])
    with TLSServer() as server:
        check(f"no certificate: {server.first}", "-3", server.first.split()[0])


def test_stapling(ca, folder):
    chain, key = ca.make("stapled")
    request, response = os.path.join(folder, "request"), os.path.join(folder, "response")
    openssl("ocsp", "-issuer", ca.certificate, "-cert", chain, "-reqout", request)
    openssl("ocsp", "-index", ca.path("index"), "-rsigner", ca.certificate, "-rkey",
            ca.path("ca.key"), "-CA", ca.certificate, "-reqin", request, "-respout", response,
            "-ndays", "7")
    with TLSServer(f"add,-,{chain},{key}") as server:
        check_in("none yet", "no response sent", s_client(server, "-status"))
        check("it is given", 0, server.tell(f"ocsp - {response}")[0])
        for word in ("-tls1_2", "-tls1_3"):
            got = s_client(server, "-status", word)
            check_in(f"stapled {word}", "OCSP Response Status: successful", got)
            check_in(f"good {word}", "Cert Status: good", got)


def test_reload(ca):
    """Certificates are replaced while requests come: none fails."""
    pairs = [ca.make(f"reload{number}") for number in range(2)]
    with TLSServer(f"add,-,{','.join(pairs[0])}") as server:
        ended, failed, opened = threading.Event(), [], [0]

        def ask():
            made = ssl.create_default_context(cafile=ca.certificate)
            while not ended.is_set():
                try:
                    with socket.create_connection(("127.0.0.1", server.port), 30) as peer:
                        with made.wrap_socket(peer, server_hostname="localhost") as secure:
                            secure.sendall(GET)
                            got = b""
                            while piece := secure.recv(4096):
                                got += piece
                    if b"scheme=https" not in got:
                        failed.append(got)
                    opened[0] += 1
                except OSError as error:
                    failed.append(error)

        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
        reloads, asked, text = 0, 0, ""
        while asked < (REQUESTS if shutil.which("wrk") else 0) or opened[0] < 200:
            load = None
            if shutil.which("wrk"):
                load = subprocess.Popen(["wrk", "-t1", "-c16", "-d4s", server.url + "/hello"],
                                        stdout=subprocess.PIPE, text=True)
            else:
                skipped.append("wrk")
            while (load.poll() is None) if load else opened[0] < 200:
                check("reloaded", 0, server.tell("add - " + " ".join(pairs[reloads % 2]))[0])
                server.tell("rotate")
                reloads += 1
            text += load.stdout.read() if load else ""
            asked = sum(int(each) for each in re.findall(r"(\d+) requests in", text))
        ended.set()
        for thread in threads:
            thread.join()
        check("none failed", [], failed[:3])
        check(f"wrk: {text}", False, "Socket errors" in text or "Non-2xx" in text)
        print(f"reloads: {reloads}; requests meanwhile: {opened[0]} on connections of their own, "
              f"{asked} on 16 that stay")


def test_files(ca, folder):
    """What is sent from files without TLS goes block by block with it."""
    site = os.path.join(folder, "site")
    os.mkdir(site)
    data = {name: os.urandom(length) for name, length in (
        ("small", 100), ("page", 70_000), ("big", (5 << 20) + 1))}
    for name, text in data.items():
        with open(os.path.join(site, name), "wb") as file:
            file.write(text)
    with TLSServer(f"add,-,{','.join(ca.make('files'))}", f"serve,{site}") as server:
        for name, text in data.items():
            url = f"{server.url}/files/{name}"
            for version in ("1.2", "1.3"):
                check(f"the file {name} over TLS {version}", True, text == curl(
                    ca.certificate, f"--tlsv{version}", "--tls-max", version, url))
            check(f"a range of {name}", text[50:60], curl(ca.certificate, "-r", "50-59", url))
            parts = curl(ca.certificate, "-r", "0-9,40-", url)
            check(f"ranges of {name}", (True, True), (text[:10] in parts, text[40:] in parts))
            check(f"{name} and again", text * 2, curl(ca.certificate, url, url))
        # One that does not read for a while.
        with socket.create_connection(("127.0.0.1", server.port)) as plain:
            trusted = ssl.create_default_context(cafile=ca.certificate)
            with trusted.wrap_socket(plain, server_hostname="localhost") as peer:
                peer.sendall(b"GET /files/big HTTP/1.1\r\nHost: a\r\n\r\n" * 2)
                got = bytearray()
                while len(got) < 2 * len(data["big"]) or not got.endswith(data["big"][-100:]):
                    got += peer.recv(1 << 16)
                check("pipelined", 2, got.count(data["big"]))


def test_proxied(ca):
    """A proxy says whom it stands for, before and with the handshake's first bytes."""
    trusted = ssl.create_default_context(cafile=ca.certificate)
    header = b"PROXY TCP4 192.0.2.7 192.0.2.8 1000 443\r\n"
    with TLSServer(f"add,-,{','.join(ca.make('proxied'))}", "proxy,1") as server:
        for cut in (0, 1, 20, len(header), len(header) + 1, len(header) + 100, 10_000):
            into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
            peer = trusted.wrap_bio(into, out, server_hostname="localhost")
            with socket.create_connection(("127.0.0.1", server.port)) as plain:
                plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                first, got, sent = header, b"", False
                while b"\r\n\r\n" not in got or b"problem=" not in got:
                    try:
                        if not sent:
                            peer.do_handshake()
                            peer.write(GET)
                            sent = True
                        got += peer.read(1 << 16)
                    except ssl.SSLWantReadError:
                        pass
                    bytes_out = first + out.read()
                    if first:
                        plain.sendall(bytes_out[:cut])
                        bytes_out, first = bytes_out[cut:], b""
                    plain.sendall(bytes_out)
                    if b"problem=" not in got:
                        into.write(plain.recv(1 << 16))
                facts = facts_of(got)
                check(f"proxied, cut at {cut}", ("192.0.2.7", "https", "localhost"),
                      tuple(facts[each] for each in ("client", "scheme", "name")))
        done = subprocess.run(["curl", "-sS", "--cacert", ca.certificate, server.url + "/hello"],
                              capture_output=True, timeout=60)
        check("none without the header", True, done.returncode != 0)
        for _ in range(3):
            check("many at once, whole", [True] * 30, proxied_at_once(server, trusted, header))


def proxied_at_once(server, trusted, header):
    """Connections whose header and first bytes come together, and with those of others:
    whether each is answered."""
    peers = []
    for _ in range(30):
        into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
        peer = trusted.wrap_bio(into, out, server_hostname="localhost")
        try:
            peer.do_handshake()
        except ssl.SSLWantReadError:
            pass
        peers.append((socket.create_connection(("127.0.0.1", server.port), 30), into, out, peer))
    for plain, _, out, _ in peers:
        plain.sendall(header + out.read())
    answered = []
    for plain, into, out, peer in peers:
        with plain:
            first = plain.recv(1 << 16)
            while first:
                into.write(first)
                try:
                    peer.do_handshake()
                    plain.sendall(out.read())
                    break
                except ssl.SSLWantReadError:
                    first = plain.recv(1 << 16)
            answered.append(bool(first))
    return answered


def test_unix(ca, folder):
    path = os.path.join(folder, "socket")
    chain, key = ca.make("unix")
    with TLSServer(f"unix,{path}", f"add,-,{chain},{key}") as server:
        check("TLS without a certificate", True, server.first.startswith("-"))
    with TLSServer(f"add,-,{chain},{key}", f"unix,{path}") as server:
        trusted = ssl.create_default_context(cafile=ca.certificate)
        with socket.socket(socket.AF_UNIX) as plain:
            plain.connect(path)
            with trusted.wrap_socket(plain, server_hostname="localhost") as peer:
                peer.sendall(GET)
                got = b""
                while piece := peer.recv(1 << 16):
                    got += piece
        facts = facts_of(got)
        check("TLS on a Unix socket", ("https", "TLSv1.3", "localhost"),
              tuple(facts.get(each) for each in ("scheme", "version", "name")))
        check("while it runs", -3, server.tell(f"unix {path}.late")[0])


def main():
    with tempfile.TemporaryDirectory() as folder:
        ca = Authority(os.path.join(folder, "ca"))
        chain, key = ca.make("server")
        with TLSServer(f"add,-,{chain},{key}") as server:
            test_curl(ca.certificate, server)
            test_s_client(server)
        test_preference(ca)
        test_resumption(ca, folder)
        test_names(ca, folder)
        test_client_certificates(ca, folder)
        test_settings(ca)
        test_stapling(ca, folder)
        test_files(ca, folder)
        test_proxied(ca)
        test_unix(ca, folder)
        test_reload(ca)
        test_clients(ca, folder)
    check("handles left", 0, apus.apus_live_count(0))
    return report("tls_peers_test")


sys.exit(main())
