#!/usr/bin/env python3
"""Real WebSocket peers against a live server, in each dispatch, with compression and
without: the Python packages websockets and aiohttp, node's ws, and a browser. One
dispatch sees all of it, the others a part. A peer that is not installed is named."""
# ctest: timeout=600
import asyncio
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
try:
    import aiohttp
except ImportError:
    aiohttp = None
try:
    import websockets
    from websockets.asyncio.client import connect
    from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
except ImportError:
    websockets = None

SEED = int(os.environ.get("APUS_SEED") or random.randrange(1 << 32))
SIZES = [0, 1, 2, 63, 64, 125, 126, 127, 1000, 4096, 65535, 65536, 65537, 1 << 20]
LARGEST = 16 << 20
PATIENCE = 180
figures = {"run": 0, "right": 0}


def check(what, right, detail=""):
    figures["run"] += 1
    figures["right"] += bool(right)
    if not right:
        print(f"WRONG {what}: {str(detail)[:1500]}", flush=True)


class Server:
    def __init__(self, mode, deflate):
        program = os.path.join(os.environ["APUS_BIN"], "channel_server")
        self.name = f"{mode}{' with' if deflate else ' without'} compression"
        self.process = subprocess.Popen([program, mode, "1" if deflate else "0"],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.port = int(self.process.stdout.readline())
        self.deflates = deflate
        self.http = f"http://127.0.0.1:{self.port}"
        self.ws = f"ws://127.0.0.1:{self.port}"

    def await_closes(self, wanted):
        """The closes of /echo, once all wanted ones are among them."""
        limit = time.monotonic() + PATIENCE
        while True:
            with urllib.request.urlopen(self.http + "/closes") as reply:
                seen = reply.read().decode().splitlines()
            if all(seen.count(line) >= wanted.count(line) for line in wanted):
                return True
            if time.monotonic() > limit:
                print(f"closes {sorted(set(seen))}, wanted {wanted}")
                return False
            time.sleep(0.01)

    def stop(self):
        self.process.stdin.close()
        check(f"{self.name}: the server ends cleanly", self.process.wait(PATIENCE) == 0,
              self.process.returncode)


def texts(chance, size):
    """Text of so many bytes that compresses well, and some that hardly does."""
    unit = "the quick brown fox … jumps – over it; "
    plain = (unit * (size // 30 + 1)).encode()[:size]
    yield plain.decode("utf-8", "ignore")
    yield "".join(chance.choices("abcdefghijklmnopqrstuvwxyz0123456789ABCDEF", k=size))


# ---- the package websockets: every offer that it can make

def offers():
    yield None
    for bits in (None, 9, 10, 15):
        for own in (None, True, 9, 12):
            for flags in range(4):
                yield ClientPerMessageDeflateFactory(
                    server_no_context_takeover=bool(flags & 1),
                    client_no_context_takeover=bool(flags & 2),
                    server_max_window_bits=bits, client_max_window_bits=own)


async def echo_all(socket, chance, sizes):
    wrong = []
    for size in sizes:
        for text in texts(chance, size):
            await socket.send(text)
            if await socket.recv() != text:
                wrong.append(f"text of {size}")
        data = chance.randbytes(size)
        for message in (data, bytes(size)):
            await socket.send(message)
            if await socket.recv() != message:
                wrong.append(f"binary of {size}")
    return wrong


async def test_offers(server, chance, step):
    for offer in list(offers())[::step]:
        extensions = [offer] if offer else None
        async with connect(server.ws + "/echo", compression=None, extensions=extensions,
                           max_size=None) as socket:
            agreed = socket.protocol.extensions
            check(f"{server.name}: agrees to {offer}",
                  bool(agreed) == bool(offer and server.deflates), agreed)
            wrong = await echo_all(socket, chance, SIZES[:-1])
            check(f"{server.name}: echoes, {agreed}", not wrong, wrong)


async def test_websockets(server, chance, is_whole):
    # A library with a sanitizer in it is slow, and all offers are met without.
    all_offers = is_whole and not os.environ.get("APUS_SANITIZE")
    await test_offers(server, chance, 1 if all_offers else 7)
    for path in ("/echo", "/fragments"):
        large = (bytes(LARGEST), chance.randbytes(LARGEST), "x" * LARGEST)
        async with connect(server.ws + path, max_size=None) as socket:
            wrong = await echo_all(socket, chance, [1 << 20])
            for message in large if is_whole else large[:1]:
                await socket.send(message)
                if await socket.recv() != message:
                    wrong.append("16 MiB")
            check(f"{server.name}: 16 MiB over {path}", not wrong, wrong)
    async with connect(server.ws + "/echo", subprotocols=["other", "echo"]) as socket:
        check(f"{server.name}: the subprotocol", socket.subprotocol == "echo", socket.subprotocol)
        await socket.send(["in ", "three ", "frames"])
        check(f"{server.name}: a message in frames", await socket.recv() == "in three frames")
        waits = [await socket.ping(f"ping {i}") for i in range(20)]
        await asyncio.gather(*waits)
        check(f"{server.name}: pings are answered", True)
        await socket.close(4321, "done here")
        check(f"{server.name}: the close comes back", socket.close_code == 4321, socket.close_code)
    check(f"{server.name}: the host hears the close", server.await_closes(["4321 done here"]))
    async with connect(server.ws + "/ping") as socket:
        check(f"{server.name}: pongs are told", await socket.recv() == "pong hello")
    for code in (1000, 1001, 1011, 3000, 4999):
        async with connect(f"{server.ws}/close/{code}") as socket:
            said = await socket.recv()
            await socket.wait_closed()
            check(f"{server.name}: is closed with {code}",
                  (said, socket.close_code, socket.close_reason) == ("bye", code, "as asked"),
                  (said, socket.close_code, socket.close_reason))
    # Not in a block of its own: that closes what is closed, and trips over it.
    socket = await connect(server.ws + "/echo", max_size=None)
    try:
        await socket.send(bytes(LARGEST + 1))
        await socket.recv()
        check(f"{server.name}: refuses a byte above 16 MiB", False)
    except websockets.ConnectionClosed:
        check(f"{server.name}: refuses a byte above 16 MiB", socket.close_code == 1009,
              socket.close_code)


async def test_chat(server):
    """Thirty talk at once; each hears all, in one order for each who talks."""
    sockets = [await connect(server.ws + "/chat") for _ in range(30)]

    async def talk(number, socket):
        for i in range(10):
            await socket.send(f"{number} {i} and some more that can be compressed well enough")
        return [await socket.recv() for _ in range(300)]

    heard = await asyncio.gather(*(talk(i, socket) for i, socket in enumerate(sockets)))
    orders = [[line for line in lines if line.startswith(f"{who} ")]
              for lines in heard for who in range(30)]
    right = all(len(set(lines)) == 300 for lines in heard) and \
        all(lines == sorted(lines) and len(lines) == 10 for lines in orders)
    check(f"{server.name}: a chat of thirty", right, heard[0][:5])
    await asyncio.gather(*(socket.close() for socket in sockets))


# ---- aiohttp

async def test_aiohttp(server, chance):
    async with aiohttp.ClientSession() as session:
        for window in (0, 9, 12, 15):
            async with session.ws_connect(server.http + "/echo", compress=window,
                                          max_msg_size=0, protocols=["echo"]) as socket:
                wrong = []
                for size in SIZES:
                    for text in texts(chance, size):
                        await socket.send_str(text)
                        if await socket.receive_str() != text:
                            wrong.append(size)
                    data = chance.randbytes(size)
                    await socket.send_bytes(data)
                    if await socket.receive_bytes() != data:
                        wrong.append(-size)
                await socket.ping(b"aio")
                await socket.send_str("after a ping")
                if await socket.receive_str() != "after a ping":
                    wrong.append("ping")
                check(f"{server.name}: aiohttp, window {window}, {socket.protocol}",
                      not wrong and socket.protocol == "echo", wrong)
                await socket.close(code=4000 + window, message=b"aiohttp")
        check(f"{server.name}: aiohttp's closes are told",
              server.await_closes([f"{4000 + window} aiohttp" for window in (0, 9, 12, 15)]))


# ---- node

NODE = r"""
const { WebSocket } = require('/usr/share/nodejs/ws');
const crypto = require('crypto');
const url = process.argv[1];
const sizes = [0, 1, 125, 126, 65535, 65536, 1 << 20, Number(process.argv[2])];
const offers = [false, true, { serverNoContextTakeover: true, clientNoContextTakeover: true },
  { serverMaxWindowBits: 9, clientMaxWindowBits: 9 }, { threshold: 0 }];
async function run(offer) {
  const socket = new WebSocket(url + '/echo', 'echo', { perMessageDeflate: offer,
    maxPayload: 1 << 26 });
  const queue = [], waits = [];
  socket.on('close', code => { if (code !== 3456) throw Error('closed with ' + code); });
  socket.on('message', (data, isBinary) => {
    const message = isBinary ? data : data.toString();
    waits.length ? waits.shift()(message) : queue.push(message);
  });
  const next = () => queue.length ? Promise.resolve(queue.shift())
    : new Promise(resolve => waits.push(resolve));
  await new Promise((resolve, reject) => socket.on('open', resolve).on('error', reject));
  for (const size of sizes) {
    const binary = crypto.randomBytes(size), text = 'abc\u20ac'.repeat(size / 6);
    socket.send(binary);
    if (!binary.equals(await next())) throw Error('binary of ' + size);
    socket.send(text);
    if (text !== await next()) throw Error('text of ' + size);
  }
  socket.send('in ', { fin: false }); socket.ping('between');
  socket.send('frames');
  if (await next() !== 'in frames') throw Error('frames');
  const closed = new Promise(resolve => socket.on('close', (code, reason) =>
    resolve(code + ' ' + reason)));
  socket.close(3456, 'node');
  const how = await closed;
  if (how !== '3456 ') throw Error('closed: ' + how);
}
(async () => { for (const offer of offers) await run(offer); console.log('all right'); })()
  .catch(error => { console.log(String(error)); process.exit(1); });
"""


def test_node(server):
    if not shutil.which("node") or not os.path.exists("/usr/share/nodejs/ws"):
        print("no node with ws here")
        return
    # A library with a sanitizer in it would be busy for minutes.
    most = 2 << 20 if os.environ.get("APUS_SANITIZE") else 16 << 20
    result = subprocess.run(["node", "-e", NODE, server.ws, str(most)], capture_output=True,
                            text=True, timeout=PATIENCE)
    right = result.stdout == "all right\n"
    check(f"{server.name}: node's ws", right, result.stdout + result.stderr)
    check(f"{server.name}: node's closes are told",
          right and server.await_closes(["3456 node"] * 5))


# ---- a browser

PAGE = """
new Promise((resolve, reject) => {
  const sizes = [0, 1, 125, 126, 65536, 1 << 20], lines = [];
  const socket = new WebSocket(location.origin.replace('http', 'ws') + '/echo', ['echo']);
  socket.binaryType = 'arraybuffer';
  let at = 0;
  const make = i => i % 2 ? new Uint8Array(sizes[i >> 1]).fill(i).buffer
    : 'text\\u20ac'.repeat(sizes[i >> 1] / 7);
  const size = m => typeof m === 'string' ? 't' + m.length : 'b' + m.byteLength;
  socket.onopen = () => socket.send(make(at));
  socket.onmessage = event => {
    lines.push(size(event.data) === size(make(at)) &&
      (typeof event.data !== 'string' || event.data === make(at)));
    if (++at < 2 * sizes.length) socket.send(make(at)); else socket.close(3210, 'browser');
  };
  socket.onerror = () => reject('error');
  socket.onclose = event => {
    const other = new WebSocket(location.origin.replace('http', 'ws') + '/close/4001');
    other.onclose = last => resolve([socket.protocol, socket.extensions.split(';')[0],
      event.code, event.wasClean, lines.length, lines.every(Boolean),
      last.code, last.reason, last.wasClean]);
  };
})
"""


def test_browser(server, folder):
    import demo_test
    program = demo_test.find_browser()
    if not program:
        print("no browser here")
        return
    browser = demo_test.Browser(program, folder)
    try:
        browser.open(server.http + "/")
        got = browser.evaluate(PAGE)
        extension = "permessage-deflate" if server.deflates else ""
        wanted = ["echo", extension, 3210, True, 12, True, 4001, "as asked", True]
        check(f"{server.name}: a browser", got == wanted, got)
        check(f"{server.name}: its close is told", server.await_closes(["3210 browser"]))
        # Of another origin.
        browser.open("data:text/html,<title>elsewhere</title>")
        got = browser.evaluate("new Promise(resolve => { const socket = new WebSocket("
                               f"'{server.ws}/echo'); socket.onopen = () => resolve('open');"
                               "socket.onclose = event => resolve(event.code); })")
        check(f"{server.name}: a page from elsewhere is refused", got == 1006, got)
    finally:
        browser.close()


def run(mode, deflate, folder):
    chance = random.Random(SEED)
    server = Server(mode, deflate)
    before = figures["right"]
    if websockets:
        asyncio.run(test_websockets(server, chance, mode == "worker"))
        asyncio.run(test_chat(server))
    else:
        print("the Python package websockets is not installed")
    if aiohttp:
        asyncio.run(test_aiohttp(server, chance))
    else:
        print("the Python package aiohttp is not installed")
    if mode in ("worker", "pull"):
        test_node(server)
    if mode == "tick":
        test_browser(server, os.path.join(folder, f"browser-{deflate}"))
    server.stop()
    print(f"{server.name}: {figures['right'] - before} right", flush=True)


def main():
    print(f"seed {SEED}")
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="apus-") as folder:
        for mode in ("worker", "tick", "pull", "threadless"):
            for deflate in (True, False):
                run(mode, deflate, folder)
    print(f"{time.monotonic() - started:.0f} s")
    print(f"websocket_test: checks run {figures['run']}, right {figures['right']}")
    return 0 if figures["right"] == figures["run"] else 1


if __name__ == "__main__":
    sys.exit(main())
