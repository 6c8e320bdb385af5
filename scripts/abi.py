#!/usr/bin/env python3
"""Makes two files from include/apus.h: include/apus.abi.json, the whole interface for
programs that write bindings, and the list of what is exported in cmake/apus.map. The
header is the source; what its comments say in the words of its section 1 becomes fields.

    scripts/abi.py           writes both
    scripts/abi.py --check   says whether they are up to date

What there is in the former:

    abi                      what APUS_ABI_VERSION is
    handles                  the types of handles
    constants                name, value, group (the comment in front), text
    structs                  name, fields (type, name), text
    callbacks                name, arguments, returns, text
    functions                name, section, arguments (name, type, role), returns (type,
                             role), errors, thread, since, text

Roles of arguments: handle, text (a C string), bytes and length (a pair), buffer and
capacity (a pair that is filled), function, context and drop (a callback), out (set on
success), number. Of results: nothing, code (0 or more, or an error), handle (0 is
failure), borrowed (NULL is failure), number.
"""
import json
import os
import re
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
HEADER = os.path.join(TOP, "include", "apus.h")
MAP = os.path.join(TOP, "cmake", "apus.map")
RESULT = os.path.join(TOP, "include", "apus.abi.json")
TOKEN = re.compile(r"/\*.*?\*/|#define[^\n]*|(?:APUS_API|typedef|enum)\b[^;{]*(?:\{.*?\}[^;]*)?;",
                   re.S)
PARAMETER = re.compile(r"^(.*?[\s*])(\w+)(\[\d+\])?$", re.S)
# What any function may give, says section 1.
COMMON = ["APUS_E_FORK"]
# Those that give none of that: they say 1 or 0, or are about the library itself.
QUIET = re.compile(r"_is_(alive|connected|running|accepting)$|_destroy$|^apus_(abi_)?version$"
                   r"|^apus_(last_error|error_name|last_error_message|error_message)$")


class Wrong(Exception):
    """The header is not written as it should be."""


def plain(comment):
    """A comment's text: lines without stars, paragraphs apart."""
    lines = [re.sub(r"^\s*\*? ?", "", line).rstrip()
             for line in comment[2:-2].strip("*").split("\n")]
    paragraphs = "\n".join(lines).strip().split("\n\n")
    return "\n\n".join(p if "\n  " in p else " ".join(p.split()) for p in paragraphs)


def parameter(text):
    text = " ".join(text.split())
    match = PARAMETER.match(text)
    if not match:
        raise Wrong(f"not a parameter: {text}")
    return {"name": match.group(2), "type": match.group(1).strip() + (match.group(3) or "")}


def parameters(text):
    return [] if text.strip() == "void" else [parameter(each) for each in text.split(",")]


def find_end(text, name):
    """The rest of a prototype behind its name: what is in the brackets."""
    start = text.index(name + "(") + len(name) + 1
    return text[start:text.rindex(")")]


