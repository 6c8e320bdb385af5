"""The manual pages that reference.py makes: one for each section of apus.h in section 3, with
a page of its own name for each function by way of CMake, and apus(7)."""
import re

SEE = {
    "conventions": "apus(7)", "library": "apus(7)", "constants": "apus_library(3)",
    "server": "apus_routing(3), apus_tls(3)", "routing": "apus_server(3), apus_request(3)",
    "request": "apus_reply(3), apus_writer(3), apus_forms(3)",
    "reply": "apus_request(3), apus_writer(3)", "writer": "apus_reply(3), apus_events(3)",
    "upgrade": "apus_channel(3)", "channel": "apus_upgrade(3), apus_client(3)",
    "frames": "apus_channel(3)", "client": "apus_channel(3), apus_fetch(3)",
    "url": "apus_fetch(3)", "fetch": "apus_client(3), apus_tls(3)",
    "files": "apus_reply(3), apus_writer(3)", "events": "apus_writer(3), apus_client(3)",
    "forms": "apus_request(3), apus_reply(3)", "access": "apus_request(3), apus_routing(3)",
    "tls": "apus_server(3), apus_fetch(3)"}

SUMMARY = {
    "library": "version, errors, log and live handles of the library",
    "constants": "methods, statuses and opcodes, and their names",
    "server": "make, set up, start, drive and stop a server",
    "routing": "routes of a server, and what it tells of its connections",
    "request": "what a client has sent", "reply": "answer a request at once",
    "writer": "answer a request over time, from any thread",
    "upgrade": "decide whether a request becomes a WebSocket",
    "channel": "WebSockets: messages, topics, limits",
    "frames": "WebSocket frames and handshakes as bytes",
    "client": "clients, and the client's end of WebSockets",
    "url": "URLs, percent-encoding and query strings",
    "fetch": "requests of a client, and their responses",
    "files": "serve folders and files",
    "events": "Server-Sent Events: streams, topics, and sources that read them",
    "forms": "forms, uploads and cookies",
    "access": "other origins, credentials, proxies in front",
    "tls": "certificates and TLS, of servers and of clients"}

CHARACTERS = {"\\": "\\e", "§": "\\(sc", "^": "\\(ha", "~": "\\(ti", "`": "\\(ga"}

EXAMPLE = """#include <apus.h>

static void hello(void *context, apus_request request) {
  (void)context;
  apus_reply_text(request, 200, "Hello\\n");
}

int main(void) {
  apus_server server = apus_server_make();
  apus_server_get(server, "/", hello, NULL, NULL);
  if (apus_server_listen(server, "127.0.0.1", 8080) < 0) return 1;
  return apus_server_serve(server) < 0;
}"""


def arguments(functions):
    """The arguments of some functions, each name and type once."""
    found = dict.fromkeys((argument["name"], argument["type"], argument["role"])
                          for function in functions for argument in function["arguments"])
    return list(found)


def escape(text):
    return "".join(CHARACTERS.get(each, each) for each in text)


def line(text):
    """A line of text: a dot or a quote in front is no request."""
    return "\\&" + text if text[:1] in (".", "'") else text


def prose(text):
    """Text with names in bold, a minus before a digit, and a sentence a line."""
    text = re.sub(r"(?<![\w-])-(?=\d)", "\\-", escape(text))
    text = re.sub(r"\bapus_\w*[a-z0-9](?:\(\))?(?!\w)|\bAPUS_[A-Z0-9_]+\*?", r"\\fB\g<0>\\fR", text)
    return [line(each) for each in re.split(r"(?<=[.:;]) (?=[A-Z\\])", text)]


def verbatim(text):
    return [".RS 4", ".nf", *(line(escape(each).replace("-", "\\-"))
                              for each in text.split("\n")), ".fi", ".RE"]


def blocks(found):
    for number, (kind, text) in enumerate(found):
        if number:
            yield ".PP"
        yield from prose(text) if kind == "text" else verbatim(text)


def title(name, section, version):
    return ['.\\" Made of include/apus.h by scripts/reference.py.',
            f'.TH {name} {section} "" "Apus {version}" "Apus"']


def plain(token):
    """A prototype without what is for compilers; its other lines stay below the first one's."""
    if not token.startswith("APUS_API "):
        return token
    return re.sub(r"\n {9}", "\n", token[len("APUS_API "):])


