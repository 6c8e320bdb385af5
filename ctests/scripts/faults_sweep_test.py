#!/usr/bin/env python3
"""Every call of the library to libc fails, one at a time, with each error that makes
sense, under a scenario that uses all of it (helpers/faults_run.c says which). A finding
is a crash, a hang, a leak, a malformed reply, or a server that does not serve after it.

    faults_sweep_test.py [FUNCTION...]    all three dispatches, or of some functions only
"""
# ctest: once nosanitize timeout=900
import concurrent.futures
import errno
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import reliability
from common import check, report

SHORT = -4242
NO_DESCRIPTORS = ["EMFILE", "ENFILE", "ENOMEM"]
ERRORS = {
    "accept4": ["EINTR", "EAGAIN", "ECONNABORTED", "EPROTO", "EPERM", "ENOBUFS",
                *NO_DESCRIPTORS],
    "recv": ["EINTR", "EAGAIN", "ECONNRESET", "ETIMEDOUT", "ENOMEM", SHORT],
    "send": ["EINTR", "EAGAIN", "ECONNRESET", "EPIPE", "ENOBUFS", "ENOMEM", SHORT],
    "sendmsg": ["EINTR", "EAGAIN", "ECONNRESET", "EPIPE", "ENOBUFS", "ENOMEM", SHORT],
    "sendfile": ["EINTR", "EAGAIN", "ECONNRESET", "EPIPE", "EIO", "EINVAL", SHORT],
    "pread": ["EINTR", "EIO", SHORT],
    "write": ["EINTR", "EIO", "ENOSPC", SHORT],
    "copy_file_range": ["EINTR", "EIO", "ENOSPC", "EXDEV", SHORT],
    "epoll_create1": NO_DESCRIPTORS,
    "epoll_ctl": ["ENOMEM", "ENOSPC"],
    "epoll_wait": ["EINTR"],
    "eventfd": NO_DESCRIPTORS,
    "timerfd_create": NO_DESCRIPTORS,
    "socket": ["EACCES", "ENOBUFS", *NO_DESCRIPTORS],
    "bind": ["EADDRINUSE", "EACCES", "ENOMEM"],
    "listen": ["EADDRINUSE"],
    "connect": ["EINTR", "ECONNREFUSED", "ENETUNREACH", "ETIMEDOUT", "EADDRNOTAVAIL", "EAGAIN"],
    "getsockname": ["ENOBUFS"],
    "getpeername": ["ENOTCONN", "ENOBUFS"],
    "getsockopt": ["ENOBUFS"],
    "setsockopt": ["ENOMEM"],
    "shutdown": ["ENOTCONN"],
    "open": ["EINTR", "EACCES", "EIO", *NO_DESCRIPTORS],
    "openat": ["EINTR", "EACCES", "EIO", "ENOSPC", "EOPNOTSUPP", *NO_DESCRIPTORS],
    "syscall": ["EINTR", "EAGAIN", "EACCES", "EIO", "ENOSYS", *NO_DESCRIPTORS],
    "fstat": ["EIO", "ENOMEM"],
    "unlink": ["EIO", "EACCES"],
    "rename": ["EIO", "ENOSPC"],
    "linkat": ["EIO", "EEXIST", "ENOSPC"],
    "close": ["EINTR", "EIO"],
    "pthread_create": ["EAGAIN"],
    "getaddrinfo": [socket.EAI_AGAIN, socket.EAI_FAIL, socket.EAI_MEMORY, socket.EAI_NONAME],
}
# What gives out memory: big blocks, whose size a peer can choose, fail one by one; and
# OpenSSL's and zlib's of any size.
MEMORY = [
    ("memory of 16 KiB and more", {"FAULTS_LEAST": "16384"}),
    ("memory of 4 KiB to 16 KiB", {"FAULTS_LEAST": "4096", "FAULTS_MOST": "16383"}),
    ("memory below 4 KiB", {"FAULTS_MOST": "4095"}),
    ("memory for zlib", {"FAULTS_SCOPE": "4"}),
    ("ten times in a row memory of 16 KiB and more",
     {"FAULTS_LEAST": "16384", "FAULTS_BURST": "10"}),
]
# What runs out stays so for a while.
BURSTS = [("accept4", "EMFILE"), ("recv", "EAGAIN"), ("send", "ENOBUFS"), ("epoll_wait", "EINTR"),
          ("socket", "ENFILE")]
