"""What several tests in Python share: checks that are counted, the compiler's way
to the installed library, and programs that serve and say where."""
import asyncio
import contextlib
import os
import socket
import subprocess
import threading

SOURCE = os.environ["APUS_SOURCE"]
LIBRARIES = os.path.dirname(os.environ["APUS_LIBRARY"])
PATIENCE = 180  # seconds until something that does not come counts as lost

checks = {"run": 0, "right": 0}
skipped = []


def check(what, expected, got):
    checks["run"] += 1
    if expected == got:
        checks["right"] += 1
    else:
        print(f"WRONG {what}: expected {expected!r}, got {got!r}")


def check_in(what, part, whole):
    checks["run"] += 1
    if part in whole:
        checks["right"] += 1
    else:
        print(f"WRONG {what}: no {part!r} in {whole!r}")


def report(name):
    """The last words of a test, and its exit status."""
    for what in sorted(set(skipped)):
        print("skipped:", what)
    print(f"{name}: checks run {checks['run']}, right {checks['right']}, "
          f"parts skipped {len(set(skipped))}")
    return 0 if checks["run"] == checks["right"] else 1


def hold_port():
    """A socket that holds a port of 127.0.0.1, and its number: until it is closed nobody is
    given the port, but a program that binds it by SO_REUSEADDR, as servers do, has it."""
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.bind(("127.0.0.1", 0))
    return one, one.getsockname()[1]


def compile_by(command, folder):
    """Runs a shell command that compiles, where the library may be found."""
    environment = dict(os.environ, PKG_CONFIG_PATH=os.path.join(LIBRARIES, "pkgconfig"))
    subprocess.run(["sh", "-ec", command], check=True, cwd=folder, env=environment)


def compile_example(name, folder):
    """Compiles examples/NAME.c without a warning; the path of the program."""
    compile_by(f"${{CC:-cc}} -std=c11 -O1 -Wall -Wextra -Werror -pthread -o {name} "
               f"'{SOURCE}/examples/{name}.c' $(pkg-config --cflags --libs apus) "
               f"-Wl,-rpath,'{LIBRARIES}'", folder)
    return os.path.join(folder, name)


class Program:
    """A program that serves, on a port of the system's choice. The first line of one
    of its streams has the address."""

    def __init__(self, command, stream="stderr", **environment):
        self.process = subprocess.Popen(
            [*command, "0"], stdout=subprocess.PIPE if stream == "stdout" else None,
            stderr=subprocess.PIPE, text=True, env=dict(os.environ, **environment))
        line = getattr(self.process, stream).readline()
        check_in(f"first line of {command[-1]}", "http://127.0.0.1:", line)
        words = [word for word in line.split() if word.startswith("http://127.0.0.1:")]
        self.url = words[0].rstrip("/") if words else ""
        self.port = int(self.url.rsplit(":", 1)[1]) if words else 0

    def stop(self, number):
        """Sends a signal; the exit status and what was written since the first line."""
        self.process.send_signal(number)
        output, errors = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, output, errors

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


@contextlib.contextmanager
def served(command, **options):
    program = Program(command, **options)
    try:
        yield program
    finally:
        program.kill()


class Loop:
    """An event loop of asyncio on a thread of its own."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()

    def run(self, task):
        return asyncio.run_coroutine_threadsafe(task, self.loop).result(PATIENCE)

    async def settle(self):
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def stop(self):
        self.run(self.settle())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
