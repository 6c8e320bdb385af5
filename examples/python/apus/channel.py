"""WebSocket channels, of either end, for asyncio."""
from __future__ import annotations

import asyncio
import ctypes
from typing import Any, Callable

from ._library import FULL, Closed, Error, Message, library

TEXT = library.constants["APUS_OPCODE_TEXT"]
OPEN = library.constants["APUS_EVENT_OPEN"]
CLOSED = library.constants["APUS_E_CLOSED"]
CLOSE = library.constants["APUS_EVENT_CLOSE"]


class Flow:
    """Sends in asyncio's way: who is above the high-water mark waits until it has
    drained. `kind` is what the functions are of: channel or writer."""

    def __init__(self, handle: int, kind: str) -> None:
        self._handle = handle
        self._loop = asyncio.get_running_loop()
        self._kept: dict[int, Any] = {}
        self._kind = kind
        self._drained: asyncio.Event | None = None

    async def _send(self, function: Callable[..., Any], *arguments: Any) -> None:
        while True:
            if self._drained is not None:
                self._drained.clear()
            try:
                function(self._handle, *arguments)
                return
            except Error as error:
                if error.code != FULL:
                    raise
            if self._drained is not None:
                await self._drained.wait()
                continue
            # The first time: tried once more, now that its end will be told.
            self._drained = asyncio.Event()
            getattr(library, f"apus_{self._kind}_on_drain")(self._handle, *library.keep(
                self._kept, f"apus_{self._kind}_fn", lambda _: self._wake()))

    def _wake(self) -> None:
        """Lets who waits look again; from any thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._look)

    def _look(self) -> None:
        if self._drained is not None:
            self._drained.set()


class Channel(Flow):
    """A WebSocket. Iterating over it gives its messages, str or bytes, until it closes:

        async for message in channel:
            await channel.send(message)
    """

    def __init__(self, handle: int) -> None:
        super().__init__(handle, "channel")
        self._news = asyncio.Event()
        self._over = asyncio.Event()
        self._was_open = False  # it may have closed since
        self._was_dropped = False
        library.apus_channel_set_events(handle, 1)

    @property
    def path(self) -> str:
        return str(library.apus_channel_path(self._handle).decode())

    @property
    def protocol(self) -> str:
        return str(library.apus_channel_protocol(self._handle).decode())

    async def send(self, message: str | bytes) -> None:
        """Sends text or bytes; waits while the peer is too slow for more."""
        if isinstance(message, str):
            data = message.encode()
            await self._send(library.apus_channel_send_text, data, len(data))
        else:
            await self._send(library.apus_channel_send_binary, bytes(message), len(message))

    async def receive(self) -> str | bytes:
        """The next message. Raises Closed once there is none left to come."""
        message = Message()
        while True:
            self._news.clear()
            if self._was_dropped:
                raise Closed(CLOSED, "APUS_E_CLOSED", "its owner was closed", self._handle)
            if library.apus_channel_recv(self._handle, ctypes.byref(message), 0):
                data = ctypes.string_at(message.data, message.length)
                return data.decode() if message.opcode == TEXT else data
            await self._news.wait()

    def __aiter__(self) -> Channel:
        return self

    async def __anext__(self) -> str | bytes:
        try:
            return await self.receive()
        except Closed:
            raise StopAsyncIteration from None

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Closes it, and waits until the peer has answered."""
        data = reason.encode()
        if self._was_dropped:
            return
        try:
            library.apus_channel_close(self._handle, code, data, len(data))
        except Closed:
            return
        await self._over.wait()

    # ---- for those who make channels

    async def _open(self, url: str) -> None:
        library.apus_channel_open(self._handle, url)
        await self._news.wait()
        if not self._was_open:
            library.apus_channel_wait_open(self._handle, 0)  # raises why it is not

    def _hear(self, kind: int) -> None:
        if kind == OPEN:
            self._was_open = True
        elif kind == CLOSE:
            self._over.set()
        self._news.set()
        self._look()

    def _drop(self) -> None:
        """Its server or client has ended, and it with that: who waits looks again."""
        self._was_dropped = True
        self._hear(CLOSE)

    def _destroy(self) -> None:
        library.apus_channel_destroy(self._handle)