MODES = ["worker", "tick", "threadless"]
# What the dispatch changes nothing about is done in one of them.
ALIKE = {"pread", "write", "copy_file_range", "socket", "bind", "listen", "getsockname",
         "getsockopt", "setsockopt", "shutdown", "open", "openat", "syscall", "fstat", "unlink",
         "rename", "linkat", "getaddrinfo", "close", "getpeername"}
MOST_FINDINGS = 5  # of one row
GROWTH = 16384  # bytes of memory that a round may leave; a body has 200 KiB
ROW_SECONDS = 400


def rows(chosen):
    for name, errors in ERRORS.items():
        for mode in MODES[:1] if name in ALIKE else MODES:
            for error in errors:
                number = getattr(errno, error) if isinstance(error, str) else error
                label = "short" if error == SHORT else str(error)
                yield name, name, mode, label, number, {}
    for name, error in BURSTS:
        yield (f"twenty times in a row {name}", name, "worker", error, getattr(errno, error),
               {"FAULTS_BURST": "20"})
    for name, variables in MEMORY:
        for mode in ("worker", "threadless"):
            yield name, "memory", mode, "ENOMEM", errno.ENOMEM, variables
    assert not chosen or set(chosen) <= set(ERRORS) | {"memory"}


def run_row(row, folder):
    """Runs a row to its end, beyond each finding."""
    name, function, mode, label, number, variables = row
    figures = {"injected": 0, "unharmed": 0, "unstarted": 0, "steps_failed": 0,
               "slowest_ms": 0, "bytes_a_round": 0.0}
    findings, begin, until = [], 1, time.monotonic() + ROW_SECONDS
    place = tempfile.mkdtemp(dir=folder)
    shutil.copytree(os.path.join(folder, "served"), place, dirs_exist_ok=True)
    environment = dict(os.environ, LD_PRELOAD=os.path.join(reliability.BIN, "faults_shim.so"),
                       **variables)
    command = [os.path.join(reliability.BIN, "faults_run"), mode, place, function, str(number)]
    while len(findings) < MOST_FINDINGS:
        with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as told:
            process = subprocess.Popen([*command, str(begin)], stdout=said, stderr=told,
                                       env=environment)
            try:
                status = process.wait(max(1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                status = f"not done after {ROW_SECONDS} s: {process.wait()}"
            said.seek(0)
            told.seek(0)
            words = said.read().decode().splitlines()
            errors = told.read().decode(errors="replace").strip()
        if status == 0 and words[-1].startswith("{"):
            for key, value in json.loads(words[-1]).items():
                figures[key] = max(figures[key], value) if key in (
                    "slowest_ms", "bytes_a_round") else figures[key] + value
            break
        at = [re.match(r"(\d+) (\w+)$", line) for line in words]
        at = [match for match in at if match]
        round_, step = (int(at[-1][1]), at[-1][2]) if at else (begin, "?")
        findings.append({"function": name, "error": label, "mode": mode, "number": round_,
                         "step": step, "status": status, "said": errors[-500:]})
        figures["injected"] += round_ - begin + 1
        if round_ == 0 or not isinstance(status, int):
            break
        begin = round_ + 1
    shutil.rmtree(place)
    return row, figures, findings


def main():
    chosen = sys.argv[1:]
    total, by_function, findings, slow = 0, {}, [], []
    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(os.path.join(folder, "served"))
        reliability.fill(os.path.join(folder, "served"))
        todo = [row for row in rows(chosen) if not chosen or row[1] in chosen]
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            for row, figures, found in pool.map(lambda row: run_row(row, folder), todo):
                findings += found
                total += figures["injected"]
                place = by_function.setdefault(row[0], {"injected": 0, "unharmed": 0})
                place["injected"] += figures["injected"]
                place["unharmed"] += figures["unharmed"]
                name = f"{row[0]} {row[3]} {row[2]}"
                if figures["slowest_ms"] > 1500:
                    slow.append({"row": name, "slowest_ms": figures["slowest_ms"]})
                check(f"findings of {name}", [], found)
                check(f"memory after {name} ({figures['bytes_a_round']} bytes a round)", True,
                      figures["bytes_a_round"] < GROWTH)
    for name, place in by_function.items():
        check(f"{name} is called at all", True, place["injected"] > 0)
        print(f"{name}: {place['injected']} faults, {place['unharmed']} made no difference")
    print(f"{total} faults injected in {len(todo)} rows; {len(findings)} findings; slow: {slow}")
    if not chosen:
        reliability.figures("faults", {
            "cases": len(todo), "injected": total, "functions": by_function,
            "findings": findings, "slow": slow})
        check("faults injected", True, total > 1000)
    return report("faults_sweep_test")


if __name__ == "__main__":
    sys.exit(main())
