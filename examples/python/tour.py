"""The package in one program: tour.py serve | get URL | ws URL TEXT"""
import asyncio
import sys
import threading
from typing import Any, Callable, Coroutine

import apus

server = apus.Server()


@server.get("/hello/:name")
def hello(request: apus.Request) -> str:
    return f"Hello, {request.params['name']}!\n"


@server.get("/fail")
def fail(request: apus.Request) -> str:
    raise ValueError("this handler always fails")


@server.events("/events")
async def events(stream: apus.Events, request: apus.Request) -> None:
    for number in (1, 2, 3):
        await stream.send(f"tick {number}", id=str(number))


@server.websocket("/echo")
async def echo(channel: apus.Channel) -> None:
    async for message in channel:
        await channel.send(message)


def watch_input(loop: asyncio.AbstractEventLoop, ended: asyncio.Event) -> None:
    sys.stdin.read()
    loop.call_soon_threadsafe(ended.set)


async def serve() -> None:
    """Serves until standard input ends."""
    print(f"http://127.0.0.1:{server.listen()}/", flush=True)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    threading.Thread(target=watch_input, args=(loop, ended), daemon=True).start()
    async with server:
        await ended.wait()


async def get(url: str) -> None:
    async with apus.Client() as client:
        response = await client.get(url)
    sys.stdout.buffer.write(response.body)


async def ws(url: str, text: str) -> None:
    async with apus.Client() as client, client.websocket(url) as channel:
        await channel.send(text)
        print(await channel.receive())


COMMANDS: dict[str, Callable[..., Coroutine[Any, Any, None]]] = {
    "serve": serve, "get": get, "ws": ws}

if __name__ == "__main__":
    try:
        asyncio.run(COMMANDS[sys.argv[1]](*sys.argv[2:]))
    except apus.Error as error:
        sys.exit(f"tour: {error}")
