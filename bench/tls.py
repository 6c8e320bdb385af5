#!/usr/bin/env python3
"""Measures TLS beside nginx, one worker each, and writes docs/benchmarks-tls.md: the CPU
of a request on a connection that stays, of a full and of a resumed handshake, of ten
mebibytes, and the resident memory of an idle connection. TLS 1.3, P-256, AES-128-GCM.

  bench/tls.py [ROUNDS]       after `make stage`
"""
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

BENCH = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(BENCH)
BUILD = os.path.join(ROOT, "build", "bench")
STAGE = os.environ.get("APUS_STAGE") or os.path.join(ROOT, "build", "stage")
IDLE = 1000
NGINX = """
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/error.log;
worker_rlimit_nofile 20000;
events {{ worker_connections 10000; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 600s;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
    ssl_certificate {folder}/server.crt;
    ssl_certificate_key {folder}/server.key;
    root {folder}/root;
    location = / {{ return 200 "Hello, world!"; }}
  }}
}}
"""


def compile_all():
    os.makedirs(BUILD, exist_ok=True)
    library = os.path.join(STAGE, "lib")
    for name, words in (("tls_load", ["-lssl", "-lcrypto"]),
                        ("apus_tls", [f"-I{STAGE}/include", f"-L{library}", "-lapus",
                                      f"-Wl,-rpath,{library}"])):
        subprocess.run(["gcc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-o",
                        os.path.join(BUILD, name), os.path.join(BENCH, name + ".c"), *words],
                       check=True)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Server:
    def __init__(self, name, folder):
        self.name = name
        if name == "apus":
            self.process = subprocess.Popen(
                [os.path.join(BUILD, "apus_tls"), f"{folder}/server.crt", f"{folder}/server.key",
                 f"{folder}/root"],
                stdout=subprocess.PIPE, text=True)
            self.port = int(self.process.stdout.readline())
            return
        self.port = free_port()
        with open(f"{folder}/nginx.conf", "w") as file:
            file.write(NGINX.format(folder=folder, port=self.port))
        self.process = subprocess.Popen(
            [shutil.which("nginx") or "/usr/sbin/nginx", "-p", folder, "-c",
             f"{folder}/nginx.conf"], stderr=subprocess.DEVNULL)
        for _ in range(100):
            if subprocess.run(["curl", "-sk", f"https://127.0.0.1:{self.port}/"],
                              capture_output=True).returncode == 0:
                break
            time.sleep(0.05)

    def cpu(self):
        with open(f"/proc/{self.process.pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident(self):
        with open(f"/proc/{self.process.pid}/status") as file:
            return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1)) * 1024

    def stop(self):
        self.process.kill()
        self.process.wait()


def load(server, kind, count, **options):
    return subprocess.run([os.path.join(BUILD, "tls_load"), str(server.port), kind, str(count)],
                          check=True, capture_output=True, text=True, **options).stdout


def wrk(server, path, connections, seconds):
    text = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s",
                           f"https://127.0.0.1:{server.port}{path}"],
                          check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in text or "Socket errors" in text:
        raise RuntimeError(text)
    return int(re.search(r"(\d+) requests in", text).group(1))


def per(server, body):
    before = server.cpu()
    count = body()
    return (server.cpu() - before) / count * 1e6


def handshakes(kind, count):
    def run(server):
        def body():
            text = load(server, kind, count)
            resumed = int(re.search(r"(\d+) resumed", text).group(1))
            if resumed != (count if kind == "resumed" else 0):
                raise RuntimeError(text)
            return count
        return per(server, body)
    return run


def idle(server):
    load(server, "full", 50)
    before = server.resident()
    process = subprocess.Popen(
        [os.path.join(BUILD, "tls_load"), str(server.port), "hold", str(IDLE)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    grown = server.resident() - before
    process.stdin.close()
    process.wait()
    return grown / IDLE / 1024


MEASURES = [
    ("a request, 64 connections that stay", "µs of CPU",
     lambda server: per(server, lambda: wrk(server, "/", 64, 4))),
    ("a connection with a full handshake and a request", "µs of CPU", handshakes("full", 1500)),
    ("the same, resumed", "µs of CPU", handshakes("resumed", 3000)),
    ("10 MiB, 4 connections", "µs of CPU",
     lambda server: per(server, lambda: wrk(server, "/big", 4, 4))),
    ("an idle connection", "KiB resident", idle),
]


def prepare(folder):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-subj", "/CN=localhost", "-days", "2", "-keyout", f"{folder}/server.key",
         "-out", f"{folder}/server.crt"], check=True, capture_output=True)
    os.makedirs(f"{folder}/root")
    with open(f"{folder}/root/big", "wb") as file:
        file.write(b"x" * (10 << 20))


def measure(rounds, folder):
    results = {}
    for _ in range(rounds):
        for name in ("apus", "nginx"):
            server = Server(name, folder)
            try:
                for what, _, run in MEASURES:
                    results.setdefault((what, name), []).append(run(server))
            finally:
                server.stop()
    return {key: statistics.median(values) for key, values in results.items()}


def write(results, rounds):
    version = subprocess.run([shutil.which("nginx") or "/usr/sbin/nginx", "-v"],
                             capture_output=True, text=True).stderr.strip().split("/")[-1]
    lines = ["# TLS beside nginx", "",
             f"Written by `bench/tls.py`: medians of {rounds} rounds, one worker each, nginx",
             f"{version}, TLS 1.3 with X25519, a P-256 certificate and AES-128-GCM, on "
             f"{os.cpu_count()} cores", "that the load shares. Less is better.", "",
             "| what | unit | Apus | nginx | Apus / nginx |", "|---|---|---|---|---|"]
    for what, unit, _ in MEASURES:
        own, other = results[what, "apus"], results[what, "nginx"]
        lines.append(f"| {what} | {unit} | {own:.1f} | {other:.1f} | {own / other:.2f} |")
    lines += ["", f"The load of the machine was {os.getloadavg()[0]:.0f} when this was written."]
    with open(os.path.join(ROOT, "docs", "benchmarks-tls.md"), "w") as file:
        file.write("\n".join(lines) + "\n")
    print("\n".join(lines))


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    compile_all()
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        prepare(folder)
        write(measure(rounds, folder), rounds)
    return 0


sys.exit(main())
