#!/usr/bin/env python3
"""The library in Python, by ctypes alone, inside asyncio: the loop watches the
server's descriptor and takes requests when it is readable, as callbacks (tick) or
as events without any callback (next), with worker threads or none. The clients
are requests (or urllib, where that is missing) in other threads."""
# ctest: nosanitize
import asyncio
import ctypes
import json
import os
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from ctypes import CFUNCTYPE, POINTER, Structure, byref, c_char_p, c_int32, c_size_t
from ctypes import c_uint64, c_void_p

from common import check, checks, report

try:
    import requests
except ImportError:
    requests = None

TICK, GET, POST, ANY = 0, 1, 3, -2
HANDLER = CFUNCTYPE(None, c_void_p, c_uint64)
DROP = CFUNCTYPE(None, c_void_p)


class Event(Structure):
    _fields_ = [("kind", c_int32), ("route", c_int32), ("handle", c_uint64),
                ("connection", c_uint64), ("reserved", c_uint64 * 5)]


SIGNATURES = {
    "apus_last_error_message": (c_char_p, []),
    "apus_live_count": (c_int32, [c_int32]),
    "apus_server_make": (c_uint64, []),
    "apus_server_destroy": (c_int32, [c_uint64]),
    "apus_server_set_workers": (c_int32, [c_uint64, c_int32]),
    "apus_server_listen": (c_int32, [c_uint64, c_char_p, c_int32]),
    "apus_server_port": (c_int32, [c_uint64, c_int32]),
    "apus_server_start": (c_int32, [c_uint64]),
    "apus_server_stop": (c_int32, [c_uint64]),
    "apus_server_tick": (c_int32, [c_uint64, c_int32]),
    "apus_server_next": (c_int32, [c_uint64, POINTER(Event), c_int32]),
    "apus_server_event_fd": (c_int32, [c_uint64]),
    "apus_server_route": (c_int32, [c_uint64, c_int32, c_char_p, HANDLER, c_void_p, DROP]),
    "apus_request_method_name": (c_char_p, [c_uint64]),
    "apus_request_path": (c_char_p, [c_uint64]),
    "apus_request_header": (c_char_p, [c_uint64, c_char_p, POINTER(c_size_t)]),
    "apus_request_param": (c_char_p, [c_uint64, c_char_p, POINTER(c_size_t)]),
    "apus_request_query_param": (c_char_p, [c_uint64, c_char_p, POINTER(c_size_t)]),
    "apus_request_body": (c_void_p, [c_uint64, POINTER(c_size_t)]),
    "apus_reply_set_header": (c_int32, [c_uint64, c_char_p, c_char_p]),
    "apus_reply_json": (c_int32, [c_uint64, c_int32, c_char_p]),
}


def load():
    library = ctypes.CDLL(os.environ["APUS_LIBRARY"])
    for name, (result, arguments) in SIGNATURES.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


apus = load()

def need(result):
    """A result that has to be a success."""
    if result < 0:
        raise OSError(f"{result}: {apus.apus_last_error_message().decode()}")
    return result


def answer(request):
    """Tells the client what it has sent."""
    length = c_size_t()
    body = apus.apus_request_body(request, byref(length))
    agent = apus.apus_request_header(request, b"X-Agent", None)
    query = apus.apus_request_query_param(request, b"q", None)
    text = json.dumps({
        "method": apus.apus_request_method_name(request).decode(),
        "path": apus.apus_request_path(request).decode(),
        "name": (apus.apus_request_param(request, b"name", None) or b"").decode(),
        "q": query.decode() if query is not None else None,
        "agent": agent.decode() if agent is not None else None,
        "sum": sum(ctypes.string_at(body, length.value)),
    })
    need(apus.apus_reply_set_header(request, b"X-Python", b"asyncio"))
    need(apus.apus_reply_json(request, 200, text.encode()))


class Served:
    """A server whose loop is the asyncio loop that it was started in."""

    def __init__(self, workers, pulling):
        self.server = apus.apus_server_make()
        need(apus.apus_server_set_workers(self.server, workers))
        self.pulling = pulling
        self.taken = 0
        self.handler = HANDLER(self.handle)
        given = HANDLER() if pulling else self.handler
        for pattern in (b"/", b"/hello/:name"):
            need(apus.apus_server_route(self.server, ANY, pattern, given, None, DROP()))
        need(apus.apus_server_listen(self.server, b"127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{apus.apus_server_port(self.server, 0)}"
        need(apus.apus_server_start(self.server))
        self.descriptor = need(apus.apus_server_event_fd(self.server))
        asyncio.get_running_loop().add_reader(self.descriptor, self.ready)

    def handle(self, _context, request):
        self.taken += 1
        answer(request)

    def ready(self):
        if not self.pulling:
            need(apus.apus_server_tick(self.server, 0))
            return
        event = Event()
        while need(apus.apus_server_next(self.server, byref(event), 0)) == 1:
            self.handle(None, event.handle)

    def close(self):
        asyncio.get_running_loop().remove_reader(self.descriptor)
        need(apus.apus_server_stop(self.server))
        check("destroy", 1, apus.apus_server_destroy(self.server))


class Client:
    """requests where there is one, else urllib."""

    def __init__(self):
        self.session = requests.Session() if requests else None

    def ask(self, method, url, body=None):
        headers = {"X-Agent": "tester"}
        if self.session:
            reply = self.session.request(method, url, data=body, headers=headers, timeout=20)
            return reply.status_code, reply.headers, reply.content
        request = urllib.request.Request(url, data=body, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as reply:
                return reply.status, reply.headers, reply.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()


def run_client(url, number):
    """What one client does; runs in a thread of its own."""
    client = Client()
    body = bytes(range(256)) * (number + 1)
    results = [client.ask("GET", f"{url}/?q=a%20b"),
               client.ask("POST", f"{url}/hello/J%C3%BCrgen", body),
               client.ask("BREW", f"{url}/hello/pot"),
               client.ask("GET", f"{url}/none")]
    return sum(body), results


def judge(total, results):
    expected = [
        {"method": "GET", "path": "/", "name": "", "q": "a b", "sum": 0},
        {"method": "POST", "path": "/hello/J\u00fcrgen", "name": "J\u00fcrgen", "q": None,
         "sum": total},
        {"method": "BREW", "path": "/hello/pot", "name": "pot", "q": None, "sum": 0},
    ]
    for (status, headers, body), want in zip(results, expected):
        check("status", 200, status)
        check("header", "asyncio", headers.get("X-Python"))
        check("type", "application/json", headers.get("Content-Type"))
        check("body", dict(want, agent="tester"), json.loads(body))
    check("missing", 404, results[3][0])


async def serve(workers, pulling):
    served = Served(workers, pulling)
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(8) as pool:
        clients = [loop.run_in_executor(pool, run_client, served.url, number)
                   for number in range(24)]
        for total, results in await asyncio.wait_for(asyncio.gather(*clients), 60):
            judge(total, results)
    check("requests taken", 24 * 3, served.taken)
    served.close()


def main():
    for workers in (2, 0):
        for pulling in (False, True):
            asyncio.run(serve(workers, pulling))
            print(f"{workers} workers, {'next' if pulling else 'tick'}: {checks['right']} right")
    check("live handles", 0, apus.apus_live_count(0))
    return report(f"python_test with {'requests' if requests else 'urllib'}")


if __name__ == "__main__":
    sys.exit(main())
