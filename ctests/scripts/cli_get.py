"""apus get, against aiohttp and against bytes as they stand."""
import json
import os
import signal
import subprocess

from cli_run import Background, expect, tool
from common import check, check_in


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)
    return path


def echo(peer, *words, data=b"", **environment):
    done = tool("get", *words, peer.url + "/echo?q=1", data=data, **environment)
    expect(f"get {words}", 0, done)
    return json.loads(done.out or "{}")


def check_requests(peer, folder):
    plain = echo(peer)
    check("the method", ("GET", "q=1"), (plain["method"], plain["query"]))
    check_in("the agent", "apus/", plain["headers"]["User-Agent"])
    form = echo(peer, "-d", "a=1", "--data", "b=2")
    check("a form", ("POST", "a=1&b=2", "application/x-www-form-urlencoded"),
          (form["method"], form["body"], form["headers"]["Content-Type"]))
    sent = echo(peer, "--json", '{"a":1}', "-XPATCH")
    check("JSON", ("PATCH", '{"a":1}', "application/json"),
          (sent["method"], sent["body"], sent["headers"]["Content-Type"]))
    path = write(os.path.join(folder, "sent"), bytes(range(256)) * 40)
    sent = echo(peer, "-X", "PUT", "--data-file", path)
    check("a file as it is", ("PUT", read(path).decode("latin-1")), (sent["method"], sent["body"]))
    sent = echo(peer, "--data-file", "-", "-H", "Content-Type: text/x", data=b"from a pipe")
    check("standard input", ("POST", "from a pipe", "text/x"),
          (sent["method"], sent["body"], sent["headers"]["Content-Type"]))
    sent = echo(peer, "-H", "X-One: 1", "--header=X-Two:two words", "--bearer", "abc")
    check("fields", ("1", "two words", "Bearer abc"),
          tuple(sent["headers"].get(name) for name in ("X-One", "X-Two", "Authorization")))
    parts = tool("get", "-F", "name=Ada", "-F", f"f=@{path};type=a/b;filename=x.y",
                 "-F", f"g=@{path}", peer.url + "/form")
    check("parts of a form", [["name", None, None, 3], ["f", "x.y", "a/b", 10240],
                              ["g", "sent", "application/octet-stream", 10240]],
          json.loads(parts.out))
    expect("the right password", 0, tool("get", "-f", "-u", "Ada:love:lace", peer.url + "/basic"))
    expect("the wrong one", 4, tool("get", "-f", "-u", "Ada:hate", peer.url + "/basic"), "401")


def check_answers(peer):
    done = tool("get", "-i", peer.url + "/redirect")
    check_in("a redirect is followed", "HTTP/1.1 203 ", done.out)
    check_in("its headers", "Content-Length: 21\n", done.out)
    check("its body", True, done.out.endswith("\n\nthe page of an error\n"))
    done = tool("get", "-i", "--no-redirect", peer.url + "/redirect")
    check_in("a redirect is shown", "HTTP/1.1 302 ", done.out)
    expect("too many redirects", 7, tool("get", "--max-redirects=3", peer.url + "/loop"), "/loop")
    done = tool("get", "-I", peer.url + "/whole")
    check("a head alone", True, done.out.startswith("HTTP/1.1 200") and "0123" not in done.out)
    check("gzip is decoded", "text " * 1000, tool("get", peer.url + "/gzip").out)
    check("nothing is asked for compressed", None,
          echo(peer, "--raw")["headers"].get("Accept-Encoding"))
    check("a status is no failure", 0, tool("get", peer.url + "/status/404").code)
    done = tool("get", "--fail", peer.url + "/status/503")
    expect("--fail", 4, done, "503")
    check("no body with --fail", "", done.out)
    done = tool("get", "-v", peer.url + "/whole")
    check_in("where it came from", "200 from 127.0.0.1 port", done.err)


