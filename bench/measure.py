"""The measurements. Each takes a server and returns plain numbers."""

import json
import os
import re
import resource
import shutil
import signal
import statistics
import struct
import subprocess
import tempfile
import time

from servers import BUILD, Running, child_setup, cores, cpu_of

# What a call is, by its name and by the kind of its descriptor.
RECEIVE = {"recvfrom", "recvmsg", "read", "readv"}
SEND = {"sendto", "sendmsg", "write", "writev", "sendfile"}
WAIT = {"epoll_wait", "epoll_pwait", "epoll_pwait2", "poll", "ppoll", "select", "pselect6"}


def load_core():
    pinned = cores()
    return pinned and pinned[1]


def tool(name):
    return os.path.join(BUILD, name)


def run_load(command, seconds):
    result = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60,
                            preexec_fn=child_setup(load_core()))
    if result.returncode != 0:
        raise RuntimeError((result.stderr or result.stdout).strip() or "the load failed")
    return result.stdout


def wrk(port, connections, seconds, path="/"):
    """Requests and seconds, by wrk; raises if any of them failed."""
    text = run_load(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s",
                     f"http://127.0.0.1:{port}{path}"], seconds)
    problem = re.search(r"(Socket errors|Non-2xx).*", text)
    if problem:
        raise RuntimeError("wrk: " + problem[0])
    requests = int(re.search(r"(\d+) requests in", text)[1])
    return requests, requests / float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1])


def pipelined(port, connections, depth, seconds):
    text = run_load([tool("pipeline"), str(port), str(connections), str(depth), "seconds",
                     str(seconds)], seconds)
    result = json.loads(text)
    if result["lost"]:
        raise RuntimeError(f"{result['lost']} replies or connections were lost")
    return result["requests"], result["seconds"]


