"""What garbage collection may do to the package, by assertions: "gc ok" if all hold."""
import asyncio
import gc
import itertools
import logging
import threading
import weakref
from typing import Any

import apus
from apus import library


class Witness:
    """Something that a callback refers to, whose end can be seen."""

    def __call__(self, *_: Any) -> str:
        threads.add(threading.get_ident())
        return "seen\n"


threads: set[int] = set()


def collect() -> None:
    for _ in range(3):
        gc.collect()


def live() -> int:
    return int(library.apus_live_count(0))


async def own_thread() -> None:
    """Handlers, listeners, completions: all on the thread of the event loop."""
    server = apus.Server()
    server.get("/")(Witness())
    server.on_access(Witness())
    port = server.listen()
    async with server, apus.Client() as client:
        for _ in range(20):
            collect()  # nothing but the library knows of some of these functions
            assert (await client.get(f"http://127.0.0.1:{port}/")).text() == "seen\n"
    assert threads == {threading.get_ident()}, threads
    assert live() == 0, live()


async def kept_and_released() -> None:
    """A function lives as long as the library may call it, and no longer."""
    server = apus.Server()
    witness = Witness()
    seen = weakref.ref(witness)
    server.on_access(witness)
    server.get("/")(witness)
    del witness
    collect()
    assert seen() is not None
    port = server.listen()
    async with server, apus.Client() as client:
        await client.get(f"http://127.0.0.1:{port}/")
        collect()
        assert seen() is not None
    del server
    collect()
    assert seen() is None, gc.get_referrers(seen())


def self_referring() -> weakref.ref[apus.Server]:
    """A server that its own handlers refer to, and nobody else."""
    server = apus.Server()

    @server.get("/")
    def handler(_: apus.Request) -> str:
        return repr(server)

    server.on_access(lambda _: server)
    server.listen()
    return weakref.ref(server)


def cycles() -> None:
    """A server whose handlers refer to it goes with them."""
    seen = self_referring()
    collect()
    assert seen() is None and live() == 0, live()


async def any_order() -> None:
    """Server, client and channel, dropped or closed in each order, and twice."""
    for order in itertools.permutations(("server", "client", "channel")):
        for explicit in (False, True):
            await drop(order, explicit)
            assert live() == 0, (order, explicit, live())


async def drop(order: tuple[str, ...], explicit: bool) -> None:
    server, client = apus.Server(), apus.Client()

    @server.websocket("/")
    async def serve(channel: apus.Channel) -> None:
        async for message in channel:
            await channel.send(message)

    url = f"ws://127.0.0.1:{server.listen()}/"
    await server.__aenter__()
    await client.__aenter__()
    opened = client.websocket(url)
    channel = await opened.__aenter__()
    await channel.send("x")
    assert await channel.receive() == "x"
    server._unwatch()
    client._unwatch()
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    del task, tasks
    objects: dict[str, Any] = {"server": server, "client": client, "channel": channel}
    del server, client, channel, serve
    ends = {"server": lambda it: it.close(), "client": lambda it: it.close(),
            "channel": lambda it: it._destroy()}
    for name in order:
        thing = objects.pop(name)
        if explicit:
            ends[name](thing)
            ends[name](thing)
        elif name == "channel":
            opened = None  # type: ignore[assignment]
        del thing
        for _ in range(5):  # the turns in which the loop ends what it had in hand
            collect()
            await asyncio.sleep(0)


async def stopping() -> None:
    """A stop ends channels for those who read them, well before its time limit."""
    server = apus.Server(drain_timeout=3_600_000)
    ended: list[bool] = []

    @server.websocket("/")
    async def serve(channel: apus.Channel) -> None:
        async for message in channel:
            await channel.send(message)
        ended.append(True)

    port = server.listen()
    async with apus.Client() as client:
        async with server:
            opened = client.websocket(f"ws://127.0.0.1:{port}/")
            channel = await opened.__aenter__()
            await channel.send("x")
            assert await channel.receive() == "x"
        assert ended == [True]
        await opened.__aexit__(None, None, None)
    assert live() == 0, live()