def check_files(peer, folder):
    content = os.urandom(300000)
    write(os.path.join(folder, "big.bin"), content)
    url, out = peer.url + "/file/big.bin", os.path.join(folder, "out")
    os.makedirs(out, exist_ok=True)
    path = os.path.join(out, "big.bin")
    expect("-O", 0, tool("get", "-O", url, folder=out))
    check("the file of -O", content, read(path))
    write(path, content[:100000])
    expect("-C", 0, tool("get", "-C", "-o", path, url))
    check("the file of -C", content, read(path))
    done = tool("get", "-C", "-o", path, url)
    expect("-C of what is complete", 0, done)
    check_in("what it says", "complete already", done.err)
    write(path, b"x" * 300001)
    expect("-C of another file", 4, tool("get", "-C", "-o", path, url), "remove it")
    check("which is left alone", b"x" * 300001, read(path))
    write(path, b"wrong")
    expect("-C without ranges", 0, tool("get", "-C", "-o", path, peer.url + "/whole"))
    check("it begins anew", b"0123456789", read(path))
    expect("-C of an error", 4, tool("get", "-C", "-o", path, peer.url + "/status/404"), "404")
    check("no page of an error in it", b"0123456789", read(path))
    expect("-f leaves the file", 4, tool("get", "-f", "-o", path, peer.url + "/status/404"))
    check("as it was", b"0123456789", read(path))
    check("bytes in a pipe", content, tool("get", url, text=False).out)
    expect("no folder", 6, tool("get", "-o", os.path.join(out, "no", "file"), url), "no/file")
    expect("a full disk", 6, tool("get", "-o", "/dev/full", url), "/dev/full")
    expect("no name", 1, tool("get", "-O", peer.url + "/", folder=out), "-o FILE")
    expect("a name that leads out", 1, tool("get", "-O", peer.url + "/..%2fx", folder=out), "-o")
    check("what is in the folder", ["big.bin"], os.listdir(out))


def check_failures(peer, closed):
    expect("a closed port", 2, tool("get", f"http://127.0.0.1:{closed}/"), "refused")
    expect("no such host", 2, tool("get", "http://nobody.invalid/"), "check the name")
    expect("a body that is cut", 7, tool("get", peer.raw + "/short"), "/short")
    expect("nonsense", 7, tool("get", peer.raw + "/nonsense"), "/nonsense")
    expect("no URL", 1, tool("get", "http://[::1"), "URL")
    expect("another scheme", 1, tool("get", "gopher://127.0.0.1/"), "scheme")
    expect("a missing file", 6, tool("get", "--data-file", "/none", peer.url + "/echo"), "/none")
    bare = tool("get", peer.url.removeprefix("http://") + "/echo?u=http://x")
    check("a URL without a scheme", "u=http://x", json.loads(bare.out or "{}").get("query"))
    peer.let_go.clear()
    expect("a time limit", 5, tool("get", "-m", "0.3", peer.url + "/silent"), "more time")
    with Background("get", "-m", "0.5", "--data-file", "-", peer.url + "/silent") as run:
        try:
            check("a time limit while it reads", 5, run.process.wait(10))
        except subprocess.TimeoutExpired:
            check("a time limit while it reads", 5, "no end")
    for words, number, code in (((), signal.SIGINT, 130), ((), signal.SIGTERM, 143),
                                (("--data-file", "-"), signal.SIGINT, 130)):
        peer.held.clear()
        with Background("get", *words, peer.url + "/silent") as run:
            if words:
                run.process.stdin.write(bytes(1 << 20))
            run.process.stdin.flush()
            check("it was asked", True, peer.held.wait(60))
            check(f"exit code of signal {number}", code, run.stop(number).code)
    peer.let_go.set()


def check_proxy(peer):
    proxy = peer.raw
    for words, environment in ((("-x", proxy), {}), ((), {"http_proxy": proxy})):
        done = tool("get", *words, "http://elsewhere.invalid/page", **environment)
        check("what a proxy answers", (0, "all"), (done.code, done.out))
        check("what it was asked", "http://elsewhere.invalid/page", peer.evil.targets[-1])
    done = tool("get", "-x", "", peer.url + "/whole", http_proxy="http://127.0.0.1:1")
    check("no proxy", "0123456789", done.out)


def check_tls(peer, authority, other):
    url = peer.secure + "/whole"
    expect("an unknown issuer", 3, tool("get", url), "--cacert")
    check("--cacert", "0123456789", tool("get", "--cacert", authority.certificate, url).out)
    check("-k", "0123456789", tool("get", "-k", url).out)
    expect("another issuer", 3, tool("get", "--cacert", other.certificate, url), "-k")
    expect("another host", 3, tool("get", "--cacert", authority.certificate,
                                   url.replace("localhost", "127.0.0.1")), "-k")
    expect("no TLS there", 3, tool("get", peer.url.replace("http:", "https:")))
    expect("a file that is missing", 6, tool("get", "--cacert", "/none", url), "/none")
    expect("half a pair", 1, tool("get", "--cert", "/none", url), "--key")


def check_get(peer, folder, authority, other, closed):
    check_requests(peer, folder)
    check_answers(peer)
    check_files(peer, folder)
    check_failures(peer, closed)
    check_proxy(peer)
    check_tls(peer, authority, other)