def machine_time():
    """Seconds that all cores were at work, and that children which have ended used."""
    with open("/proc/stat") as file:
        user, nice, system, _, _, irq, softirq, steal = map(int, file.readline().split()[1:9])
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    working = (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
    return working, used.ru_utime + used.ru_stime


def round_of(running, load):
    """One round of a load: rate, CPU per request in µs, how busy the server was, and
    how much of the machine programs had that do not belong here."""
    machine, before, start = machine_time(), running.cpu(), time.monotonic()
    requests, seconds = load(running.port)
    total, user, system = (b - a for a, b in zip(before, running.cpu()))
    working, loading = (b - a for a, b in zip(machine, machine_time()))
    available = (time.monotonic() - start) * os.cpu_count()
    return figures_of(requests, seconds, total, user, system, loading,
                      max(0, working - loading - total) / available)


def step_round(running, steps):
    """The same of one step of a load that was started before: what it took to open
    its connections is not in the figures."""
    def used():
        return machine_time()[0], *running.cpu(), cpu_of(steps.process.pid)[0]

    before, start = used(), time.monotonic()
    result = steps.run()
    working, total, user, system, loading = (b - a for a, b in zip(before, used()))
    available = (time.monotonic() - start) * os.cpu_count()
    return figures_of(result["requests"], result["seconds"], total, user, system, loading,
                      max(0, working - loading - total) / available)


def figures_of(requests, seconds, total, user, system, loading, others):
    return {"requests": requests, "seconds": seconds, "rate": requests / seconds,
            "cpu": total / requests * 1e6, "user": user, "system": system,
            "both": (total + loading) / requests * 1e6,
            "busy": total / seconds, "others": others}


def summary(rounds, reference):
    """Medians over the rounds. The ratio compares rounds that stood side by side;
    the split into user and system is over the sum of the rounds, as one round has
    too few ticks of it."""
    middle = {key: statistics.median(r[key] for r in rounds)
              for key in ("rate", "cpu", "both", "busy", "others")}
    ticks = sum(r["user"] + r["system"] for r in rounds)
    share = sum(r["user"] for r in rounds) / ticks if ticks else 0
    middle["user"] = middle["cpu"] * share
    middle["system"] = middle["cpu"] - middle["user"]
    middle["spread"] = (min(r["cpu"] for r in rounds), max(r["cpu"] for r in rounds))
    for ratio, key in (("ratio", "cpu"), ("ratio of both", "both")):
        pairs = [(r[key], f[key]) for r, f in zip(rounds, reference or [])]
        middle[ratio] = statistics.median(a / b for a, b in pairs) if pairs else None
    return middle


class Steps:
    """A load in steps: connections that are open and warm, and a run of it at each
    call of run(), of exactly so many requests if their number is given."""

    def __init__(self, command, requests=None):
        self.requests = requests
        self.process = subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, preexec_fn=child_setup(load_core()))

    def __enter__(self):
        if self.process.stdout.readline().strip() != "ready":
            problem = self.process.stderr.read().strip()
            self.__exit__()
            raise RuntimeError(problem or "the load did not start")
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()

    def run(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        result = json.loads(self.process.stdout.readline() or "{}")
        if not result:
            raise RuntimeError(self.process.stderr.read().strip() or "the load ended")
        if self.requests not in (None, result["requests"]) or result["lost"]:
            raise RuntimeError("the load lost replies")
        return result


def http_steps(connections, requests):
    """A function from a port to steps of requests, one at a time on a connection."""
    return lambda port: Steps([tool("pipeline"), port, connections, 1, "requests", requests,
                               "step"], requests)


def idle_memory(server, scratch, connections, kind="http"):
    """Bytes of resident memory that each of many idle connections costs."""
    with Running(server, scratch) as running:
        text = run_load([tool("idle"), str(running.port), str(connections), kind,
                         str(running.process.pid)], 120)
        return json.loads(text)


def allocations(server, scratch, steps_of, requests):
    """Calls of the allocator per request, in the steady state; steps_of makes the
    load's steps, of so many requests, for a port."""
    path = os.path.join(scratch, server.name + ".allocs")
    environment = {"LD_PRELOAD": tool("allocs.so"), "ALLOCS_FILE": path}

    def count():
        with open(path, "rb") as file:
            return sum(struct.unpack("4Q", file.read(32)))

    with Running(server, scratch, environment) as running:
        with steps_of(running.port) as steps:
            steps.run()  # the first run warms up pools and buffers
            before = count()
            steps.run()
            calls = count() - before
            return {"calls": calls, "each": calls / requests}


def system_calls(server, scratch, steps_of, requests):
    """Calls per request by name and purpose, in the steady state, by strace."""
    with Running(server, scratch) as running:
        with steps_of(running.port) as steps:
            log = tempfile.NamedTemporaryFile(dir=scratch, mode="r")
            tracer = subprocess.Popen(
                ["strace", "-f", "-y", "-q", "-s", "0", "-o", log.name, "-p",
                 str(running.process.pid)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                preexec_fn=child_setup(load_core()))
            try:
                wait_for_tracer(running, tracer)
                steps.run()
            finally:
                if tracer.poll() is None:
                    tracer.send_signal(signal.SIGINT)
                tracer.wait(10)
            return count_calls(log.read(), requests)


def wait_for_tracer(running, tracer):
    """Returns when each thread of the server is traced."""
    pid = running.process.pid
    end = time.monotonic() + 10
    while time.monotonic() < end and tracer.poll() is None:
        if running.process.poll() is not None:
            raise RuntimeError("the server ended when it was traced: an interrupted wait?")
        states = []
        for thread in running.threads():
            with open(f"/proc/{pid}/task/{thread}/status") as file:
                states.append(re.search(r"TracerPid:\s+(\d+)", file.read())[1])
        if all(int(state) == tracer.pid for state in states):
            time.sleep(0.05)
            return
        time.sleep(0.01)
    raise RuntimeError("strace cannot attach")


def count_calls(text, requests):
    counts = {"receive": 0, "send": 0, "wait": 0, "other": 0}
    names = {}
    for line in text.splitlines():
        # "123 recvfrom(5<socket:[77]>, ..." ; the rest of an interrupted line
        # begins with "<..." and was counted already.
        found = re.match(r"\d+\s+(\w+)\((?:\d+<([^>]*)>)?", line)
        if found is None or found[1] == "restart_syscall":
            continue
        name, target = found[1], found[2] or ""
        on_socket = target.startswith(("socket:", "TCP:", "TCPv6:"))
        if name in RECEIVE and on_socket:
            kind = "receive"
        elif name in SEND and on_socket:
            kind = "send"
        else:
            kind = "wait" if name in WAIT else "other"
        counts[kind] += 1
        label = name if on_socket or kind == "wait" or not target else \
            f"{name} ({re.sub(r'.*[:/]', '', target)})"
        names[label] = names.get(label, 0) + 1
    each = {kind: count / requests for kind, count in counts.items()}
    each["names"] = {name: count / requests
                     for name, count in sorted(names.items(), key=lambda item: -item[1])}
    return each


def library_figures(library, runs=20):
    """The time to load a library, in ms, and its stripped size in bytes."""
    times = [float(run_load([tool("load_time"), library], 10)) / 1e3 for _ in range(runs)]
    size = None
    if shutil.which("strip"):
        with tempfile.TemporaryDirectory() as folder:
            copy = os.path.join(folder, "stripped.so")
            subprocess.run(["strip", "--strip-unneeded", "-o", copy, library], check=True)
            size = os.path.getsize(copy)
    return {"load_ms": statistics.median(times), "size": size}
