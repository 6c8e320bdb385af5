"""Requests that somebody might send to find two servers of different minds: made of the
parts of the grammar, and then bent at one place or a few. Used by differential_test.py."""
import random

METHODS = ["GET"] * 6 + ["POST"] * 6 + ["HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND",
                                         "SEARCH", "CONNECT", "TRACE"]
ODD_METHODS = ["get", "Get", "G ET", "", "GET\t", "X" * 40, "FOO", "G\u00e9T", "M-SEARCH", "@",
               "GET,", "G:T", "_", "PRI"]
TARGETS = ["/", "/a", "/a/b?c=d", "/a%20b", "/?", "/a;b=c", "//a", "/./..", "/a?b?c", "*",
           "http://a/", "http://a:80/b?c", "https://a.example/", "/%41%zz?%", "/a|b", "/{a}"]
ODD_TARGETS = ["", "a", "http://", "http:///", "http://u@a/", "http://a b/", "a:80", "/#f",
               "/a b", "/\u00e9", "/\x7f", "/\x01", "/\t", "ftp://a/", "http://a#x", "*a",
               "/" + "a" * 3000, "/%", "/%00", "?a", "http://[::1]/", "http://[::1", "/\"<>",
               "/\\", "HTTP://A/", "mailto:a", "/^`"]
VERSIONS = ["HTTP/1.1"] * 12 + ["HTTP/1.0"]
ODD_VERSIONS = ["HTTP/1.2", "HTTP/2.0", "HTTP/0.9", "http/1.1", "HTTP/1.10", "HTTP/01.1", "HTTP/1",
                "HTTP/1.", "HTTP/1,1", "HTP/1.1", "", "HTTP/ 1.1", "HTTP/1.1 ", "HTTP/9.9",
                "HTTP/3.1"]
FIELDS = [("Accept", "*/*"), ("X-A", "b"), ("X-A", ""), ("X-A", "b, c"), ("Cookie", "a=b; c=d"),
          ("User-Agent", "x (y)"), ("Content-Type", "text/plain"), ("X_A", "1"),
          ("!#$%&'*+.^`|~", "t"),
          ("Connection", "keep-alive"), ("Connection", "close"), ("X", "\u00e9\u00ff"),
          ("X-Long", "v" * 2000), ("Trailer", "T"), ("TE", "trailers"), ("Expect", "100-continue"),
          ("Authorization", "Basic YQ=="), ("X", "\"q\\\" ,\""), ("Keep-Alive", "timeout=5")]
ODD_FIELDS = ["X a: b", "X : b", "X\t: b", " X: b", "\tX: b", ": b", "X", "X b", "X:\x00",
              "X: a\x01b", "X: a\x7fb", "X: a\rb", "X\u00e9: b", "X(: b", "X: a\x0bb",
              "X: a\r\n b", "X: a\r\n\tb", "X:\r\n b", "X[]: b", "X\x00: b",
              "X: " + "v" * 9000, "X" * 300 + ": b", "X: b \t ",
              "X:\t b", "X;: b", "{X}: b", "\"X\": b", "X@: b", "X/Y: b", "Upgrade: foo",
              "Expect: 200-ok", "Connection: close, keep-alive", "Connection: Close",
              "Connection: x, close", "Proxy-Connection: keep-alive", "Connection: upgrade"]
LENGTHS = ["+{n}", "-{n}", "{n} ", " {n}", "0{n}", "0x{n}", "{n}, {n}", "{n},{n}", "{n}, 1", "",
           "{n}.0", "99999999999999999999", "18446744073709551616", "{n};", "{n} {n}", "\t{n}\t",
           "{n}\x0b", "-1", "{n}a", "00000000000000000000{n}", "'{n}'"]
CODINGS = ["chunked"] * 4 + ["Chunked", "CHUNKED", " chunked ", "chunked,", ",chunked", "\tchunked",
                             "gzip, chunked", "chunked, gzip", "chunked, chunked", "identity",
                             "xchunked", "chunked;q=1", "\"chunked\"", "chunked\x0b", "",
                             "identity, chunked", "chunked foo", "gzip", "chunke\x00d",
                             "\u212aunked", "trailers, chunked", "chunked\r\n "]
HOSTS = ["a", "a:80", "a.example", "[::1]", "127.0.0.1:8080"]
ODD_HOSTS = ["", " ", "a b", "a:b", "a/b", "a@b", "[::1", "a:99999", "a,b", "a:", "\u00e9", "a_b",
             "a%41", "a?b", "a#b", "a\\b", "a<b", ":80", "[]", "a\tb", "a;b", "a..b", "!a"]
SIZES = ["{:x}", "{:X}", "0{:x}", "00000000{:x}", "0x{:x}", "+{:x}", "-{:x}", " {:x}", "{:x} ",
         "{:x}\t",
         "{:x};a", "{:x};a=b", "{:x};a=\"b\"", "{:x} ;a", "{:x}; a", "{:x};", "{:x};a=", "{:x};=b",
         "{:x};a=\"b", "{:x};a=\"\r\n\"", "{:x};a=\x01", "{:x};;", "{:x}\x00", "{:x}g", "", "{:x}_",
         "{:x};a=b\n", "ffffffffffffffff{:x}", "10000000000000000{:x}", "{:x};" + "a" * 200,
         "{:x};a=\u00e9", "{:x},", "{:x};a b", "{:x}\r", "{:x};a\tb", "{:x};a = b"]


