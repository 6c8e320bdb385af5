"""The server: an asyncio program's, or one of its own."""
from __future__ import annotations

import asyncio
import contextlib
import ctypes
import inspect
import json
import weakref
from typing import Any, Awaitable, Callable

from ._library import Closed, Error, Event, attempt, library, log, pairs, set_options, taken
from .channel import Channel, Flow

Handler = Callable[..., Any]
STATE = library.constants["APUS_E_STATE"]
REQUEST = library.constants["APUS_EVENT_REQUEST"]
CHANNEL = library.constants["APUS_EVENT_CHANNEL"]


class Request:
    """What a client has sent, and the reply to it. What a handler returns is the reply:
    str is text, bytes are bytes, anything else is written as JSON; or it calls reply()."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self.replied = False

    def _text(self, name: str) -> str:
        text: bytes = getattr(library, f"apus_request_{name}")(self._handle)
        return text.decode("utf-8", "replace")

    @property
    def method(self) -> str:
        return self._text("method_name")

    @property
    def path(self) -> str:
        return self._text("path")

    @property
    def client_ip(self) -> str:
        return self._text("client_ip")

    @property
    def headers(self) -> list[tuple[str, str]]:
        return pairs(self._handle, "request_header")

    def header(self, name: str) -> str | None:
        value = attempt(taken, library.apus_request_header, self._handle, name)
        return None if value is None else value.decode("utf-8", "replace")

    @property
    def params(self) -> dict[str, str]:
        """The parameters of the route's pattern."""
        return dict(pairs(self._handle, "request_param"))

    @property
    def query(self) -> dict[str, str]:
        return dict(pairs(self._handle, "request_query_param"))

    @property
    def body(self) -> bytes:
        return taken(library.apus_request_body, self._handle)

    def json(self) -> Any:
        return json.loads(self.body)

    def set_header(self, name: str, value: str) -> None:
        """Sets a field of the reply to come."""
        library.apus_reply_set_header(self._handle, name, value)

    def reply(self, body: Any = b"", status: int = 200, type: str | None = None) -> None:
        if isinstance(body, str):
            data, usual = body.encode(), "text/plain; charset=utf-8"
        elif isinstance(body, (bytes, bytearray, memoryview)):
            data, usual = bytes(body), "application/octet-stream"
        else:
            data, usual = json.dumps(body).encode(), "application/json"
        library.apus_reply(self._handle, status, type or usual, data, len(data))
        self.replied = True


def _has_gone(error: Exception, *handles: int) -> bool:
    """Whether a handler failed as the peer that it serves has gone, and not another."""
    return isinstance(error, Closed) and error.handle in handles


class Events(Flow):
    """A stream of Server-Sent Events."""

    def __init__(self, request: Request) -> None:
        super().__init__(library.apus_writer_make_events(request._handle), "writer")
        try:
            library.apus_writer_on_close(self._handle, *library.keep(
                self._kept, "apus_writer_fn", lambda _: self._wake()))
        except Error:
            library.apus_writer_destroy(self._handle)
            raise

    async def send(self, data: str, event: str | None = None, id: str | None = None) -> None:
        """Sends an event; waits while the client is too slow. Raises Closed when it left."""
        encoded = data.encode()
        await self._send(library.apus_writer_event, event, id, encoded, len(encoded))

    def subscribe(self, topic: str) -> None:
        library.apus_writer_subscribe(self._handle, topic)

    def _finish(self, whole: bool) -> None:
        try:
            if whole:
                library.apus_writer_end(self._handle)
        except Error:
            pass  # its client has gone
        library.apus_writer_destroy(self._handle)


