"""The shared library, typed by its own description (apus.abi.json): each function is an
attribute of `library`, takes str where it wants text, and raises Error where it fails."""
from __future__ import annotations

import ctypes
import itertools
import json
import logging
import os
import weakref
from pathlib import Path
from typing import Any, Callable

log = logging.getLogger("apus")


class Error(Exception):
    """What the library says of a call that failed: code, its name, and a sentence; and the
    handle that the call was of, or 0."""

    def __init__(self, code: int, name: str, message: str, handle: int = 0) -> None:
        super().__init__(f"{message} ({name})")
        self.code, self.name, self.message, self.handle = code, name, message, handle


class Closed(Error):
    """The peer has gone, or the object was closed."""


class Event(ctypes.Structure):
    _fields_ = [("kind", ctypes.c_int32), ("route", ctypes.c_int32), ("handle", ctypes.c_uint64),
                ("connection", ctypes.c_uint64), ("reserved", ctypes.c_uint64 * 5)]


class Message(ctypes.Structure):
    _fields_ = [("opcode", ctypes.c_int32), ("final", ctypes.c_int32), ("data", ctypes.c_void_p),
                ("length", ctypes.c_size_t), ("reserved", ctypes.c_uint64 * 4)]


class Text(ctypes.c_char_p):
    """An argument that ends at its NUL, which must not come before."""

    @classmethod
    def from_param(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = value.encode()
        if value is not None and b"\0" in value:
            raise ValueError("a NUL inside text")
        return ctypes.c_char_p.from_param(value)


NUMBERS = {"int32_t": ctypes.c_int32, "int64_t": ctypes.c_int64, "uint32_t": ctypes.c_uint32,
           "uint64_t": ctypes.c_uint64, "size_t": ctypes.c_size_t, "void": None}
# Results below zero that are no errors: another method, an unknown length, no pong yet.
MINUS_ONE = {"apus_request_method", "apus_method_number", "apus_request_body_length",
             "apus_channel_last_pong_ms", "apus_last_error"}


# Behind this argument a result is bytes with a length, for taken().
LENGTH = [{"name": "length", "type": "size_t *", "role": "out"}]


class _DLInfo(ctypes.Structure):
    _fields_ = [("path", ctypes.c_char_p), ("base", ctypes.c_void_p),
                ("symbol", ctypes.c_char_p), ("address", ctypes.c_void_p)]


def _description(loaded: ctypes.CDLL) -> Any:
    """Reads apus.abi.json, which lies beside the library that was loaded: in share/apus
    of the same prefix."""
    info = _DLInfo()
    dladdr = ctypes.CDLL(None).dladdr
    if not dladdr(ctypes.cast(loaded.apus_version, ctypes.c_void_p), ctypes.byref(info)):
        raise ImportError("apus: where the library lies cannot be told")
    for folder in Path(os.fsdecode(info.path or b"")).resolve().parents:
        found = folder / "share" / "apus" / "apus.abi.json"
        if found.exists():
            return json.loads(found.read_text(encoding="utf-8"))
    raise ImportError(f"apus: no share/apus/apus.abi.json above {os.fsdecode(info.path or b'')}")


class _Kept:
    """A function that the library may call, and the dict that keeps it alive."""

    def __init__(self, function: Callable[..., Any], keeper: dict[int, Any]) -> None:
        self.function, self.keeper = function, keeper


class Library:
    """The functions by their names; their types are worked out at the first use."""

    def __init__(self) -> None:
        self._loaded = ctypes.CDLL(os.environ.get("APUS_LIBRARY") or "libapus.so.1")
        described = _description(self._loaded)
        self.constants = {item["name"]: item["value"] for item in described["constants"]}
        self._handles = set(described["handles"])
        self._callbacks = {item["name"]: item for item in described["callbacks"]}
        self._functions = {item["name"]: item for item in described["functions"]}
        self._types: dict[str, Any] = {}
        self._thunks: dict[str, Any] = {}
        self._numbers = itertools.count(1)
        # Weak, so that an object which nobody else has is collected with its callbacks.
        self._kept: weakref.WeakValueDictionary[int, _Kept] = weakref.WeakValueDictionary()

    def __getattr__(self, name: str) -> Any:
        if name not in self._functions:
            raise AttributeError(name)
        described = self._functions[name]
        function = self._loaded[name]
        function.argtypes = [self._argument(item) for item in described["arguments"]]
        function.restype = self._type(described["returns"])
        if function.restype is ctypes.c_char_p and described["arguments"][-1:] == LENGTH:
            function.restype = ctypes.c_void_p
        if name not in MINUS_ONE:
            role = described["returns"]["role"]
            if role == "code":
                function.errcheck = self._check_code
            elif role in ("handle", "borrowed"):
                function.errcheck = self._check_given
        setattr(self, name, function)
        return function

    def _type(self, item: dict[str, str]) -> Any:
        kind = item["type"]
        if kind in self._handles:
            return ctypes.c_uint64
        if kind == "const char *":
            return ctypes.c_char_p
        return NUMBERS.get(kind, ctypes.c_void_p)

    def _argument(self, item: dict[str, str]) -> Any:
        return Text if item["role"] == "text" else self._type(item)

    def _callback(self, name: str) -> Any:
        """The type of a callback; text comes as bytes, other bytes as an address."""
        if name not in self._types:
            described = self._callbacks[name]
            self._types[name] = ctypes.CFUNCTYPE(NUMBERS[described["returns"]], *(
                self._type(item) for item in described["arguments"]))
        return self._types[name]

    def error(self, arguments: tuple[Any, ...] = ()) -> Error:
        code = self._call("apus_last_error", ctypes.c_int32)
        message = self._call("apus_last_error_message", ctypes.c_char_p).decode()
        name = self.apus_error_name(code).decode()
        handle = arguments[0] if arguments and isinstance(arguments[0], int) else 0
        return (Closed if name == "APUS_E_CLOSED" else Error)(code, name, message, handle)

    def _call(self, name: str, result: Any) -> Any:
        function = self._loaded[name]
        function.restype = result
        return function()

    def _check_code(self, result: Any, _: Any, arguments: tuple[Any, ...]) -> Any:
        if result < 0:
            raise self.error(arguments)
        return result

    def _check_given(self, result: Any, _: Any, arguments: tuple[Any, ...]) -> Any:
        if not result and result != b"":
            raise self.error(arguments)
        return result

    # ---- callbacks: one C function for each type, which finds the Python one by the
    # ---- context, a number. It lives as long as the process, whoever is collected.

    def keep(self, keeper: dict[int, Any], kind: str, function: Callable[..., Any]) -> Any:
        """The three arguments by which a function is handed over. `keeper`, of the object
        that the callback belongs to, holds it until the library drops it."""
        number = next(self._numbers)
        keeper[number] = self._kept[number] = _Kept(function, keeper)
        return self._thunk(kind), number, self._thunk("apus_drop_fn")

    def _thunk(self, kind: str) -> Any:
        if kind not in self._thunks:
            act = self._drop if kind == "apus_drop_fn" else self._run
            self._thunks[kind] = self._callback(kind)(act)
        return self._thunks[kind]

    def _run(self, number: int, *arguments: Any) -> Any:
        kept = self._kept.get(number)
        try:
            return kept.function(*arguments) if kept is not None else -1
        except Exception:
            log.exception("%r failed", kept and kept.function)
            return -1

    def _drop(self, number: int) -> None:
        kept = self._kept.pop(number, None)
        if kept is not None:
            kept.keeper.pop(number, None)


library = Library()
OPTIONAL = library.constants["APUS_E_NOT_FOUND"]
FULL = library.constants["APUS_E_FULL"]


def taken(function: Callable[..., Any], *arguments: Any) -> bytes:
    """A copy of the bytes that a function lends, with a length as its last argument."""
    length = ctypes.c_size_t()
    data = function(*arguments, ctypes.byref(length))
    return ctypes.string_at(data, length.value)


def attempt(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function gives, or None where there is no such thing."""
    try:
        return function(*arguments)
    except Error as error:
        if error.code == OPTIONAL:
            return None
        raise


def pairs(handle: int, kind: str) -> list[tuple[str, str]]:
    """Names and values, as apus_KIND_count() and apus_KIND_at() walk them."""
    name, value, length = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_size_t()
    found = []
    for index in range(getattr(library, f"apus_{kind}_count")(handle)):
        getattr(library, f"apus_{kind}_at")(handle, index, ctypes.byref(name),
                                            ctypes.byref(value), ctypes.byref(length))
        found.append((ctypes.string_at(name.value or 0).decode("utf-8", "replace"),
                      ctypes.string_at(value.value or 0, length.value)
                      .decode("utf-8", "replace")))
    return found


def set_options(handle: int, kind: str, options: dict[str, Any]) -> None:
    """Calls apus_KIND_set_NAME() for each option."""
    for name, value in options.items():
        arguments = value if isinstance(value, tuple) else (value,)
        getattr(library, f"apus_{kind}_set_{name}")(handle, *arguments)
