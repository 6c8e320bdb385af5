"""The HTTP client by ctypes, for tests whose servers are of other makes: a client in
one of its dispatches, fetches that block or that tell their news by callbacks, and how
each of them went, copied out of it."""
import ctypes
import os
import threading
import time
from ctypes import byref, c_char_p, c_int32, c_int64, c_size_t, c_uint64, c_void_p

E_ARGUMENT, E_STATE, E_FULL, E_TIMEOUT, E_CLOSED, E_PROTOCOL = -2, -3, -6, -7, -8, -9
E_IO, E_TOO_LARGE, E_NOT_FOUND, E_PERMISSION, E_UNSUPPORTED = -10, -11, -12, -14, -18
IDLE, RUNNING, DONE = 0, 1, 2
PATIENCE = 180  # seconds until something that does not come counts as lost

TYPES = {"i": c_int32, "l": c_int64, "h": c_uint64, "s": c_char_p, "p": c_void_p, "z": c_size_t}
# A function, its result, its arguments; before each name goes "apus_".
SIGNATURES = """
last_error i -, last_error_message s -, error_name s i, live_count i i
client_make h -, client_destroy i h, client_is_alive i h, client_set_workers i hi
client_set_dispatch i hi, client_tick i hi, client_wake i h
client_set_base_url i hs, client_set_header i hss, client_set_connect_timeout i hi
client_set_response_timeout i hi, client_set_idle_timeout i hi
client_set_total_timeout i hi, client_set_redirects i hi, client_set_max_body i hl
client_set_decoding i hi, client_set_keep_alive i hi, client_set_max_connections i hiii
client_set_idle_connection_timeout i hi, client_set_unix_socket i hs
client_set_cookies i hi, client_cookie_count i h, client_cookie_at i hisz
client_add_cookie i hss, client_clear_cookies i h
client_set_basic i hss, client_set_bearer i hs, client_set_digest i hss
client_set_credentials i hss, client_set_proxy i hs, client_set_no_proxy i hs
fetch_make h hss, fetch_destroy i h, fetch_is_alive i h, fetch_set_method i hs
fetch_set_url i hs, fetch_add_header i hss, fetch_set_header i hss, fetch_add_query i hss
fetch_set_body i hszs, fetch_set_body_file i hss, fetch_set_body_source i hlsppp
fetch_set_connect_timeout i hi, fetch_set_response_timeout i hi
fetch_set_idle_timeout i hi, fetch_set_total_timeout i hi, fetch_set_redirects i hi
fetch_set_max_body i hl, fetch_set_decoding i hi, fetch_set_expect i hi
fetch_set_retries i hii, fetch_allow_downgrade i hi, fetch_set_output_file i hs
fetch_set_basic i hss, fetch_set_bearer i hs, fetch_set_digest i hss
fetch_set_credentials i hss, fetch_add_field i hss, fetch_add_file i hssss
fetch_add_part i hsszss, fetch_on_response i hppp, fetch_on_body i hppp
fetch_on_complete i hppp, fetch_start i h, fetch_wait i hi, fetch_send h h
fetch_cancel i h, fetch_pause i h, fetch_resume i h, fetch_state i h, fetch_result i h
fetch_response h h, response_keep i h, response_destroy i h, response_version i h
response_status i h, response_reason s h, response_header_count i h
response_header_at i hippp, response_trailer_count i h, response_trailer_at i hippp
response_body p hp, response_content_length l h, response_body_bytes l h
response_url s h, response_redirects i h, response_address i hsz, response_time_us l hi
get h ss, head h ss, delete h ss, post h sssz, put h sssz, patch h sssz, http h sssssz
"""
RESPONSE_FN = ctypes.CFUNCTYPE(None, c_void_p, c_uint64, c_uint64)
BODY_FN = ctypes.CFUNCTYPE(None, c_void_p, c_uint64, c_void_p, c_size_t)
COMPLETE_FN = ctypes.CFUNCTYPE(None, c_void_p, c_uint64, c_uint64, c_int32)
SOURCE_FN = ctypes.CFUNCTYPE(c_int64, c_void_p, c_uint64, c_void_p, c_size_t)
DROP_FN = ctypes.CFUNCTYPE(None, c_void_p)

apus = ctypes.CDLL(os.environ["APUS_LIBRARY"])

