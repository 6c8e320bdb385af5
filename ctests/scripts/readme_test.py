#!/usr/bin/env python3
"""README.md keeps its word: its programs are those of examples/, they build in the
ways that it says and serve; the functions, constants, links and make targets that it
names exist; its tables of limits are those of the header.

In README.md, a comment before a block of code says what is done with it:

  file: PATH        it is that file
  part: PATH        it is some of that file
  run: pkg-config   it is run in a folder with hello.c, and makes hello
  run: cmake        it is a CMakeLists.txt that makes hello from hello.c
"""
# ctest: nosanitize
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

from common import (LIBRARIES, PATIENCE, SOURCE, check, check_in, checks, compile_by,
                    compile_example, report, served, skipped)
from markdown import broken_links, pieces, unknown_names

PYTHON = os.environ.get("PYTHON") or sys.executable


def read(*path):
    with open(os.path.join(SOURCE, *path), encoding="utf-8") as file:
        return file.read()


# ---- what README.md says


def check_blocks(readme):
    """The blocks to run, by their names."""
    found, files = {}, []
    for comment, language, text in pieces(readme):
        action, _, what = comment.partition(": ")
        if action == "file":
            check(f"the block of {what}", read(what), text)
            files.append(what)
        elif action == "part":
            check_in(f"the part of {what}", text, read(what))
            files.append(what)
        elif action == "run":
            found[what] = text
        else:
            check("a block without a comment", "sh", language)
    check("files", ["examples/hello.c", "examples/hello.py", "examples/chat.c", "examples/get.c",
                    "examples/get.py"], files)
    check("blocks to run", ["cmake", "pkg-config"], sorted(found))
    return found


def check_names(readme, header):
    names, unknown = unknown_names(readme, header)
    check("names to look up", True, len(names) > 20)
    check("unknown names", [], unknown)
    # The table of the modes leaves the prefix out.
    for names in re.findall(r"^\| (?:tick|pull|worker|threadless) \|[^|]*\|([^|]*)\|", readme,
                            re.MULTILINE):
        for name in re.findall(r"`(\w+)`", names):
            check_in(f"the mode's function {name}", f" apus_server_{name}(", header)


def check_links(readme):
    links, broken = broken_links(readme, SOURCE)
    check("links", True, len(links) > 5)
    check("broken links", [], broken)


def check_targets(readme):
    makefile = read("Makefile")
    for target in sorted(set(re.findall(r"(?:`|^)make ([a-z]+)", readme, re.MULTILINE))):
        checks["run"] += 1
        if re.search(rf"^{target}:", makefile, re.MULTILINE):
            checks["right"] += 1
        else:
            print(f"WRONG: README.md names make {target}, which is no target")


def setters(header):
    """The limits of the header: the comment of each setter, as one line."""
    part = header[header.index("---- limits;"):header.index("---- listeners")]
    found = {}
    for comment, name in re.findall(
            r"/\*((?:(?!\*/).)*)\*/\nAPUS_API int32_t apus_server_set_(\w+)\(", part, re.DOTALL):
        found[name] = re.sub(r"[\s*]+", " ", comment)
    return found


def limits(readme):
    part = readme[readme.index("## Limits\n"):]
    return part[:part.index("\n## ", 1)]


def check_limits(readme, header):
    """Each row's range, default and status stand in the header's comment."""
    part, known, rows = limits(readme), setters(header), {}
    for row in re.findall(r"^\| `(\w+)` \|(.*)\|$", part, re.MULTILINE):
        rows[row[0]] = [cell.strip() for cell in row[1].split("|")]
    check("limits", sorted(known), sorted(rows))
    for name, cells in rows.items():
        comment = known.get(name, "")
        times = name.endswith("_timeout")
        check(f"cells of {name}", 3 if times else 4, len(cells))
        if not times:
            check_in(f"range of {name}", f": {cells[1]}.", comment)
        check_in(f"default of {name}", f"Default {cells[-2]}", comment)
        if cells[-1].isdigit():
            check_in(f"reaction to {name}", f": {cells[-1]}.", comment.replace("gets ", ": ")
                     .replace("request : ", ": ").replace("connection : ", ": "))
    # The range that the time limits share.
    check_in("range of times", "from 1 to 86,400,000", part)
    check_in("range of times", "1 to 86,400,000, or 0: none", header)


# ---- the programs


def ask(url, method="GET"):
    request = urllib.request.Request(url, method=method)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def curl(url):
    if shutil.which("curl") is None:
        skipped.append("curl")
        return ask(url)[1]
    return subprocess.run(["curl", "-sS", "--max-time", str(PATIENCE), url], check=True,
                          capture_output=True, text=True).stdout


def check_hello(what, command, greeting, **environment):
    """Serves, says so when its port is taken, and ends by a signal."""
    for number in (signal.SIGTERM, signal.SIGINT):
        with served(command, **environment) as program:
            check(f"curl of {what}", greeting, curl(program.url + "/"))
            check(f"path of {what}", 404, ask(program.url + "/none")[0])
            check(f"method of {what}", 405, ask(program.url + "/", "DELETE")[0])
            second = subprocess.run([*command, str(program.port)], capture_output=True, text=True,
                                    timeout=PATIENCE, env=dict(os.environ, **environment))
            check(f"status of {what} with a taken port", 1, second.returncode)
            check_in(f"message of {what} with a taken port", "in use", second.stderr)
            check(f"end of {what}", -number, program.stop(number)[0])