class Interface:
    def __init__(self, text):
        self.handles, self.constants, self.structs = [], [], []
        self.callbacks, self.functions = [], []
        self.defines, self.types = {}, set()
        # Of the heading above, and of a paragraph about the functions behind it.
        self.heading, self.paragraph, self.comment, self.setters = "", "", "", ""
        code = text[text.index("#ifndef APUS_H"):]
        self.section = "1  CONVENTIONS"
        for match in TOKEN.finditer(code):
            self.take(match.group(0))
        before = {"text": None, "errors": []}
        for function in self.functions:
            self.settle(function, before)
            following = self.functions.index(function) + 1
            if self.functions[following:] and self.functions[following]["text"] != function["text"]:
                before = function

    def take(self, token):
        if token.startswith("/*"):
            self.take_comment(token)
        elif token.startswith("#define"):
            match = re.match(r"#define (APUS_\w+) +(\S.*)", token)
            if match and match.group(1) not in ("APUS_API",):
                self.defines[match.group(1)] = match.group(2).split("/*")[0].strip()
        elif token.startswith("typedef"):
            self.take_type(token)
        elif token.startswith("enum"):
            self.take_enum(token)
        else:
            self.take_function(token)

    def take_comment(self, token):
        text = plain(token)
        if "=====" in token:
            match = re.search(r"\n \* (\d+  [A-Z][^\n]*)", token)
            self.section = match.group(1).strip()
            self.heading = self.paragraph = self.comment = self.setters = ""
        elif token.startswith("/* ----"):
            self.heading = re.sub(r"^-+\s*|\s*-{4}\s*", " ", text).strip()
            self.paragraph = self.comment = self.setters = ""
        else:
            if text.startswith("The setters below"):
                self.setters = text
            if "Thread:" in text:
                self.paragraph = text if re.search(r"\b([Ee]ach|below)\b", text) else ""
            self.comment = text

    # ---- types

    def take_type(self, token):
        flat = " ".join(token.split())
        match = re.match(r"typedef uint64_t (apus_\w+);", flat)
        if match:
            self.handles.append(match.group(1))
            return
        match = re.match(r"typedef struct (?:\w+ )?\{(.*)\} (\w+);", re.sub(
            r"/\*.*?\*/", "", flat))
        if match:
            fields = [parameter(each) for each in match.group(1).split(";") if each.strip()]
            self.structs.append({"name": match.group(2), "fields": fields, "text": self.comment})
            return
        match = re.match(r"typedef (.+?) ?\(\*(\w+)\)\((.*)\);", flat)
        if not match:
            raise Wrong(f"not a type that is known: {flat}")
        self.callbacks.append({
            "name": match.group(2), "returns": match.group(1),
            "arguments": self.roles(parameters(match.group(3))), "text": self.comment})

    def take_enum(self, token):
        body = token[token.index("{") + 1:token.rindex("}")]
        pattern = r"(APUS_\w+) = (-?\d+),?(?:\s*/\*\s*(.*?)\s*\*/)?"
        for name, value, text in re.findall(pattern, body, re.S):
            self.constants.append({"name": name, "value": int(value), "group": self.comment,
                                   "text": " ".join(text.split())})

    # ---- functions

    def take_function(self, token):
        flat = " ".join(token.split())
        match = re.match(r"APUS_API (.+?[ *])(apus_\w+)\(", flat)
        if not match:
            raise Wrong(f"not a prototype: {flat}")
        returns, name = match.group(1).strip(), match.group(2)
        function = {
            "name": name, "section": self.section,
            "arguments": self.roles(parameters(find_end(flat, name))),
            "returns": {"type": returns, "role": self.result(returns)},
            "text": self.comment, "around": (self.heading, self.paragraph, self.setters)}
        self.functions.append(function)

    def result(self, returns):
        if returns == "void":
            return "nothing"
        if returns in self.handles:
            return "handle"
        if returns.endswith("*"):
            return "borrowed"
        return "code" if returns in ("int32_t", "int64_t") else "number"

    def roles(self, arguments):
        before = None
        for argument in arguments:
            kind, name = argument["type"], argument["name"]
            if kind in self.handles or (kind == "uint64_t" and name in ("host", "handle")):
                role = "handle"
            elif kind.endswith("_fn"):
                role = "drop" if kind == "apus_drop_fn" else "function"
            elif kind == "void *" and name == "context":
                role = "context"
            elif kind == "const char *":
                role = "text"
            elif kind == "const void *":
                role = "bytes"
            elif kind == "size_t":
                role = {"bytes": "length", "text": "length", "buffer": "capacity"}.get(
                    before, "number")
            elif kind in ("char *", "void *"):
                role = "buffer"
            else:
                role = "out" if kind.endswith("*") else "number"
            argument["role"] = before = role
        return arguments

    # ---- what the comments say

    def settle(self, function, before):
        heading, paragraph, setters = function.pop("around")
        text = function["text"]
        rules = [text]
        if "Thread:" not in text:
            rules.append(paragraph)
        if re.search(r"\beach gives\b|\bEach gives\b", heading) or "Thread:" not in text:
            rules.append(heading)
        found = [re.search(r"Thread: ([^.;,]+)", each) for each in rules]
        function["thread"] = next((each.group(1).strip() for each in found if each), None)
        found = [re.search(r"Since (\d+\.\d+)", each) for each in rules]
        function["since"] = next((each.group(1) for each in found if each), None)
        if re.search(r"_(set|add|allow)_", function["name"]):
            rules.append(setters)
        found = self.errors(function, "\n".join(rules), set())
        # What "the same" and "as above" stand for.
        same = re.match(r"The same\b", text) and "Errors: none" not in text
        if same or re.search(r"Errors: [^.]*\babove\b", text):
            found = set(found) | set(before["errors"])
        roles = [argument["role"] for argument in function["arguments"]]
        if "handle" not in roles and "APUS_E_HANDLE" not in text:
            found = set(found) - {"APUS_E_HANDLE"}
        function["errors"] = sorted(found)

    def errors(self, function, text, seen):
        """Those that are named, and those of the functions that are referred to."""
        names = set(re.findall(r"(?<!\")APUS_E_[A-Z_]+", text))
        if not QUIET.search(function["name"]):
            names |= set(COMMON)
            if any(argument["role"] == "handle" for argument in function["arguments"]):
                names.add("APUS_E_HANDLE")
        if "the codes of certificates" in text:
            names |= {each["name"] for each in self.constants
                      if each["name"].startswith("APUS_E_") and each["value"] <= -20}
        seen.add(function["name"])
        for other in re.findall(r"(?:\b[Aa]s |\bof |^)(apus_\w+)\b", text):
            found = next((each for each in self.functions if each["name"] == other), None)
            if found and other not in seen:
                names |= set(self.errors(found, found["text"], seen))
        return sorted(names)

    def document(self):
        return {"abi": int(self.defines["APUS_ABI_VERSION"]), "handles": self.handles,
                "constants": self.constants, "structs": self.structs,
                "callbacks": self.callbacks, "functions": self.functions}

    def gaps(self):
        for function in self.functions:
            for what in ("text", "thread", "since"):
                if not function[what]:
                    yield f"{function['name']}: the header does not say its {what}"
        codes = {each["name"] for each in self.constants}
        for function in self.functions:
            for name in function["errors"]:
                if name not in codes:
                    yield f"{function['name']}: there is no {name}"