class Maker:
    """One case, of a generator of its own: the same number gives the same bytes."""

    def __init__(self, seed, number):
        self.chance = random.Random(f"{seed}:{number}")

    def odd(self, often=0.04):
        return self.chance.random() < often

    def one(self, usual, odd, often=0.04):
        return self.chance.choice(odd if self.odd(often) else usual)

    def end(self):
        return self.one(
            ["\r\n"], ["\n", "\r", "\r\r\n", "\n\r", "\n\n", " \r\n", "\x00\r\n"], 0.006)

    def bytes(self):
        out = b""
        for _ in range(self.chance.choice([1, 1, 1, 2, 2, 3])):
            if self.odd(0.05):
                out += self.chance.choice([b"\r\n", b"\n", b"\r\n\r\n", b" ", b"\r", b"\x00", b"x"])
            out += self.request()
        return self.bent(out) if self.odd(0.25) else out

    def request(self):
        chance = self.chance
        method = self.one(METHODS, ODD_METHODS)
        target = self.one(TARGETS, ODD_TARGETS)
        if method == "CONNECT":
            target = self.one(
                ["a:80"], ["/", "a", "http://a:80/", "a:", "[::1]:1", "a:80/x", "*"], 0.3)
        elif method == "OPTIONS" and self.odd(0.3):
            target = "*"
        version = self.one(VERSIONS, ODD_VERSIONS)
        space = [self.one([" "], ["  ", "\t", "", "\x0b", "\u00a0"], 0.015) for _ in range(2)]
        lines = [method + space[0] + target + space[1] + version]
        lines += self.fields()
        body, framing = self.body(method)
        for line in framing:
            lines.insert(chance.randint(1, len(lines)), line)
        text = "".join(line + self.end() for line in lines) + self.end()
        return text.encode("latin-1", "replace") + body

    def fields(self):
        chance, lines = self.chance, []
        hosts = [f"Host: {self.one(HOSTS, ODD_HOSTS, 0.06)}"]
        if self.odd(0.05):
            hosts = chance.choice([[], hosts * 2, hosts + ["Host: b"], ["host:a"], ["HOST:  a  "],
                                   ["Host : a"], ["Host: a\r\n b"]])
        for _ in range(chance.randint(0, 3)):
            name, value = chance.choice(FIELDS)
            lines.append(f"{name}:{chance.choice([' ', ' ', ' ', '', '  '])}{value}")
        if self.odd(0.10):
            lines.append(chance.choice(ODD_FIELDS))
        lines[chance.randint(0, len(lines)):0] = hosts
        return lines

    def body(self, method):
        """The bytes behind a head, and the lines that frame them."""
        kind = self.chance.choice(["none", "length", "chunked"] if method not in ("GET", "HEAD")
                                  else ["none", "none", "none", "length", "chunked"])
        content = bytes(self.chance.choice(b"ab\r\n 0;:GET/\xff") for _ in
                        range(self.chance.choice([0, 1, 3, 5, 10, 16, 40])))
        length = f"Content-Length: {len(content)}"
        if self.odd(0.10):
            length = "Content-Length: " + self.chance.choice(LENGTHS).format(n=len(content))
        coding = f"Transfer-Encoding: {self.one(['chunked'], CODINGS, 0.15)}"
        if self.odd(0.06):
            frames = self.chance.choice([[length, length], [length, "content-length: 1"],
                                         [length, coding], [coding, length], [coding, coding],
                                         [coding, "Transfer-Encoding: gzip"],
                                         ["Transfer-Encoding: gzip", coding],
                                         [length, "Content-Length : 3"],
                                         [coding, "Transfer-Encoding : chunked"],
                                         ["Transfer_Encoding: chunked", length],
                                         ["Transfer-Encoding:\r\n chunked", length]])
            return (self.chunks(content) if self.odd(0.5) else content), frames
        if kind == "none":
            return b"", []
        if kind == "length":
            return content, [length]
        return self.chunks(content), [coding]

    def chunks(self, content):
        out = b""
        while content:
            count = self.chance.randint(1, len(content))
            size = self.one(["{:x}"], SIZES, 0.08).format(count)
            out += (size + self.end()).encode("latin-1", "replace") + content[:count]
            out += self.one([b"\r\n"], [b"\n", b"", b"\r", b"x\r\n", b"\r\n\r\n", b" \r\n"], 0.02)
            content = content[count:]
        out += self.one(
            [b"0"], [b"00", b"0;a=b", b"", b"0 ", b"-0", b"0x0", b"0;", b"000000000"], 0.05)
        out += self.end().encode()
        for _ in range(self.chance.choice([0, 0, 0, 0, 1, 2])):
            line = self.one(["T: x", "X-B: y"], ["Content-Length: 5", "Transfer-Encoding: chunked",
                                                 "Host: b", "T", " T: x", "T : x", "T: \x00", ": x",
                                                 "T: a\r\n b"], 0.15)
            out += (line + self.end()).encode("latin-1")
        return out + self.end().encode()

    def bent(self, data):
        """One change of single bytes, wherever it falls."""
        place = self.chance.randrange(len(data))
        kind = self.chance.choice(["cut", "drop", "double", "change", "insert", "insert"])
        if kind == "cut":
            return data[:place]
        if kind == "drop":
            return data[:place] + data[place + 1:]
        if kind == "double":
            return data[:place + 1] + data[place:]
        byte = bytes([self.chance.choice(b"\r\n\t \0:;,/0a\x7f\x80\xff\x0b\x0c\"")])
        return data[:place] + byte + data[place + (kind == "change"):]