def declare_more(signatures):
    for line in signatures.replace("\n", ",").split(","):
        if line:
            name, result, arguments = line.split()
            function = getattr(apus, "apus_" + name)
            function.restype = TYPES[result]
            function.argtypes = [TYPES[letter] for letter in arguments.replace("-", "")]


declare_more(SIGNATURES)


class Refused(Exception):
    """A call that gave an error; `code` is it."""

    def __init__(self, name):
        self.code = apus.apus_last_error()
        self.message = apus.apus_last_error_message().decode()
        super().__init__(f"{name}: {self.code} {self.message}")


def call(name, *arguments):
    """A function of the library, texts as UTF-8. What it refuses raises."""
    function = getattr(apus, "apus_" + name)
    encoded = [each.encode() if isinstance(each, str) else each for each in arguments]
    result = function(*encoded)
    if isinstance(result, int) and result < 0 or result == 0 and function.restype is c_uint64:
        raise Refused(name)
    return result


def fields_of(response, kind):
    """The fields, or the trailer fields, in their order."""
    result, name, value, length = [], c_char_p(), c_void_p(), c_size_t()
    for index in range(call(f"response_{kind}_count", response)):
        call(f"response_{kind}_at", response, index, byref(name), byref(value), byref(length))
        text = ctypes.string_at(value, length.value).decode("latin-1")
        result.append((name.value.decode(), text))
    return result


class Outcome:
    """How a fetch went: code and message are 0 and "" where it went well."""
    status = version = redirects = 0
    reason = url = address = ""
    port = None
    body, headers, trailers = b"", [], []
    length = body_bytes = -1

    def __init__(self, response, code=0, message=""):
        self.code, self.message = code, message
        if not response:
            return
        self.status, self.version = call("response_status", response), \
            call("response_version", response)
        self.reason = call("response_reason", response).decode("latin-1")
        self.headers, self.trailers = fields_of(response, "header"), fields_of(response, "trailer")
        self.length = apus.apus_response_content_length(response)
        self.body_bytes = call("response_body_bytes", response)
        self.url, self.redirects = call("response_url", response).decode(), \
            call("response_redirects", response)
        size = c_size_t()
        text = call("response_body", response, byref(size))
        self.body = ctypes.string_at(text, size.value)
        buffer = ctypes.create_string_buffer(64)
        self.port = call("response_address", response, buffer, 64)
        self.address = buffer.value.decode()

    def values(self, name):
        return [value for other, value in self.headers if other.lower() == name.lower()]

    def value(self, name):
        return ", ".join(self.values(name)) if self.values(name) else None

    def __repr__(self):
        if self.code:
            return f"<{self.code} {self.message!r}>"
        return f"<{self.status} {self.headers} {self.body[:200]!r}>"


class Client:
    """A client: worker (two workers call), tick (one works, this process ticks) or
    threadless (whoever waits or ticks does the work). As many contexts as were given
    are dropped when it has ended."""

    def __init__(self, mode="worker", **options):
        self.mode, self.drops, self.given = mode, 0, 0
        self.handle = call("client_make")
        self.set(workers={"worker": 2, "tick": 1, "threadless": 0}[mode],
                 dispatch=1 if mode == "worker" else 0, **options)
        self.lock = threading.Lock()
        self.dropper = DROP_FN(self.dropped)
        self.kept = []  # callbacks, for as long as they may be called

    def set(self, **options):
        for name, value in options.items():
            values = value if isinstance(value, tuple) else (value,)
            call("client_set_" + name, self.handle, *values)

    def dropped(self, _context):
        with self.lock:
            self.drops += 1

    def register(self, name, fetch, function, *before):
        """Sets a callback that counts its drop."""
        self.kept.append(function)
        self.given += 1
        call(name, fetch, *before, ctypes.cast(function, c_void_p), None,
             ctypes.cast(self.dropper, c_void_p))

    def drive(self, event):
        """Until the event is set, by callbacks; False when it never is."""
        if self.mode == "worker":
            return event.wait(PATIENCE)
        limit = time.monotonic() + PATIENCE
        while not event.is_set() and time.monotonic() < limit:
            call("client_tick", self.handle, 100)
        return event.is_set()

    def ask(self, form, method, url, **options):
        """One fetch from beginning to end: "blocking" or "callbacks"."""
        fetch = Fetch(self, method, url, **options)
        try:
            return fetch.send() if form == "blocking" else fetch.tell().finish()
        finally:
            fetch.end()

    def end(self):
        return call("client_destroy", self.handle)


