#!/usr/bin/env python3
"""Adds the figures of one run of a fuzz target to a summary, and says them.

  fuzz/summary.py TARGET LOG CODE SUMMARY"""
import glob
import json
import os
import re
import sys


def main():
    target, log, code, path = sys.argv[1:]
    with open(log, encoding="utf-8", errors="replace") as file:
        text = file.read()
    done = re.search(r"Done (\d+) runs in (\d+) second", text)
    runs = re.search(r"number_of_executed_units:\s*(\d+)", text)
    cover = re.findall(r"cov: (\d+) ft: (\d+) corp: (\d+)", text)
    summary = {}
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            summary = {entry["target"]: entry for entry in json.load(file)}
    entry = summary.setdefault(target, {"target": target, "executions": 0, "seconds": 0})
    executions = int(runs.group(1)) if runs else 0
    entry["executions"] += executions
    entry["seconds"] += int(done.group(2)) if done else 0
    if cover:
        entry["coverage"], entry["features"], entry["corpus"] = map(int, cover[-1])
    folder = os.path.join(os.path.dirname(os.path.abspath(log)), "broken")
    entry["findings"] = len(glob.glob(os.path.join(folder, target + "-*-*")))
    entry["last_exit"] = int(code)
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(list(summary.values()), file, indent=1)
        file.write("\n")
    os.replace(path + ".new", path)
    print(f"{target}: {executions} runs, coverage {entry.get('coverage', '?')}, "
          f"findings {entry['findings']}, exit {code}", flush=True)


if __name__ == "__main__":
    main()