def check_pull(path):
    with served([path]) as program:
        check("pull", "Hello from C\n", curl(program.url + "/"))
        check("pull with a name", (200, "Hello swift\n"), ask(program.url + "/hello/swift"))
        check("pull of no path", 404, ask(program.url + "/none")[0])
        check("pull of no method", 405, ask(program.url + "/", "DELETE")[0])
        check("pull to the end", (200, "Bye\n"), ask(program.url + "/stop", "POST"))
        check("last words of pull", "", program.process.communicate(timeout=PATIENCE)[1])
        check("end of pull", 0, program.process.returncode)


def check_get(server, command):
    """The client of the README, asking the server of the README."""
    def run(url):
        return subprocess.run([*command, url], capture_output=True, text=True, timeout=PATIENCE,
                              env=dict(os.environ, LD_LIBRARY_PATH=LIBRARIES))
    with served([server]) as program:
        got = run(program.url + "/")
        check(f"what {command[-1]} gets", (0, "200 Hello from C\n"), (got.returncode, got.stdout))
        got = run(program.url + "/none")
        check_in(f"what {command[-1]} gets of no path", "404 ", got.stdout)
        url = program.url
    got = run(url + "/")
    check(f"what {command[-1]} gets of no server", 1, got.returncode)
    check_in(f"what {command[-1]} says of no server", "connection cannot be made", got.stderr)


def check_cmake(text, folder):
    if shutil.which("cmake") is None:
        skipped.append("cmake")
        return
    shutil.copy(os.path.join(SOURCE, "examples", "hello.c"), folder)
    with open(os.path.join(folder, "CMakeLists.txt"), "w", encoding="utf-8") as file:
        file.write(text)
    build = os.path.join(folder, "build")
    prefix = os.environ.get("APUS_PREFIX") or os.path.dirname(LIBRARIES)
    for command in (["-S", folder, "-B", build, "-DCMAKE_PREFIX_PATH=" + prefix],
                    ["--build", build]):
        subprocess.run(["cmake", *command], check=True, stdout=subprocess.DEVNULL)
    check_hello("hello.c by CMake", [os.path.join(build, "hello")], "Hello from C\n")


def check_programs(blocks, folder):
    shutil.copy(os.path.join(SOURCE, "examples", "hello.c"), folder)
    compile_by(blocks["pkg-config"], folder)
    check_hello("hello.c", [os.path.join(folder, "hello")], "Hello from C\n",
                LD_LIBRARY_PATH=LIBRARIES)
    check_hello("hello.py", [PYTHON, os.path.join(SOURCE, "examples", "hello.py")],
                "Hello from Python\n", LD_LIBRARY_PATH=LIBRARIES)
    # All examples compile without a warning.
    programs = {name: compile_example(name[:-2], folder)
                for name in sorted(os.listdir(os.path.join(SOURCE, "examples")))
                if name.endswith(".c")}
    check_pull(programs["pull.c"])
    check_get(programs["hello.c"], [programs["get.c"]])
    check_get(programs["hello.c"], [PYTHON, os.path.join(SOURCE, "examples", "get.py")])
    os.mkdir(os.path.join(folder, "cmake"))
    check_cmake(blocks["cmake"], os.path.join(folder, "cmake"))


def run_install(user, *variables):
    """The commands that `make install` gives, where `cmake` and the like only tell of it."""
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, "log")
        for name, output in (("cmake", ""), ("ldconfig", ""), ("id", f"echo {user}")):
            path = os.path.join(folder, name)
            with open(path, "w", encoding="utf-8") as file:
                told = "" if output else f'echo {name} "$@" >>{log}\n'
                file.write(f"#!/bin/sh\n{told}{output}\n")
            os.chmod(path, 0o755)
        environment = dict(os.environ, PATH=f"{folder}:{os.environ['PATH']}")
        for name in ("DESTDIR", "MAKEFLAGS", "MAKELEVEL", "MFLAGS"):
            environment.pop(name, None)
        made = subprocess.run(["make", "-C", SOURCE, "install", *variables], env=environment,
                              capture_output=True, text=True, timeout=PATIENCE, check=False)
        check(f"status of make install: {made.stderr}", 0, made.returncode)
        with open(log, encoding="utf-8") as file:
            return file.read().splitlines()


def check_install():
    """`make install` tells the system of the library, and leaves no files of root's."""
    steps = run_install(0)
    check("make install builds", 3, sum(step.startswith("cmake ") for step in steps))
    check("its last step", "ldconfig", steps[-1].strip())
    for user, variables in ((1000, ()), (0, ("DESTDIR=/tmp/apus-nowhere",))):
        check_in("the last step without ldconfig", "cmake --install",
                 run_install(user, *variables)[-1])
    if os.geteuid() != 0:
        skipped.append("make install of what another has built")
        return
    with tempfile.TemporaryDirectory() as build:
        for name in ("libapus.so", "CMakeCache.txt", "install_manifest.txt"):
            with open(os.path.join(build, name), "w", encoding="utf-8") as file:
                file.write("CMAKE_INSTALL_LIBDIR:PATH=lib\n")
        os.chown(build, 12345, 12345)
        check("steps for what another has built", ["cmake --install", "ldconfig"],
              [" ".join(step.split()[:2]) for step in run_install(0, f"BUILD={build}")])
        check("the owner of what CMake leaves", 12345,
              os.stat(os.path.join(build, "install_manifest.txt")).st_uid)
        check("steps for another LIBDIR", 4,
              len(run_install(0, f"BUILD={build}", "LIBDIR=lib64")))


def main():
    readme, header = read("README.md"), read("include", "apus.h")
    blocks = check_blocks(readme)
    check_install()
    check_names(readme, header)
    check_links(readme)
    check_targets(readme)
    check_limits(readme, header)
    with tempfile.TemporaryDirectory() as folder:
        check_programs(blocks, folder)
    return report("readme_test")


if __name__ == "__main__":
    sys.exit(main())