class Fetch:
    """A fetch. Options are those of apus_fetch_set_*, and add_* as lists; `source` is
    an iterable of pieces, with `source_length`."""

    def __init__(self, client, method, url, **options):
        self.client = client
        self.handle = call("fetch_make", client.handle, method, url)
        self.events, self.pieces, self.codes = [], [], []
        self.done, self.moved = threading.Event(), threading.Event()
        self.pause_at = None
        self.cancel_at = None
        self.is_asked = False
        source, length = options.pop("source", None), options.pop("source_length", -1)
        if source is not None:
            self.give(source, length)
        self.set(**options)

    def set(self, **options):
        for name, value in options.items():
            if name.startswith("add_"):
                for each in value:
                    call("fetch_" + name, self.handle, *each)
            elif name == "body":
                data, kind = value if isinstance(value, tuple) else (value, None)
                call("fetch_set_body", self.handle, data, len(data), kind)
            else:
                values = value if isinstance(value, tuple) else (value,)
                call("fetch_set_" + name, self.handle, *values)

    def give(self, pieces, length):
        self.is_asked = True
        pieces = iter(pieces)

        def source(_context, _fetch, buffer, capacity):
            piece = next(pieces, b"")
            if piece is None or len(piece) > capacity:
                return -1
            ctypes.memmove(buffer, piece, len(piece))
            return len(piece)
        self.client.kept.append(SOURCE_FN(source))
        self.client.given += 1
        call("fetch_set_body_source", self.handle, length, None,
             ctypes.cast(self.client.kept[-1], c_void_p), None,
             ctypes.cast(self.client.dropper, c_void_p))

    # ---- blocking

    def send(self):
        """Where this process ticks, it does so for a source, too."""
        if self.client.mode == "tick" and self.is_asked:
            self.start()
            while call("fetch_state", self.handle) != DONE:
                call("client_tick", self.client.handle, 100)
            code = apus.apus_fetch_result(self.handle)
            response = apus.apus_fetch_response(self.handle) if code == 0 else 0
        else:
            response = apus.apus_fetch_send(self.handle)
        if response:
            return Outcome(response)
        return Outcome(0, apus.apus_last_error(), apus.apus_last_error_message().decode())

    # ---- by callbacks

    def tell(self, body=True):
        """Has all news told, and starts."""
        client = self.client
        client.register("fetch_on_response", self.handle, RESPONSE_FN(self.on_response))
        if body:
            client.register("fetch_on_body", self.handle, BODY_FN(self.on_body))
        client.register("fetch_on_complete", self.handle, COMPLETE_FN(self.on_complete))
        return self.start()

    def start(self):
        call("fetch_start", self.handle)
        return self

    def on_response(self, _context, _fetch, response):
        self.events.append(("response", call("response_status", response)))

    def on_body(self, _context, fetch, data, length):
        self.pieces.append(ctypes.string_at(data, length))
        self.events.append(("body", length))
        if self.pause_at is not None and self.received >= self.pause_at:
            self.pause_at = None
            apus.apus_fetch_pause(fetch)
            self.moved.set()
        if self.cancel_at is not None and self.received >= self.cancel_at:
            self.cancel_at = None
            apus.apus_fetch_cancel(fetch)

    def on_complete(self, _context, _fetch, response, result):
        self.events.append(("complete", result))
        self.codes.append((result, bool(response)))
        self.done.set()

    @property
    def received(self):
        return sum(len(piece) for piece in self.pieces)

    def finish(self):
        """Waits for the end that is told; the outcome has the pieces as its body."""
        if not self.client.drive(self.done):
            return Outcome(0, E_TIMEOUT, "on_complete was not called")
        code = apus.apus_fetch_result(self.handle)
        outcome = Outcome(apus.apus_fetch_response(self.handle) if code == 0 else 0, code,
                          "" if code == 0 else apus.apus_last_error_message().decode())
        if [code] != [each for each, _ in self.codes]:
            return Outcome(0, E_STATE, f"the result is {code}, and was told as {self.codes}")
        if self.pieces:
            outcome.body = b"".join(self.pieces)
        if not self.in_order():
            return Outcome(0, E_STATE, f"news out of order: {self.events[:9]}")
        return outcome

    def in_order(self):
        names = [name for name, _ in self.events]
        return names[-1] == "complete" and names.count("complete") == 1 and \
            "response" not in names[1:] and ("body" not in names or names[0] == "response")

    def end(self):
        return apus.apus_fetch_destroy(self.handle)
