#!/usr/bin/env python3
"""The Python package of examples/python at work in one event loop, server and client:
what the tour leaves out. Slow readers, peers that leave, tasks that are cancelled, replies
of every kind, topics, the blocking calls; and nothing that stays when all is closed."""
# ctest: once nosanitize
import asyncio
import logging
import os
import sys

from common import PATIENCE, SOURCE, check, check_in, report

sys.path.insert(0, os.path.join(SOURCE, "examples", "python"))
import apus  # noqa: E402

MEGABYTE = bytes(1 << 20)
logged = []


class Log(logging.Handler):
    def emit(self, record):
        logged.append(record.getMessage() + str(record.exc_info and record.exc_info[1]))


class App:
    """A server, a client, and what handlers have noted."""

    def __init__(self):
        self.server = apus.Server(max_body=2 << 20, server_name="Python")
        self.ended = asyncio.Queue()
        self.server.get("/later/:name")(self.later)
        self.server.post("/show")(self.show)
        self.server.get("/json")(lambda request: {"a": [1, None, "ü"]})
        self.server.get("/bytes")(lambda request: b"\0\xff")
        self.server.get("/status")(lambda request: request.reply("teapot", 418, "text/tea"))
        self.server.get("/broken")(self.broken)
        self.server.get("/sleep")(self.sleep)
        self.server.events("/flood")(self.flood)
        self.server.events("/news")(self.news)
        self.server.websocket("/pour")(self.flood_channel)
        self.server.websocket("/breaks")(self.broken)
        self.url = f"127.0.0.1:{self.server.listen()}"

    async def later(self, request):
        await asyncio.sleep(0)
        return f"later, {request.params['name']}"

    def show(self, request):
        request.set_header("X-Kind", request.header("Content-Type") or "")
        return {"method": request.method, "path": request.path, "query": request.query,
                "none": request.header("X-None"), "sum": sum(request.body),
                "fields": len(request.headers) > 2, "ip": request.client_ip}

    async def broken(self, _):
        raise RuntimeError("broken on purpose")

    async def sleep(self, request):
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.put_nowait("sleep")

    async def flood(self, stream, request):
        try:
            while True:
                await stream.send("x" * 65536)
        finally:
            self.ended.put_nowait("flood")

    async def news(self, stream, request):
        stream.subscribe("news")
        await stream.send("joined")
        await asyncio.Event().wait()

    async def flood_channel(self, channel):
        for _ in range(40):
            await channel.send(MEGABYTE)
        self.ended.put_nowait("sent")
        async for _ in channel:
            pass
        self.ended.put_nowait("channel")


async def check_replies(app, client):
    url = f"http://{app.url}"
    replies = await asyncio.gather(*(client.get(f"{url}/later/n{n}") for n in range(200)))
    check("replies", [f"later, n{n}" for n in range(200)], [reply.text() for reply in replies])
    reply = await client.post(f"{url}/show?a=b%20c&d", bytes(range(256)), type="x/y",
                              headers={"X-More": "1"})
    check("what was shown", {"method": "POST", "path": "/show", "query": {"a": "b c", "d": ""},
                             "none": None, "sum": 32640, "fields": True, "ip": "127.0.0.1"},
          reply.json())
    check("field", "x/y", reply.header("x-kind"))
    check("JSON", {"a": [1, None, "ü"]}, (await client.get(f"{url}/json")).json())
    check("bytes", b"\0\xff", (await client.get(f"{url}/bytes")).body)
    reply = await client.get(f"{url}/status")
    check("status", (418, "text/tea", "teapot", "Python"),
          (reply.status, reply.header("Content-Type"), reply.text(), reply.header("Server")))
    check("too large", 413, (await client.post(f"{url}/show", bytes(3 << 20))).status)
    check("broken", 500, (await client.get(f"{url}/broken")).status)
    check_in("log", "broken on purpose", logged[-1])
    reply = await asyncio.to_thread(apus.get, f"{url}/later/thread", {"X-A": "b"})
    check("a call that blocks", "later, thread", reply.text())


async def check_failures(app, client):
    for url, name in ((f"http://{app.url}/sleep", "APUS_E_TIMEOUT"),
                      ("ftp://x/", "APUS_E_UNSUPPORTED"), ("http://a b/", "APUS_E_ARGUMENT")):
        try:
            await client.get(url, total_timeout=300)
            check(f"failure of {url}", name, "success")
        except apus.Error as error:
            check(f"failure of {url}", name, error.name)
    task = asyncio.create_task(client.get(f"http://{app.url}/sleep"))
    await asyncio.sleep(0)
    task.cancel()
    check("cancelled", True, isinstance((await asyncio.gather(
        task, return_exceptions=True))[0], asyncio.CancelledError))
    try:
        app.server.get("/bytes")
        check("a route of a server that runs", "APUS_E_STATE", "success")
    except apus.Error as error:
        check("a route of a server that runs", "APUS_E_STATE", error.name)


async def check_slow_stream(app):
    """The handler waits for a reader that takes nothing, and ends when that leaves."""
    reader, writer = await asyncio.open_connection(*app.url.split(":"), limit=1024)
    writer.write(b"GET /flood HTTP/1.1\r\nHost: x\r\n\r\n")
    check_in("head of a stream", b"200", await reader.readline())
    writer.close()
    check("the end of a stream", "flood", await asyncio.wait_for(app.ended.get(), PATIENCE))


async def check_channels(app, client):
    async with client.websocket(f"ws://{app.url}/pour") as channel:
        check("path", "/pour", channel.path)
        total = 0
        for _ in range(40):
            total += len(await asyncio.wait_for(channel.receive(), PATIENCE))
        check("bytes of a flood", 40 << 20, total)
    for end in ("sent", "channel"):
        check("end of a flood", end, await asyncio.wait_for(app.ended.get(), PATIENCE))
    async with client.websocket(f"ws://{app.url}/breaks") as channel:
        check("messages of a channel that broke", [], [message async for message in channel])
    try:
        async with client.websocket(f"ws://{app.url}/none"):
            check("a channel to nowhere", "APUS_E_PROTOCOL", "open")
    except apus.Error as error:
        check("a channel to nowhere", "APUS_E_PROTOCOL", error.name)


async def check_topics(app):
    reader, writer = await asyncio.open_connection(*app.url.split(":"))
    writer.write(b"GET /news HTTP/1.1\r\nHost: x\r\n\r\n")
    await asyncio.wait_for(reader.readuntil(b"data: joined\n\n"), PATIENCE)
    app.server.publish("news", "one\ntwo")
    news = await asyncio.wait_for(reader.readuntil(b"\n\n"), PATIENCE)
    check_in("news", b"data: one\ndata: two\n\n", news + b"")
    writer.close()


async def main():
    logging.getLogger("apus").addHandler(Log())
    app = App()
    async with app.server, apus.Client() as client:
        await check_replies(app, client)
        await check_failures(app, client)
        await check_slow_stream(app)
        await check_channels(app, client)
        await check_topics(app)
        # One that is under way when all is closed.
        last = asyncio.create_task(client.get(f"http://{app.url}/sleep"))
        await asyncio.sleep(0)
    check("the last one", True, isinstance((await asyncio.gather(
        last, return_exceptions=True))[0], (asyncio.CancelledError, apus.Error)))
    check("live handles", 0, apus.library.apus_live_count(0))


if __name__ == "__main__":
    asyncio.run(main())
    sys.exit(report("asyncio_test"))
