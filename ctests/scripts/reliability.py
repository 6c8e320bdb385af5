"""What the tests of reliability share: where their figures go, as JSON, and files to
serve with a certificate beside them."""
import json
import os
import shutil

import certificates

SOURCE = os.environ["APUS_SOURCE"]
BIN = os.environ["APUS_BIN"]


def figures(name, what):
    """Writes build/reliability/NAME.json, for a report to be made of."""
    folder = os.path.join(SOURCE, "build", "reliability")
    os.makedirs(folder, exist_ok=True)
    what = dict(what, embedded=bool(os.environ.get("APUS_EMBEDDED")), cores=os.cpu_count())
    with open(os.path.join(folder, name + ".json"), "w") as file:
        json.dump(what, file, indent=1, sort_keys=True)
        file.write("\n")


def fill(folder):
    """A folder to serve: file.bin, text.txt, uploads/, and server.crt, .key and ca.crt."""
    os.makedirs(os.path.join(folder, "uploads"))
    with open(os.path.join(folder, "file.bin"), "wb") as file:
        file.write(os.urandom(300000))
    with open(os.path.join(folder, "text.txt"), "w") as file:
        file.write("what gains by being deflated " * 2000)
    authority = certificates.Authority(os.path.join(folder, "ca"))
    chain, key = authority.make("server")
    shutil.copy(chain, os.path.join(folder, "server.crt"))
    shutil.copy(key, os.path.join(folder, "server.key"))
    shutil.copy(authority.certificate, os.path.join(folder, "ca.crt"))