async def closed_inside() -> None:
    """close() inside `async with`: who waits is told, and nothing is left."""
    server = apus.Server()
    asked = asyncio.Event()

    @server.get("/")
    async def wait(_: apus.Request) -> str:
        asked.set()
        await asyncio.Event().wait()
        return "never"

    port = server.listen()
    async with server, apus.Client() as client:
        task = asyncio.create_task(client.get(f"http://127.0.0.1:{port}/"))
        await asked.wait()
        client.close()
        server.close()
        assert isinstance((await asyncio.gather(task, return_exceptions=True))[0],
                          asyncio.CancelledError)
    assert live() == 0, live()


async def odd_requests() -> None:
    """Bytes that are no UTF-8 reach the access log, and a server without routes answers."""
    lines: list[str] = []
    server = apus.Server()
    server.on_access(lines.append)
    port = server.listen()
    async with server:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: \xff\r\nConnection: close\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 ")
        writer.close()
        while not lines:
            await asyncio.sleep(0)
    assert "\\xff" in lines[0], lines


class Lines(logging.Handler):
    """What the package logs."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def emit(self, _: logging.LogRecord) -> None:
        self.count += 1


def failing_server(client: apus.Client, url: str) -> apus.Server:
    """Its handlers ask somebody who hangs up, which is a failure of their own."""
    server = apus.Server()

    @server.get("/")
    async def reply(_: apus.Request) -> str:
        return (await client.get(url)).text()

    @server.events("/events")
    async def send(stream: apus.Events, _: apus.Request) -> None:
        await stream.send((await client.get(url)).text())

    @server.websocket("/channel")
    async def talk(channel: apus.Channel) -> None:
        await channel.send((await client.get(url)).text())

    return server


async def closed_elsewhere() -> None:
    """Closed, of something else than what a handler serves, is logged as any failure."""
    silent = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    nobody = f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}/"
    lines, log = Lines(), logging.getLogger("apus")
    log.addHandler(lines)
    log.propagate = False
    async with apus.Client() as client:
        server = failing_server(client, nobody)
        port = server.listen()
        async with server:
            assert (await client.get(f"http://127.0.0.1:{port}/")).status == 500
            assert lines.count == 1, lines.count
            try:
                await client.get(f"http://127.0.0.1:{port}/events")
            except apus.Closed:
                pass
            assert lines.count == 2, lines.count
            async with client.websocket(f"ws://127.0.0.1:{port}/channel") as channel:
                assert [message async for message in channel] == []
            assert lines.count == 3, lines.count
    log.removeHandler(lines)
    log.propagate = True
    silent.close()
    assert live() == 0, live()


async def closed_while_waiting() -> None:
    """The close() of a client or a server ends the waits for their channels."""
    server = apus.Server()
    ended: list[bool] = []

    @server.websocket("/")
    async def hear(channel: apus.Channel) -> None:
        ended.append([message async for message in channel] == [])

    url = f"ws://127.0.0.1:{server.listen()}/"
    async with server:
        for closer in ("client", "server"):
            client = apus.Client()
            await client.__aenter__()
            opened = client.websocket(url)
            channel = await opened.__aenter__()
            waiting = asyncio.create_task(channel.receive())
            await asyncio.sleep(0.01)
            (client if closer == "client" else server).close()
            done, _ = await asyncio.wait({waiting}, timeout=10)
            assert done and isinstance(waiting.exception(), apus.Closed), closer
            await asyncio.wait_for(opened.__aexit__(None, None, None), 10)
            client.close()
        for _ in range(5):
            await asyncio.sleep(0)
        assert ended == [True, True], ended
    assert live() == 0, live()


def headers() -> None:
    """A line break in a header of request() would be another header."""
    for name, value in (("A\r\nB", "c"), ("A", "b\nC: d"), ("A", "b\r")):
        try:
            apus.get("http://127.0.0.1:9/", {name: value})
        except ValueError:
            continue
        except apus.Error as error:
            raise AssertionError(f"{name!r}: {value!r}") from error


def stale() -> None:
    """A handle that has ended is an error, and no crash."""
    server = apus.Server()
    server.close()
    server.close()
    try:
        server.listen()
    except apus.Error as error:
        assert error.name == "APUS_E_HANDLE", error
    else:
        raise AssertionError("a server that has ended listens")


asyncio.run(own_thread())
asyncio.run(kept_and_released())
cycles()
asyncio.run(any_order())
asyncio.run(stopping())
asyncio.run(closed_inside())
asyncio.run(odd_requests())
asyncio.run(closed_elsewhere())
asyncio.run(closed_while_waiting())
headers()
stale()
print("gc ok")
