#!/usr/bin/env python3
"""Header and implementation agree in every type.

The sources export by @_cdecl, which the compiler takes on trust. It does check
@c @implementation against the imported header, so a scratch copy of the sources
gets that instead, and is type-checked. A second copy with wrong types on
purpose shows that such a check would fail.
"""
# ctest: rules
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.environ.get("APUS_SOURCE") or os.path.dirname(os.path.dirname(HERE))
EXPORT = re.compile(r'@_cdecl\("(\w+)"\)\s*((?:@\w+(?:\([^)]*\))?\s+)*)public func (\w+)\(')
FLAGS = ["-typecheck", "-wmo", "-swift-version", "6", "-parse-as-library", "-module-name", "Apus",
         "-enable-experimental-feature", "Lifetimes", "-strict-memory-safety",
         "-suppress-warnings",
         "-I", os.path.join(TOP, "include"), "-I", os.path.join(TOP, "Sources/CSystem"),
         "-I", os.path.join(TOP, "Sources/CZlib"), "-I", os.path.join(TOP, "Sources/COpenSSL")]


class Function:
    """One exported function, as its source spells it."""

    def __init__(self, text, match):
        self.name = match.group(1)
        self.swift_name = match.group(3)
        self.span = match.span()
        depth, end = 1, match.end()
        while depth:
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        self.parameters = split(text[match.end():end - 1])
        arrow = re.compile(r"\s*(?:->\s*([^{]+?))?\s*\{").match(text, end)
        self.result = arrow.group(1) if arrow and arrow.group(1) else "Void"

    def stub(self):
        """The signature, for the compiler to hold against the header."""
        parameters = ", ".join("_ " + re.sub(r"^(_|\w+)\s+(?=\w+\s*:)", "", parameter)
                               for parameter in self.parameters)
        return (f"@c @implementation\n"
                f"public func {self.name}({parameters}) -> {self.result} {{ while true {{}} }}\n")


def split(text):
    """The parameters of a list: cut at the commas that no bracket encloses."""
    parts, depth, start = [], 0, 0
    for index, character in enumerate(text):
        # The ">" of an arrow closes nothing.
        if character in "(<[" or character in ")>]" and text[index - 1] != "-":
            depth += 1 if character in "(<[" else -1
        elif character == "," and depth == 0:
            parts.append(text[start:index].strip())
            start = index + 1
    parts.append(text[start:].strip())
    return [part for part in parts if part]


def swift_files(folder):
    return sorted(os.path.join(root, name) for root, _, names in os.walk(folder)
                  for name in names if name.endswith(".swift"))


def check(files):
    """Type-checks; returns the errors."""
    run = subprocess.run(["swiftc", *FLAGS, *files], capture_output=True, text=True)
    errors = [line for line in run.stderr.splitlines() if re.match(r"\S+:\d+:\d+: error:", line)]
    if run.returncode and not errors:
        errors = [run.stderr]
    return errors


def rewrite(text, functions):
    """The source with each export checked. Where the Swift name is that of C
    the attribute alone changes; else a stub of the same signature is added."""
    stubs = []
    for function in reversed(functions):
        start, end = function.span
        plain = re.sub(r'^@_cdecl\("\w+"\)\s*', "", text[start:end])
        if function.swift_name == function.name:
            plain = "@c @implementation\n" + plain
        else:
            stubs.append(function.stub())
        text = text[:start] + plain + text[end:]
    return text + "\n" + "\n".join(reversed(stubs))


def spoil(function, kind):
    """Makes one type of a function wrong; says whether it could."""
    parameters = function.parameters
    for index, parameter in enumerate(parameters):
        wrong = {
            "optional": parameter[:-1] if re.search(r"Pointer<.*>\?$", parameter) else parameter,
            "const": re.sub(r"UnsafeMutable(Raw)?Pointer", r"Unsafe\1Pointer", parameter),
            "width": re.sub(r": *Int32$", ": Int64", parameter),
            "sign": re.sub(r": *(Int|Int64)$", ": UInt64", parameter),
            "handle": re.sub(r": *(apus_\w+|UInt64)$", ": UInt32", parameter),
        }.get(kind, parameter)
        # A callback's parameter is not a handle, and stays as it is.
        if wrong != parameter and "_fn" not in parameter:
            parameters[index] = wrong
            return True
    if kind == "result" and function.result == "Int32":
        function.result = "Int64"
        return True
    if kind == "count" and parameters:
        parameters.pop()
        return True
    return False


def main():
    sources = os.path.join(TOP, "Sources/Apus")
    boundary = os.path.join(sources, "ABI")
    failures = []
    with tempfile.TemporaryDirectory() as work:
        copy = os.path.join(work, "Apus")
        shutil.copytree(sources, copy)
        every = []
        for path in swift_files(sources):
            with open(path, encoding="utf-8") as file:
                text = file.read()
            functions = [Function(text, match) for match in EXPORT.finditer(text)]
            exports = len(re.findall(r"^\s*@_cdecl", text, re.M))
            name = os.path.relpath(path, TOP)
            if exports != len(functions):
                failures.append(f"{name}: {exports} @_cdecl, {len(functions)} understood")
            if exports and not path.startswith(boundary + os.sep):
                failures.append(f"{name}: exports stand in ABI alone")
            if functions:
                with open(os.path.join(copy, os.path.relpath(path, sources)), "w",
                          encoding="utf-8") as file:
                    file.write(rewrite(text, functions))
                every += functions
        if not every:
            failures.append("no export found")
        failures += check(swift_files(copy))

        # The proof: the signatures alone pass; with some of them wrong, each
        # wrong one is named and no other.
        stubs = os.path.join(work, "Stubs.swift")

        def check_stubs():
            with open(stubs, "w", encoding="utf-8") as file:
                file.write("import CApus\n\n" + "\n".join(f.stub() for f in every))
            return check([stubs])

        failures += check_stubs()
        spoiled = {}
        for kind in ("result", "width", "sign", "optional", "const", "handle", "count"):
            for function in every:
                if function.name not in spoiled and spoil(function, kind):
                    spoiled[function.name] = kind
                    break
        # The compiler names a function by its type, or as one it cannot find.
        caught = {name for line in check_stubs() for name in spoiled
                  if re.search(rf"'{name}[(']", line)}
        for name in sorted(set(spoiled) - caught):
            failures.append(f"a wrong type ({spoiled[name]}) in {name} was not noticed")
        if len(spoiled) < 4:
            failures.append(f"only {len(spoiled)} ways to spoil a type applied")

    for failure in failures:
        print("FAILED:", failure)
    print(f"types: {len(every)} exports agree with the header unless named above;"
          f" {len(caught)} of {len(spoiled)} wrong types noticed"
          f" ({', '.join(sorted(spoiled.values()))})")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
