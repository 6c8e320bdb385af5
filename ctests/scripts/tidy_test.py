#!/usr/bin/env python3
"""The style that a program can check: the layout of every source, and for the
library itself its sizes and the calls that could take its host down."""
# ctest: rules
import os
import re
import shutil
import subprocess
import sys

import traps

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.environ.get("APUS_SOURCE") or os.path.dirname(os.path.dirname(HERE))

FOLDERS = ["Sources", "Tests", "include", "examples", "tools", "ctests", "bench", "fuzz",
           "simulate", "scripts", "cmake", ".ci"]
FILES = ["Package.swift", "CMakeLists.txt", "Makefile"]
SUFFIXES = (".swift", ".c", ".h", ".cc", ".cpp", ".hpp", ".py", ".sh", ".js", ".lua", ".rb", ".pl",
            ".pm", ".php", ".scm", "/run", ".cmake", ".txt", ".in", ".map", ".modulemap",
            "Makefile")
# Vectors are bytes as a peer sends them; layout is not theirs to choose.
EXEMPT_FOLDERS = {"data", "vectors", "Vectors", "__pycache__", "node_modules"}

COLUMNS = 100
FILE_LINES = 400
FUNCTION_LINES = 70

OPEN_POINT = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b")

failures = []
counts = {"files": 0, "lines": 0, "Swift files": 0, "functions": 0}


def fail(path, line, what):
    failures.append(f"{os.path.relpath(path, TOP)}:{line}: {what}")


def sources():
    """Every text file that is written by hand."""
    for name in FILES:
        if os.path.exists(os.path.join(TOP, name)):
            yield os.path.join(TOP, name)
    for folder in FOLDERS:
        for root, folders, names in os.walk(os.path.join(TOP, folder)):
            folders[:] = sorted(set(folders) - EXEMPT_FOLDERS)
            for name in sorted(names):
                if f"/{name}".endswith(SUFFIXES):
                    yield os.path.join(root, name)


SWIFT_TOKEN = re.compile(r'//|/\*|(#*)("""|")')


def blank(text):
    return re.sub(r"[^\n]", " ", text)


def without_comments_and_text(text):
    """Swift code with comments and string literals blanked, line by line."""
    out, position = [], 0
    while True:
        token = SWIFT_TOKEN.search(text, position)
        if token is None:
            return "".join(out) + text[position:]
        out.append(text[position:token.start()])
        end = token_end(text, token)
        out.append(blank(text[token.start():end]))
        position = end


def token_end(text, token):
    if token.group() == "//":
        end = text.find("\n", token.end())
        return len(text) if end < 0 else end
    if token.group() == "/*":
        depth, position = 1, token.end()
        while depth and position < len(text):
            step = re.compile(r"/\*|\*/").search(text, position)
            if step is None:
                return len(text)
            depth += 1 if step.group() == "/*" else -1
            position = step.end()
        return position
    # A literal ends at its quotes with as many "#"; a backslash hides one
    # character, or an interpolation with all that it holds.
    hashes, quotes = token.group(1), token.group(2)
    step = re.compile(rf'\\{hashes}\(|\\{hashes}[^(]|{quotes}{hashes}')
    position = token.end()
    while True:
        found = step.search(text, position)
        if found is None:
            return len(text)
        position = found.end()
        if found.group() == quotes + hashes:
            return position
        if found.group().endswith("("):
            position = balanced(text, position)


def balanced(text, position):
    """Where the parenthesis closes that was opened just before position."""
    depth = 1
    while depth and position < len(text):
        token = re.compile(r'[()]|(#*)("""|")').search(text, position)
        if token is None:
            return len(text)
        if token.group(2):
            position = token_end(text, token)
        else:
            depth += 1 if token.group() == "(" else -1
            position = token.end()
    return position


FUNCTION = re.compile(r"\b(?:func\s+(\S+?)\s*[<(]|(init)\s*[?]?\s*[<(]|(deinit)\s*\{)")
NEXT = re.compile(r"[{}()]|\n\s*(?:@\w+|public |private |static |mutating )*"
                  r"(?:func|var|let|init|deinit|case|struct|enum|class)\b")


