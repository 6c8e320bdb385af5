#!/usr/bin/env python3
"""The pages of docs/ keep their word: what stands in a block of code is compiled and run,
by what the comment in front of it says (docs/README.md has the notation), names and links
lead somewhere, and the index has all pages.

    docs_test.py [PAGE ...]    these pages alone, by parts of their names
"""
# ctest: once nosanitize timeout=600
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from common import (LIBRARIES, PATIENCE, SOURCE, check, check_in, checks, compile_by, hold_port,
                    report, skipped)
from markdown import broken_links, pieces, unknown_names

PYTHON = os.environ.get("PYTHON") or sys.executable
DOCS = os.path.join(SOURCE, "docs")
WRITTEN = "127.0.0.1:8080"  # the address in the pages
# Pages that programs write, which have no snippets.
MADE = re.compile(r"^(benchmarks.*|choices)\.md$")
WARNINGS = "-std=c11 -O1 -Wall -Wextra -Werror"

# Before a fragment of C: what a page may use without having declared it.
PROLOGUE = """#define _POSIX_C_SOURCE 200809L
#include <apus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
extern apus_server server; extern apus_client client; extern apus_request request;
extern apus_writer writer; extern apus_upgrade upgrade; extern apus_channel channel;
extern apus_fetch fetch; extern apus_response response; extern apus_source source;
extern void *context; extern const void *data; extern size_t length;
extern void handler(void *context, apus_request request);
"""


def compilers():
    found = [each for each in ("gcc", "clang") if shutil.which(each)]
    if "clang" not in found:
        skipped.append("clang")
    return found


class Program:
    """A program of a page that serves: its first line on stderr has the address."""

    def __init__(self, what, command, folder, environment):
        self.what = what
        self.process = subprocess.Popen([*command, "0"], cwd=folder, stderr=subprocess.PIPE,
                                        stdout=subprocess.DEVNULL, text=True, env=environment)
        line = self.process.stderr.readline()
        found = re.search(r"127\.0\.0\.1:\d+", line)
        check(f"{what}: an address in its first line, {line!r}", True, found is not None)
        self.address = found.group(0) if found else WRITTEN

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
        check_in(f"{self.what}: its end", self.process.returncode, (0, -signal.SIGTERM))


def matches(pattern, text):
    """Whether a text is as written, where "..." stands for anything."""
    pattern = re.escape(pattern.strip()).replace(r"\.\.\.", ".*")
    return re.fullmatch(pattern, text.strip(), re.DOTALL) is not None


def has(tool):
    """Whether there is a command, a file or a module; "nothing" is always there."""
    found = tool == "nothing" or (os.path.exists(tool) if "/" in tool else any(
        shutil.which(tool, path=path) for path in (os.environ["PATH"], "/usr/sbin"))
        or importlib.util.find_spec(tool) is not None)
    if not found:
        skipped.append(tool)
    return found


def find_block(page, name):
    """The block of another page that is called so."""
    with open(os.path.join(DOCS, page), encoding="utf-8") as file:
        for comment, _, text in pieces(file.read()):
            if comment.partition(":")[2].split()[:1] == [name]:
                return text
    raise ValueError(f"{page} has no {name}")


