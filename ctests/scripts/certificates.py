"""A private CA, made when it is wanted by the command line of openssl: good certificates
and bad ones. Nothing of it is kept."""
import os
import subprocess

CONFIG = """
[ca]
default_ca = main
[main]
dir = {folder}
database = $dir/index
serial = $dir/serial
crlnumber = $dir/crlnumber
new_certs_dir = $dir
certificate = $dir/ca.crt
private_key = $dir/ca.key
default_md = sha256
default_crl_days = 30
policy = any
unique_subject = no
copy_extensions = none
[any]
commonName = supplied
[req]
distinguished_name = name
prompt = no
[name]
CN = unused
[ca_ext]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
"""
USUAL = "20200101000000Z", "20491231000000Z"


def openssl(*words, data=None, check=True):
    done = subprocess.run(["openssl", *words], input=data, capture_output=True)
    if check and done.returncode != 0:
        raise RuntimeError(f"openssl {words}: {done.stderr.decode()}")
    return done.stdout


class Authority:
    def __init__(self, folder, name="Test CA", above=None):
        self.folder, self.name, self.number, self.above = folder, name, 0, above
        os.makedirs(folder, exist_ok=True)
        self.write("index", "")
        self.write("index.attr", "unique_subject = no\n")
        self.write("serial", "4A50757320746573742043412031\n")
        self.write("crlnumber", "01\n")
        self.write("conf", CONFIG.format(folder=folder))
        self.key(self.path("ca.key"))
        if above is None:
            openssl("req", "-x509", "-new", "-key", self.path("ca.key"), "-subj", f"/CN={name}",
                    "-days", "3650", "-config", self.path("conf"), "-extensions", "ca_ext",
                    "-out", self.path("ca.crt"))
        else:
            above.sign(self.path("ca.key"), name, self.path("ca.crt"),
                       "basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign,cRLSign\n"
                       "subjectKeyIdentifier=hash\n", USUAL)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w") as file:
            file.write(text)
        return self.path(name)

    @staticmethod
    def key(path, kind="ec"):
        if kind == "ec":
            openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", path)
        else:
            openssl("genrsa", "-out", path, kind)
        return path

    @property
    def certificate(self):
        return self.path("ca.crt")

    def sign(self, key, name, out, extensions, days, digest="sha256", alone=False):
        """A certificate for a key; alone: by that key itself."""
        self.number += 1
        request = self.path(f"{self.number}.csr")
        openssl("req", "-new", "-key", key, "-subj", f"/CN={name}", "-config", self.path("conf"),
                "-out", request)
        section = self.write(f"{self.number}.ext", extensions)
        signer = ["-selfsign", "-keyfile", key] if alone else []
        openssl("ca", "-batch", "-notext", "-config", self.path("conf"), "-in", request,
                "-out", out, "-extfile", section, "-startdate", days[0], "-enddate", days[1],
                "-md", digest, *signer)

    def make(self, label, names="DNS:localhost,IP:127.0.0.1", common="leaf", days=USUAL,
             kind="ec", digest="sha256", alone=False, extra="", chain=True):
        """The paths of a chain and of its key."""
        key, out = self.path(label + ".key"), self.path(label + ".crt")
        self.key(key, kind)
        extensions = "basicConstraints=CA:FALSE\n" + extra
        if names:
            extensions += f"subjectAltName={names}\n"
        self.sign(key, common, out, extensions, days, digest, alone)
        if chain and self.above is not None:
            with open(out, "a") as file, open(self.certificate) as own:
                file.write(own.read())
        return out, key

    def revoke(self, certificate):
        """Revokes it; the path of the list."""
        openssl("ca", "-config", self.path("conf"), "-revoke", certificate)
        openssl("ca", "-config", self.path("conf"), "-gencrl", "-out", self.path("ca.crl"))
        return self.path("ca.crl")


def pin(certificate):
    """As curl has it."""
    key = openssl("x509", "-in", certificate, "-pubkey", "-noout")
    der = openssl("pkey", "-pubin", "-outform", "der", data=key)
    digest = openssl("dgst", "-sha256", "-binary", data=der)
    return "sha256//" + openssl("base64", "-A", data=digest).decode()


def fingerprint(certificate):
    text = openssl("x509", "-in", certificate, "-noout", "-fingerprint", "-sha256").decode()
    return text.split("=")[1].strip().replace(":", "").lower()