def prototypes(tokens):
    for token in tokens:
        for each in plain(token).split("\n"):
            yield ".B " + '"' + escape(each).replace("-", "\\-").replace('"', '""') + '"'


def constants(group):
    for token in group.tokens:
        for name, value, text in re.findall(
                r"(APUS_\w+) = (-?\d+),?(?:\s*/\*\s*(.*?)\s*\*/)?", token, re.S):
            yield ".TP"
            yield f".BR {name} \" = {value}\"".replace("= -", "= \\-")
            yield from prose(" ".join(text.split()) or "\\&")


def describe(section):
    from reference import blocks_of
    for kind, item in section.items:
        if kind == "heading":
            yield ".PP"
            yield from blocks(item)
            continue
        if item.kind == "function":
            yield ".SS " + '"' + ", ".join(item.names()) + '"'
            yield ".nf"
            yield from prototypes(item.tokens)
            yield ".fi"
            yield ".PP"
        elif item.kind in ("type", "define"):
            yield ".PP"
            yield ".nf"
            yield from prototypes(item.tokens)
            yield ".fi"
            if item.comment:
                yield ".PP"
        elif item.comment:
            yield ".PP"
        if item.comment:
            yield from blocks(blocks_of(item.comment))
        if item.kind == "constants":
            yield from constants(item)


def page(section, interface):
    version = interface.defines["APUS_VERSION_STRING"].strip('"')
    name = f"apus_{section.slug}"
    # One function has the name of its page.
    names = [each["name"] for each in section.functions() if each["name"] != name]
    out = title(name, 3, version)
    if names:
        out.append('.\\" functions: ' + " ".join(names))
    out += [".SH NAME", ", ".join([name, *names]) + " \\- " + SUMMARY[section.slug]]
    out += [".SH SYNOPSIS", ".nf", '.B "#include <apus.h>"', ".fi", ".PP",
            "Link with \\fB\\-lapus\\fR, or by \\fBpkg\\-config apus\\fR.",
            ".SH DESCRIPTION", *blocks(section.intro)]
    if not section.intro:
        out.append("The constants of \\fBapus.h\\fR, and their names."
                   if section.slug == "constants" else f"{section.title}.")
    out += describe(section)
    out += [".SH RETURN VALUE",
            "Unless it says otherwise: 0 or a count, or one of the negative codes of",
            "\\fBapus\\fR(7); a handle, or 0; a pointer, or NULL.",
            "After a failure \\fBapus_last_error\\fR() has the code and",
            "\\fBapus_last_error_message\\fR() a sentence, for the calling thread.",
            ".SH SEE ALSO", references("apus(7), " + SEE[section.slug])]
    return "\n".join(out) + "\n"


def references(text):
    return re.sub(r"(\w+)\((\d)\)", r"\\fB\1\\fR(\2)", text.replace("apus(7), apus(7)", "apus(7)"))


def overview(interface):
    version = interface.defines["APUS_VERSION_STRING"].strip('"')
    out = title("apus", 7, version)
    out += [".SH NAME", "apus \\- server and client for HTTP/1.1, WebSocket and Server-Sent Events",
            ".SH SYNOPSIS", ".nf", '.B "#include <apus.h>"', ".fi", ".PP",
            "\\fBcc\\fR \\fIfile\\fR.c $(\\fBpkg\\-config \\-\\-cflags \\-\\-libs apus\\fR)",
            ".SH DESCRIPTION",
            "Apus is one shared library, \\fBlibapus.so\\fR, that is spoken to in plain C:",
            "64-bit handles, one header, no set-up call.", ".PP",
            *blocks(interface.sections[0].intro),
            ".SH PAGES"]
    for section in interface.sections[1:]:
        out += [".TP", f".BR apus_{section.slug} (3)", SUMMARY[section.slug]]
    out += [".PP", "Each function has a page of its own name as well.", ".SH ERRORS"]
    for each in interface.constants:
        if each["name"].startswith("APUS_E_"):
            out += [".TP", f".BR {each['name']} \" (\\-{-each['value']})\"", *prose(each["text"])]
    out += [".SH EXAMPLES", "A server that says hello:", *verbatim(EXAMPLE),
            ".SH SEE ALSO", references("curl(1), pkg-config(1), poll(2), ssl(7ssl)").replace(
                "pkg-", "pkg\\-")]
    return "\n".join(out) + "\n"