class Page:
    def __init__(self, path, folder):
        self.name, self.folder = os.path.basename(path), folder
        with open(path, encoding="utf-8") as file:
            self.text = file.read()
        # What the page calls an address, and what it is.
        self.addresses, self.given, self.count = {}, "", 0
        self.programs, self.others, self.tested, self.lacks = [], [], 0, False
        self.held = []  # sockets that hold ports
        self.write(".curlrc", "silent\nshow-error\n")
        self.environment = dict(
            os.environ, PKG_CONFIG_PATH=os.path.join(LIBRARIES, "pkgconfig"),
            LD_LIBRARY_PATH=LIBRARIES, LC_ALL="C.UTF-8", PYTHONUNBUFFERED="1",
            CURL_HOME=folder,
            PATH=os.pathsep.join([os.path.dirname(PYTHON), os.environ["PATH"], "/usr/sbin"]))

    def what(self, name):
        return f"{self.name}, {name}"

    def real(self, text):
        for written, address in self.addresses.items():
            text = text.replace(written, address)
        return text

    def written(self, text):
        for written, address in self.addresses.items():
            text = text.replace(address, written)
        return text

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)

    # ---- the blocks

    def run(self):
        try:
            for comment, language, text in pieces(self.text):
                action, _, rest = comment.partition(":")
                first, _, lines = rest.partition("\n")
                self.take(action.strip(), first.split(), lines, language, text)
        finally:
            # Proxies and brokers go last: programs may end with them.
            for program in self.programs:
                program.end()
            for process in self.others:
                self.end_other(process)

    def take(self, action, words, lines, language, text):
        if action == "needs":
            self.lacks = not has(words[0])
        elif self.lacks:
            self.tested += 1
        elif action == "no snippet" or action == "skip":
            check(self.what(f"a reason for {action}"), True, len(words) > 2)
            self.tested += action == "no snippet"
        elif action == "port":
            # For servers that take no port 0, as proxies.
            held, port = hold_port()
            self.held.append(held)
            self.addresses[words[0]] = f"127.0.0.1:{port}"
        elif action == "given":
            self.given += " ".join(words) + "\n" + lines + "\n"
        elif action == "try":
            self.transcript(lines)
        elif action in ("serve", "run", "build", "save"):
            self.tested += 1
            take = {"run": self.once}.get(action) or getattr(self, action)
            take(words[0], words[1:], lines, text)
        elif language == "console":
            self.transcript(text)
        elif language == "c" and not action:
            self.fragment(text)
        elif language != "text":
            check(self.what(f"what is to be done with {text[:40]!r}"), "said", action)

    def compile(self, name, options, text):
        """Compiles a program by all compilers; the command that runs it."""
        self.write(name, text)
        if name.endswith(".py"):
            return [PYTHON, name]
        for compiler in compilers():
            compile_by(f"{compiler} {WARNINGS} -pthread -o {name[:-2]} {name} {' '.join(options)} "
                       f"$(pkg-config --cflags --libs apus) -Wl,-rpath,'{LIBRARIES}'", self.folder)
        return [self.path(name[:-2])]

    def serve(self, name, options, _, text):
        """Options: "of PAGE", whose program it is; "at ADDRESS", what it is called here."""
        options, written = list(options), WRITTEN
        if "of" in options:
            _, page = options.pop(index := options.index("of")), options.pop(index)
            text = find_block(page, name)
        if "at" in options:
            _, written = options.pop(index := options.index("at")), options.pop(index)
        command = self.compile(name, options, text)
        if "sigwait(" in text:
            self.end_early(name, command)
        program = Program(self.what(name), command, self.folder, self.environment)
        self.programs.append(program)
        self.addresses[written] = program.address

    def end_early(self, name, command):
        """A program that waits for signals ends by one that came before it began."""
        def signalled():
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
            os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(10):
            try:
                status = subprocess.run([*command, "0"], cwd=self.folder, timeout=PATIENCE,
                                        env=self.environment, preexec_fn=signalled,
                                        capture_output=True).returncode
            except subprocess.TimeoutExpired:
                status = "no end"
            check(self.what(f"the end of {name} by an early signal"), 0, status)
            if status != 0:
                return

    def once(self, name, options, expected, text):
        command = self.compile(name, options, self.real(text))
        got = subprocess.run(command, cwd=self.folder, timeout=PATIENCE, text=True,
                             capture_output=True, env=self.environment)
        output = self.written(got.stdout + got.stderr)
        check(self.what(f"status of {name}, {got.stderr!r}"), 0, got.returncode)
        check(self.what(f"{name} writes {output!r}, not {expected!r}"), True,
              matches(expected, output))

    def build(self, name, options, _, text):
        self.compile(name, options, text)

    def save(self, name, _, lines, text):
        """Writes a file, with other words where the page's cannot be for the test."""
        for line in lines.splitlines():
            before, _, after = line.strip().partition(" => ")
            check_in(self.what(f"a word of {name}"), before, text)
            text = text.replace(before, after.replace("FOLDER", self.folder))
        self.write(name, self.real(text))

    def fragment(self, text):
        self.tested += 1
        self.count += 1
        name = f"fragment{self.count}.c"
        if not re.match(r"static |#include|typedef |struct \w+ \{|enum ", text):
            text = "void fragment(void);\nvoid fragment(void) {\n" + text + "}\n"
        self.write(name, PROLOGUE + self.given + text)
        for compiler in compilers():
            compile_by(f"{compiler} {WARNINGS} -Wno-unused -c {name} "
                       "$(pkg-config --cflags apus)", self.folder)
        checks["run"] += 1
        checks["right"] += 1

    # ---- transcripts

    def transcript(self, text):
        """Lines with "$ " are run and the lines behind them are what they write; "& " starts
        a program that goes on, and "wait" waits for a listener on a port or a Unix socket."""
        self.tested += 1
        for step in re.split(r"^(?=[$&] |wait )", text.strip("\n") + "\n", flags=re.MULTILINE):
            if not step.strip():
                continue
            line, _, expected = step.partition("\n")
            while line.endswith("\\"):
                more, _, expected = expected.partition("\n")
                line = line[:-1] + more.strip()
            line = self.real(line)
            if line.startswith("$ "):
                self.command(line[2:], expected)
            elif line.startswith("& "):
                self.others.append(subprocess.Popen(
                    ["bash", "-c", "exec " + line[2:]], cwd=self.folder, env=self.environment,
                    stdout=subprocess.DEVNULL, start_new_session=True))
            else:
                self.wait_for(line.split()[1])

    def command(self, line, expected):
        got = subprocess.run(["bash", "-c", line], cwd=self.folder, timeout=PATIENCE, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             env=self.environment)
        output = self.written(got.stdout).replace("\r", "")
        check(self.what(f"{line} writes {output!r}, not {expected!r}"), True,
              matches(expected, output))

    def wait_for(self, name):
        host, _, port = name.rpartition(":")
        # A path may be too long for a socket from the root.
        where = (host, int(port)) if host else os.path.relpath(self.path(name))
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with socket.socket(socket.AF_INET if host else socket.AF_UNIX) as one:
                if one.connect_ex(where) == 0:
                    return
            time.sleep(0.01)
        check(self.what(f"somebody listens on {name}"), True, False)

    def end_other(self, process):
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def run_page(name, header):
    with open(os.path.join(DOCS, name), encoding="utf-8") as file:
        text = file.read()
    check(f"{name}: unknown names", [], unknown_names(text, header)[1])
    check(f"{name}: broken links", [], broken_links(text, DOCS)[1])
    if MADE.match(name):
        return
    check(f"{name}: lines of over 100 columns", [], [
        line for line in text.split("\n") if len(line) > 100 and not line.startswith("|")])
    with tempfile.TemporaryDirectory() as folder:
        page = Page(os.path.join(DOCS, name), folder)
        try:
            page.run()
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            check(f"{name}: {error}", "runs", "does not")
        check(f"{name}: something to try", True, page.tested > 0)


def main():
    with open(os.path.join(SOURCE, "include", "apus.h"), encoding="utf-8") as file:
        header = file.read()
    pages = sorted(name for name in os.listdir(DOCS) if name.endswith(".md"))
    wanted = [name for name in pages if not sys.argv[1:]
              or any(part in name for part in sys.argv[1:])]
    with open(os.path.join(DOCS, "README.md"), encoding="utf-8") as file:
        index = file.read()
    for name in pages:
        if name != "README.md":
            check_in("the index", f"]({name})", index)
    for name in wanted:
        run_page(name, header)
    return report("docs_test")


if __name__ == "__main__":
    sys.exit(main())