def exports(interface, before):
    """The map with the functions of the header in it."""
    names = sorted(each["name"] for each in interface.functions)
    lines = "".join(f"    {name};\n" for name in names)
    return re.sub(r"(global:\n).*?(\s+local:)", lambda match: match.group(1) + lines.rstrip("\n")
                  + match.group(2), before, flags=re.S)


def main():
    with open(HEADER, encoding="utf-8") as file:
        interface = Interface(file.read())
    with open(MAP, encoding="ascii") as file:
        before = file.read()
    gaps = list(interface.gaps())
    for gap in gaps:
        print(gap, file=sys.stderr)
    made = {RESULT: json.dumps(interface.document(), indent=1, ensure_ascii=False) + "\n",
            MAP: exports(interface, before)}
    status = 1 if gaps else 0
    for path, text in made.items():
        if sys.argv[1:] == ["--check"]:
            with open(path, encoding="utf-8") as file:
                if file.read() != text:
                    print(f"{os.path.relpath(path, TOP)} is not what include/apus.h makes: "
                          "run scripts/abi.py", file=sys.stderr)
                    status = 1
            continue
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    if sys.argv[1:] != ["--check"]:
        print(f"{len(interface.functions)} functions, {len(interface.callbacks)} callbacks, "
              f"{len(interface.constants)} constants, {len(interface.handles)} handles")
    return status


if __name__ == "__main__":
    sys.exit(main())