def functions(code):
    """The name and the first and last line of each function with a body."""
    for match in FUNCTION.finditer(code):
        if match.group(2) and code[:match.start()].endswith("."):
            continue  # a call, as in Type.init(...)
        position, depth = match.end() - 1, 0
        while True:
            token = NEXT.search(code, position)
            if token is None or (depth == 0 and token.group() not in ("{", "(")):
                break  # a requirement of a protocol, or a call of an initializer
            position = token.end()
            if token.group() == "(":
                depth += 1
            elif token.group() == ")":
                depth -= 1
            elif token.group() == "{" and depth == 0:
                level, end = 1, position
                while level and end < len(code):
                    level += {"{": 1, "}": -1}.get(code[end], 0)
                    end += 1
                name = match.group(1) or match.group(2) or match.group(3)
                yield (name, code.count("\n", 0, match.start()) + 1,
                       code.count("\n", 0, end) + 1)
                break


def check_layout(path, text):
    counts["files"] += 1
    lines = text.split("\n")
    counts["lines"] += len(lines) - 1
    if not text.endswith("\n") or text.endswith("\n\n"):
        fail(path, len(lines), "must end with one newline")
    for number, line in enumerate(lines, 1):
        if len(line) > COLUMNS:
            fail(path, number, f"{len(line)} columns, of {COLUMNS}")
        if line != line.rstrip():
            fail(path, number, "space at the end of the line")
        if "\t" in line and not path.endswith("Makefile"):
            fail(path, number, "a tab")
        if OPEN_POINT.search(line):
            fail(path, number, "an open point")


def check_swift(path, text, names):
    counts["Swift files"] += 1
    if not text.startswith("//") and not path.endswith("Package.swift"):
        fail(path, 1, "must start with a comment that says what this is and why")
    # Swift makes one object per file name, so a name may occur once a module.
    name = os.path.basename(path)
    if name in names:
        fail(path, 1, f"has the name of {os.path.relpath(names[name], TOP)}")
    names[name] = path


def check_library(path, text):
    lines = text.count("\n")
    if lines > FILE_LINES:
        fail(path, lines, f"{lines} lines, of {FILE_LINES}: what else lives here?")
    code = without_comments_and_text(text)
    for line, what in traps.found(code, text, os.path.basename(os.path.dirname(path))):
        fail(path, line, what)
    for name, first, last in functions(code):
        counts["functions"] += 1
        if last - first + 1 > FUNCTION_LINES:
            fail(path, first, f"{name} has {last - first + 1} lines, of {FUNCTION_LINES}")


def run_formatter(what, command, files):
    """Says what a formatter finds; each tool decides the layout of its language."""
    if not files:
        return f"no file for {what}"
    if shutil.which(command[0]) is None:
        return f"no {command[0]} here"
    run = subprocess.run([*command, *files], capture_output=True, text=True, cwd=TOP)
    if run.returncode:
        # The first finding of each file: `make format` mends the rest with it.
        found = {}
        for line in (run.stdout + run.stderr).splitlines():
            match = re.match(r"(\S+?):\d+:\d+: ", line)
            if match:
                found.setdefault(match.group(1), []).append(line.replace(TOP + os.sep, ""))
        for lines in found.values():
            failures.append(lines[0] + (f" and {len(lines) - 1} more" if lines[1:] else ""))
        if not found:
            failures.append(f"{what}: exit code {run.returncode}")
    return f"{len(files)} files by {what}"


def main():
    swift, c = [], []
    names = {}
    for path in sources():
        try:
            with open(path, encoding="utf-8", newline="") as file:
                text = file.read()
        except UnicodeDecodeError:
            fail(path, 1, "not UTF-8")
            continue
        check_layout(path, text)
        if path.endswith(".swift"):
            swift.append(path)
            module = names.setdefault(os.path.relpath(path, TOP).split(os.sep)[0], {})
            check_swift(path, text, module)
            if path.startswith(os.path.join(TOP, "Sources") + os.sep):
                check_library(path, text)
        elif path.endswith((".c", ".h", ".cc", ".cpp", ".hpp")):
            c.append(path)
    formatted = [
        run_formatter("swift format", ["swift", "format", "lint", "--strict", "--configuration",
                                       os.path.join(TOP, ".swift-format")], swift),
        run_formatter("clang-format", ["clang-format", "--dry-run", "--Werror",
                                       "--style=file"], c),
    ]
    failures.extend(traps.self_check(without_comments_and_text))
    if not counts["functions"]:
        failures.append("no function found in Sources")
    for failure in failures:
        print("FAILED:", failure)
    print("tidy:", ", ".join(f"{count} {what}" for what, count in counts.items()),
          "read;", "; ".join(formatted))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
