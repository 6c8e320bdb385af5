"""Files that are served: Apus beside nginx with sendfile on, and h2o where it is."""

import os
import shutil

import measure
import servers

SIZES = {"files-1k": 1024, "files-100k": 100 * 1024, "files-10m": 10 * 1024 * 1024}
SECTIONS = tuple(SIZES)


def catalogue(scratch):
    folder = os.path.join(scratch, "apus-worker", "files")
    return [
        servers.Server("apus-worker", "Apus, one worker thread, `apus_server_serve_folder()`",
                       "apus_server.c", arguments=("worker", folder)),
        servers.Server("nginx", "nginx, one process, `sendfile on`", program="nginx"),
        servers.Server("h2o-file", "the h2o program, one thread, `file.dir`", program="h2o"),
    ]


def prepare(scratch, chosen):
    """The files, for each server in a folder of its own. They are the same: where a file's
    pages lie has a part in what sending it costs."""
    common = os.path.join(scratch, "files")
    os.makedirs(common)
    for name, size in SIZES.items():
        with open(os.path.join(common, name), "wb") as file:
            file.write(os.urandom(size))
    for server in chosen:
        folder = os.path.join(scratch, server.name, "files")
        os.makedirs(folder, exist_ok=True)
        for name in SIZES:
            os.link(os.path.join(common, name), os.path.join(folder, name))


def run(arguments, scratch, chosen, throughput, say):
    figures = {"servers": chosen, "arguments": arguments, "pinned": servers.cores() is not None}
    if not shutil.which("wrk"):
        say("skipped: files: wrk is not installed")
        return figures
    prepare(scratch, chosen)
    for section, size in SIZES.items():
        if section not in arguments.sections:
            continue
        connections = arguments.connections if size < 1 << 20 else 8

        def one_round(running):
            root = "/" if running.server.program == "h2o" else "/files/"
            return measure.round_of(running, lambda port: measure.wrk(
                port, connections, arguments.seconds, root + section))
        figures[section] = throughput(arguments, chosen, scratch, section, one_round,
                                      against="nginx")
    return figures