class Server:
    """Listens once it was told where, and serves inside `async with`, or by serve().
    Options are those of apus_server_set_NAME(): Server(max_body=1024). A server that
    nobody refers to any more is ended."""

    def __init__(self, **options: Any) -> None:
        self._handle: int = library.apus_server_make()
        self._end = weakref.finalize(self, library.apus_server_destroy, self._handle)
        self._routes: dict[int, tuple[Callable[..., Awaitable[None]], Handler]] = {}
        self._channels: dict[int, Channel] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._kept: dict[int, Any] = {}
        self._watched: tuple[asyncio.AbstractEventLoop, int] | None = None
        set_options(self._handle, "server", options)

    # ---- routes: decorators

    def route(self, method: str, pattern: str) -> Callable[[Handler], Handler]:
        """Has a function, async or not, handle the requests of a method and a pattern."""
        number = library.apus_server_route_named(self._handle, method, pattern, None, None, None)
        return self._add(number, Server._handle_request)

    def get(self, pattern: str) -> Callable[[Handler], Handler]:
        return self.route("GET", pattern)

    def post(self, pattern: str) -> Callable[[Handler], Handler]:
        return self.route("POST", pattern)

    def events(self, pattern: str) -> Callable[[Handler], Handler]:
        """Has an async function of a stream and a request send events."""
        number = library.apus_server_events(self._handle, pattern, None, None, None)
        return self._add(number, Server._handle_events)

    def websocket(self, pattern: str) -> Callable[[Handler], Handler]:
        """Has an async function of a channel serve it; the channel closes when it returns."""
        number = library.apus_server_websocket(self._handle, pattern, None, None, None)
        return self._add(number, Server._handle_channel)

    def on_access(self, function: Callable[[str], Any]) -> None:
        """Has a function take a line for each request (Combined Log Format)."""
        library.apus_server_on_access(self._handle, *library.keep(
            self._kept, "apus_access_fn",
            lambda _, line, __: function(line.decode("utf-8", "backslashreplace"))))

    def folder(self, prefix: str, path: str) -> None:
        library.apus_server_serve_folder(self._handle, prefix, path)

    def _add(self, number: int, run: Callable[..., Awaitable[None]]) -> Callable[..., Handler]:
        def add(handler: Handler) -> Handler:
            self._routes[number] = (run, handler)
            return handler
        return add

    # ---- its life

    def listen(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Binds a listener; returns its port."""
        index = library.apus_server_listen(self._handle, host, port)
        return int(library.apus_server_port(self._handle, index))

    async def __aenter__(self) -> Server:
        library.apus_server_start(self._handle)
        loop, descriptor = asyncio.get_running_loop(), library.apus_server_event_fd(self._handle)
        loop.add_reader(descriptor, self._ready)
        self._watched = loop, descriptor
        return self

    async def __aexit__(self, *_: Any) -> None:
        """Stops it: requests under way may finish within the drain timeout, channels close
        with 1001; what runs still is cancelled."""
        self._unwatch()
        if self._end.alive:
            await self._stop()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.close()

    async def _stop(self) -> None:
        # What comes meanwhile is still taken: the ends of channels, and who waits.
        stopping = asyncio.get_running_loop().run_in_executor(
            None, library.apus_server_stop, self._handle)
        while not stopping.done():
            with contextlib.suppress(Error):
                self._ready()
            await asyncio.wait({stopping}, timeout=0.02)
        await stopping

    def _unwatch(self) -> None:
        if self._watched is not None:
            loop, descriptor = self._watched
            self._watched = None
            loop.remove_reader(descriptor)

    async def serve(self) -> None:
        """Serves until it is cancelled."""
        async with self:
            await asyncio.Event().wait()

    def close(self) -> None:
        """Ends it at once, with whatever is under way."""
        self._unwatch()
        self._end()
        for channel in list(self._channels.values()):
            channel._drop()

    def publish(self, topic: str, data: str) -> None:
        encoded = data.encode()
        library.apus_server_publish_event(self._handle, topic, None, None, encoded, len(encoded))

    # ---- what comes in

    def _ready(self) -> None:
        """Takes what waits. The library calls no handler: it hands over requests, so that
        all of them run in the event loop, as any other task."""
        event = Event()
        while library.apus_server_next(self._handle, ctypes.byref(event), 0):
            if event.kind == REQUEST:
                if event.route not in self._routes:
                    library.apus_request_destroy(event.handle)
                    continue
                run, handler = self._routes[event.route]
                self._start(run(self, Request(event.handle), handler))
            elif event.kind == CHANNEL:
                if event.route not in self._routes:
                    library.apus_channel_destroy(event.handle)
                    continue
                run, handler = self._routes[event.route]
                channel = self._channels[event.handle] = Channel(event.handle)
                self._start(run(self, channel, handler))
            elif event.handle in self._channels:
                self._channels[event.handle]._hear(event.kind)

    def _start(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _handle_request(self, request: Request, handler: Handler) -> None:
        try:
            result = handler(request)
            if inspect.isawaitable(result):
                result = await result
            if not request.replied:
                request.reply(result)
        except Exception as error:
            if not _has_gone(error, request._handle):
                log.exception("%r failed", handler)
        finally:
            # Without a reply that was given before, this sends 500.
            library.apus_request_destroy(request._handle)

    async def _handle_events(self, request: Request, handler: Handler) -> None:
        try:
            stream = Events(request)
        except Error:  # the client has gone
            library.apus_request_destroy(request._handle)
            return
        whole = False
        try:
            await handler(stream, request)
            whole = True
        except Exception as error:
            if not _has_gone(error, stream._handle, request._handle):
                log.exception("%r failed", handler)
        finally:
            stream._finish(whole)
            library.apus_request_destroy(request._handle)

    async def _handle_channel(self, channel: Channel, handler: Handler) -> None:
        try:
            await handler(channel)
            await channel.close()
        except Exception as error:
            if not _has_gone(error, channel._handle):
                log.exception("%r failed", handler)
                await channel.close(1011)
        finally:
            del self._channels[channel._handle]
            channel._destroy()
