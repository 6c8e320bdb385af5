#!/usr/bin/env python3
"""What scanners find of a server with nothing but a certificate set: testssl.sh and sslyze.
And a browser that trusts the test's CA alone: pages, fetches, wss."""
# ctest: once nosanitize timeout=900
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from certificates import Authority
from common import check, report, skipped
from tls_servers import TLSServer

NOT_OURS = {
    "DNS_CAArecord": "a record of the name localhost",
}


def test_testssl(ca, server, folder):
    program = shutil.which("testssl") or shutil.which("testssl.sh")
    if not program:
        return skipped.append("testssl.sh: not there")
    out = os.path.join(folder, "testssl.json")
    done = subprocess.run(
        [program, "--quiet", "--warnings", "off", "--color", "0", "--jsonfile", out,
         "--add-ca", ca, f"localhost:{server.port}"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=800)
    with open(out) as file:
        found = json.load(file)
    seen = {each["id"]: each["severity"] for each in found}
    seen["FS"] = seen.get("FS", seen.get("PFS"))  # by the scanner's version
    for each in ("TLS1_3", "heartbleed", "ROBOT", "secure_client_renego", "LUCKY13",
                 "FS", "cert_chain_of_trust", "HSTS_time", "fallback_SCSV"):
        check(f"testssl: {each} {done.stdout[-2000:] if each not in seen else ''}",
              True, seen.get(each) in ("OK", "INFO"))
    # A warning is of a check that the scanner could not make.
    for each in found:
        if each["severity"] == "WARN":
            print(f"testssl warns: {each['id']}: {each['finding']}")
    bad = [each for each in found
           if each["severity"] not in ("OK", "INFO", "WARN") and each["id"] not in NOT_OURS]
    check("testssl: findings", [], [(each["id"], each["severity"], each["finding"])
                                    for each in bad])
    print(f"testssl: {len(found)} results")


def accepted(result, version):
    return [each["cipher_suite"]["name"]
            for each in result[f"{version}_cipher_suites"]["result"]["accepted_cipher_suites"]]


def test_sslyze(server, folder):
    out = os.path.join(folder, "sslyze.json")
    try:
        import sslyze  # noqa: F401
    except ImportError:
        return skipped.append("sslyze: not there")
    done = subprocess.run([sys.executable, "-W", "ignore", "-m", "sslyze", "--json_out", out,
                           f"localhost:{server.port}"],
                          capture_output=True, text=True, timeout=300)
    with open(out) as file:
        result = json.load(file)["server_scan_results"][0]["scan_result"]
    for version in ("ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1"):
        check(f"sslyze: {version}", [], accepted(result, version))
    for version, count in (("tls_1_2", 3), ("tls_1_3", 3)):
        suites = accepted(result, version)
        check(f"sslyze: {version} {suites}", count, len(suites))
        check(f"sslyze: {version}: AEAD alone", True, all(
            "GCM" in each or "POLY1305" in each for each in suites))
    # Its word on Mozilla's configuration for servers of today; its one complaint may be that
    # no system trusts the test's CA.
    words = done.stdout.split("COMPLIANCE AGAINST", 1)[1]
    complaints = [line.strip() for line in words.splitlines() if line.strip().startswith("* ")]
    check("sslyze: complaints", ["* certificate_path_validation: Certificate path validation "
                                 "failed for CN=leaf."], complaints)
    for what, part, wanted in (
            ("tls_compression", "supports_compression", False),
            ("openssl_ccs_injection", "is_vulnerable_to_ccs_injection", False),
            ("heartbleed", "is_vulnerable_to_heartbleed", False),
            ("tls_fallback_scsv", "supports_fallback_scsv", True),
            ("session_renegotiation", "is_vulnerable_to_client_renegotiation_dos", False),
            ("tls_extended_master_secret", "supports_ems_extension", True)):
        got = result[what]["result"] or {part: result[what]["status"]}
        check(f"sslyze: {what}", wanted, got[part])


def test_browser(ca, server, folder):
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if not program or not shutil.which("certutil"):
        return skipped.append("the browser: no chromium with certutil")
    trust = os.path.join(folder, ".pki", "nssdb")
    os.makedirs(trust)
    subprocess.run(["certutil", "-d", "sql:" + trust, "-N", "--empty-password"], check=True)
    subprocess.run(["certutil", "-d", "sql:" + trust, "-A", "-t", "C,,", "-n", "test", "-i", ca],
                   check=True)
    process = subprocess.Popen(
        [program, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
         "--disable-background-networking", f"--user-data-dir={folder}/profile",
         "--remote-debugging-port=0", server.url + "/"],
        env=dict(os.environ, HOME=folder),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        done = subprocess.run(["curl", "-sS", "-m", "60", "--cacert", ca, server.url + "/told"],
                              capture_output=True, timeout=90)
        told = json.loads(done.stdout or b"{}")
        check("the browser: a secure page", True, told.get("secure"))
        facts = dict(line.split("=", 1) for line in told.get("facts", "").splitlines())
        check("the browser: TLS", ("TLSv1.3", "localhost", "http/1.1"),
              tuple(facts.get(each) for each in ("version", "name", "alpn")))
        check("the browser: ten megabytes", 10 << 20, told.get("big"))
        check("the browser: wss", "over TLS", told.get("echo"))
    finally:
        process.terminate()
        process.wait(60)


def main():
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        ca = Authority(os.path.join(folder, "ca"))
        chain, key = ca.make(
            "server", days=tuple(
                time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + day * 86400))
                for day in (-1, 90)),
            extra="keyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n"
                  "crlDistributionPoints=URI:http://localhost/none.crl\n")
        with TLSServer(f"add,-,{chain},{key}") as server:
            test_browser(ca.certificate, server, folder)
            test_sslyze(server, folder)
            test_testssl(ca.certificate, server, folder)
    return report("tls_scan_test")


sys.exit(main())
