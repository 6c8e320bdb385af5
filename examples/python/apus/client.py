"""The client: one-liners that block, and one for asyncio."""
from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import weakref
from dataclasses import dataclass
from typing import Any, AsyncIterator

from ._library import Event, library, pairs, set_options, taken
from .channel import Channel


@dataclass(frozen=True)
class Response:
    """What a server has answered, whole."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    url: str

    def header(self, name: str) -> str | None:
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), None)

    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        return json.loads(self.body)


def _copy(handle: int) -> Response:
    return Response(library.apus_response_status(handle), pairs(handle, "response_header"),
                    taken(library.apus_response_body, handle),
                    library.apus_response_url(handle).decode())


def request(method: str, url: str, body: bytes = b"",
            headers: dict[str, str] | None = None) -> Response:
    """Sends one request over a connection of its own, and waits for the response."""
    lines = [f"{name}: {value}" for name, value in (headers or {}).items()]
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("a line break inside a header")
    handle = library.apus_http(method, url, "\n".join(lines) or None, body, len(body))
    try:
        return _copy(handle)
    finally:
        library.apus_response_destroy(handle)


def get(url: str, headers: dict[str, str] | None = None) -> Response:
    return request("GET", url, headers=headers)


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class Client:
    """Keeps connections and cookies, for one event loop. Options are those of
    apus_client_set_NAME(): Client(total_timeout=5000).

        async with Client() as client:
            print((await client.get("http://127.0.0.1:8080/")).text())
    """

    def __init__(self, **options: Any) -> None:
        self._handle: int = library.apus_client_make()
        self._end = weakref.finalize(self, library.apus_client_destroy, self._handle)
        self._channels: dict[int, Channel] = {}
        self._waiting: set[asyncio.Future[None]] = set()
        self._watched: tuple[asyncio.AbstractEventLoop, int] | None = None
        set_options(self._handle, "client", options)

    async def __aenter__(self) -> Client:
        loop, descriptor = asyncio.get_running_loop(), library.apus_client_event_fd(self._handle)
        loop.add_reader(descriptor, self._ready)
        self._watched = loop, descriptor
        return self

    async def __aexit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        """Ends it, and what is under way: who waits for a response is cancelled, and for
        a message told that the channel has closed."""
        self._unwatch()
        for waiting in list(self._waiting):
            waiting.cancel()
        self._end()
        for channel in list(self._channels.values()):
            channel._drop()

    def _unwatch(self) -> None:
        if self._watched is not None:
            loop, descriptor = self._watched
            self._watched = None
            loop.remove_reader(descriptor)

    async def get(self, url: str, **options: Any) -> Response:
        return await self.request("GET", url, **options)

    async def post(self, url: str, body: bytes, **options: Any) -> Response:
        return await self.request("POST", url, body=body, **options)

    async def request(self, method: str, url: str, *, body: bytes | None = None,
                      type: str | None = None, headers: dict[str, str] | None = None,
                      **options: Any) -> Response:
        """Sends a request; options are those of apus_fetch_set_NAME()."""
        fetch = library.apus_fetch_make(self._handle, method, url)
        kept: dict[int, Any] = {}
        done = asyncio.get_running_loop().create_future()
        self._waiting.add(done)
        done.add_done_callback(self._waiting.discard)
        try:
            for name, value in (headers or {}).items():
                library.apus_fetch_add_header(fetch, name, value)
            if body is not None:
                library.apus_fetch_set_body(fetch, body, len(body), type)
            set_options(fetch, "fetch", options)
            library.apus_fetch_on_complete(fetch, *library.keep(
                kept, "apus_fetch_complete_fn", lambda *_: _finish(done)))
            library.apus_fetch_start(fetch)
            await done
            library.apus_fetch_result(fetch)
            return _copy(library.apus_fetch_response(fetch))
        finally:
            done.cancel()  # where it was not sent
            library.apus_fetch_destroy(fetch)

    @contextlib.asynccontextmanager
    async def websocket(self, url: str, *, headers: dict[str, str] | None = None,
                        **options: Any) -> AsyncIterator[Channel]:
        """Opens a WebSocket; options are those of apus_channel_set_NAME()."""
        channel = Channel(library.apus_channel_make(self._handle))
        self._channels[channel._handle] = channel
        try:
            for name, value in (headers or {}).items():
                library.apus_channel_add_header(channel._handle, name, value)
            set_options(channel._handle, "channel", options)
            await channel._open(url)
            yield channel
            await channel.close()
        finally:
            del self._channels[channel._handle]
            channel._destroy()

    def _ready(self) -> None:
        event = Event()
        while library.apus_client_next(self._handle, ctypes.byref(event), 0):
            if event.handle in self._channels:
                self._channels[event.handle]._hear(event.kind)
