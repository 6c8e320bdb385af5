#!/usr/bin/env python3
"""docs/limits.md is true: each default is that of the source and of the header, each setter
exists, and no setter of a limit or of a time is missing."""
# ctest: rules
import json
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from common import SOURCE, check, report

SIZES = {"KiB": 1 << 10, "MiB": 1 << 20}
# What sets a limit or a time by its name, and the prefixes that the tables leave out.
LIMIT = re.compile(r"_set_(max_\w+|\w*timeout|\w*high_water|\w*inbox|\w*interval|heartbeat|retry"
                   r"|body_rate|redirects|reconnect|topic_history|form_memory|descriptor_reserve)$")
# Those whose default is another's, which has a row.
SAME = {
    "apus_channel_set_max_message", "apus_channel_set_max_fragments",
    "apus_channel_set_max_controls", "apus_channel_set_high_water", "apus_writer_set_high_water",
    "apus_writer_set_heartbeat", "apus_source_set_idle_timeout",
    "apus_client_set_channel_high_water", "apus_client_set_channel_inbox",
    "apus_client_set_channel_close_timeout",
    "apus_fetch_set_connect_timeout", "apus_fetch_set_response_timeout",
    "apus_fetch_set_idle_timeout", "apus_fetch_set_total_timeout", "apus_fetch_set_redirects",
    "apus_fetch_set_max_body",
}


def number(text):
    """A default of the table; "none" is no limit."""
    if text == "none":
        return None
    digits, _, unit = text.partition(" ")
    return int(digits.replace(",", "")) * SIZES.get(unit, 1)


def in_source(place):
    """The value of a constant or variable: FILE NAME, and which one of that name."""
    path, name, *which = place.split()
    with open(os.path.join(SOURCE, "Sources/Apus", path)) as file:
        text = file.read()
    found = re.findall(rf"\b(?:var|let) {name}\b[^={{\n]*(?:= ([^\n]+)|\{{ ([^\n}}]+) \}})", text)
    if not found:
        return f"nothing at {place}"
    value = "".join(found[int(which[0]) - 1 if which else 0]).split("//")[0].strip()
    if value in (".max", "0"):
        return None if value == ".max" else 0
    value = value.replace("&*", "*").replace("_", "")
    if not re.fullmatch(r"[-0-9 *<]+", value):
        return f"not a number: {value}"
    return eval(value)


def spellings(value):
    """How the header may write a number."""
    if value is None:
        return ["none", "-1", "Default 0", "default 0"]
    found = [str(value), f"{value:,}"]
    found += [f"{value // size:,} {unit}" for unit, size in SIZES.items() if value % size == 0]
    return found


def main():
    with open(os.path.join(SOURCE, "docs/limits.md")) as file:
        page = file.read()
    with open(os.path.join(SOURCE, "include/apus.abi.json")) as file:
        functions = {each["name"]: each["text"] for each in json.load(file)["functions"]}
    with open(os.path.join(SOURCE, "include/apus.h")) as file:
        header = file.read()
    prefix, named, rows = "", set(), 0
    for line in page.splitlines():
        if head := re.match(r"\| what \| set by `(apus_\w*)` \|", line):
            prefix = head[1]
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) != 5 or not cells[4].startswith("`") or cells[0] == "what":
            continue
        rows += 1
        what, setter, default, reaction, place = cells
        due, got = number(default), in_source(place.strip("` |"))
        check(f"{what}: the source", due, None if due is None and got == 0 else got)
        check(f"{what}: what happens", True, bool(reaction) or "wait" in what)
        for code in re.findall(r"APUS_E_\w+", reaction):
            check(f"{what}: {code}", True, code in header)
        for name in re.findall(r"apus_[a-z_]+", reaction):
            check(f"{what}: {name}", True, name in functions)
        if not setter:
            continue
        setter = prefix + setter.strip("`")
        named.add(setter)
        text = functions.get(setter)
        check(f"{what}: {setter} exists", True, text is not None)
        if text is not None and LIMIT.search(setter):
            # One comment may be of several functions.
            group = " ".join([text] + [other for other in functions.values() if text in other])
            check(f"{what}: {setter} says {default}", True,
                  any(each in group for each in spellings(due)))
    check("rows", True, rows >= 58)
    limits = {name for name in functions if LIMIT.search(name)}
    check("setters without a row", [], sorted(limits - named - SAME))
    check("exceptions that are none", [], sorted(SAME - limits))
    return report("limits_test")


sys.exit(main())
