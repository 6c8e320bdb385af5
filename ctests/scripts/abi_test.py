#!/usr/bin/env python3
"""The interface as data, apus.abi.json: made from the header and nothing else, installed,
with every function of the library in it and something said about each. Then a binding is
made of it, and a server and a client are run by that alone."""
# ctest: nosanitize
import ctypes
import json
import os
import re
import subprocess
import sys

from common import SOURCE, check, report

NUMBERS = {"int32_t": ctypes.c_int32, "uint32_t": ctypes.c_uint32, "int64_t": ctypes.c_int64,
           "uint64_t": ctypes.c_uint64, "size_t": ctypes.c_size_t, "uint8_t": ctypes.c_uint8,
           "uint16_t": ctypes.c_uint16, "void": None}


class Binding:
    """What a generator would write for ctypes, made at once."""

    def __init__(self, document, library):
        self.library = ctypes.CDLL(library)
        self.types = dict(NUMBERS, **{name: ctypes.c_uint64 for name in document["handles"]})
        for callback in document["callbacks"]:
            self.types[callback["name"]] = ctypes.CFUNCTYPE(
                self.type(callback["returns"]),
                *(self.type(each["type"]) for each in callback["arguments"]))
        for each in document["constants"]:
            setattr(self, each["name"], each["value"])
        for function in document["functions"]:
            made = self.library[function["name"]]
            made.argtypes = [self.type(each["type"]) for each in function["arguments"]]
            made.restype = self.type(function["returns"]["type"])
            setattr(self, function["name"], made)

    def type(self, text):
        if text == "const char *":
            return ctypes.c_char_p
        return ctypes.c_void_p if text.endswith("*") else self.types[text]


def run(apus):
    """A page, and its reader."""
    def hello(_, request):
        apus.apus_reply_text(request, 200, b"Hello from " + apus.apus_request_param(
            request, b"name", None))
    handler = apus.types["apus_handler_fn"](hello)
    nothing = apus.types["apus_drop_fn"]()
    server = apus.apus_server_make()
    check("a route", 0, apus.apus_server_get(server, b"/:name", handler, None, nothing))
    check("a dispatch", 0, apus.apus_server_set_dispatch(server, apus.APUS_DISPATCH_WORKER))
    check("a listener", 0, apus.apus_server_listen(server, b"127.0.0.1", 0))
    check("a start", 0, apus.apus_server_start(server))
    url = "http://127.0.0.1:%d/data" % apus.apus_server_port(server, 0)
    response = apus.apus_get(url.encode(), None)
    length = ctypes.c_size_t()
    body = apus.apus_response_body(response, ctypes.byref(length))
    check("a page", b"Hello from data", ctypes.string_at(body, length.value))
    check("a refusal", apus.APUS_E_HANDLE, apus.apus_server_stop(response))
    check("the ends", (1, 1), (apus.apus_response_destroy(response),
                               apus.apus_server_destroy(server)))


def main():
    script = os.path.join(SOURCE, "scripts", "abi.py")
    made = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True)
    check("the file is what the header makes", (0, "", ""),
          (made.returncode, made.stdout, made.stderr))
    path = os.path.join(os.environ["APUS_PREFIX"], "share", "apus", "apus.abi.json")
    with open(path, encoding="utf-8") as file:
        document = json.load(file)
    with open(os.path.join(SOURCE, "cmake", "apus.map"), encoding="ascii") as file:
        exported = set(re.findall(r"\b(apus_\w+);", file.read()))
    functions = document["functions"]
    check("all functions", exported, {each["name"] for each in functions})
    roles = {each["role"] for function in functions for each in function["arguments"]}
    check("roles", {"handle", "text", "bytes", "length", "buffer", "capacity", "function",
                    "context", "drop", "out", "number"}, roles)
    for function in functions:
        kinds = [each["role"] for each in function["arguments"]]
        if "function" in kinds and "drop" in kinds:
            check(f"{function['name']}: a callback is three arguments",
                  ["function", "context", "drop"], kinds[kinds.index("function"):][:3])
    run(Binding(document, os.environ["APUS_LIBRARY"]))
    return report("abi_test")


if __name__ == "__main__":
    sys.exit(main())
