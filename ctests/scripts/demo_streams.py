"""What the demo streams and stores: its news as Server-Sent Events, and its folder of
files; by Python, curl and a browser. A part of demo_test.py."""
import http.client
import os
import shutil
import subprocess

from common import PATIENCE, check, check_in, skipped

TONE = 480_044


def ask(demo, method, target, body=None, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", demo.port, timeout=PATIENCE)
    try:
        connection.request(method, target, body=body, headers=headers or {})
        reply = connection.getresponse()
        return reply.status, reply.headers, reply.read()
    finally:
        connection.close()


# ---- the news


def hear_news(demo, what, last=None):
    """Reads the stream until something is told; the ids and the data, in order."""
    connection = http.client.HTTPConnection("127.0.0.1", demo.port, timeout=PATIENCE)
    connection.request("GET", "/news", headers={"Last-Event-ID": last} if last else {})
    reply = connection.getresponse()
    check("type of the news", (200, "text/event-stream"),
          (reply.status, reply.headers.get_content_type()))
    what()
    heard, number = [], None
    while True:
        name, _, value = reply.readline().decode().rstrip("\n").partition(": ")
        if name == "id":
            number = value
        elif name == "data":
            heard.append((number, value.split("\t")[-1]))
            if heard[-1][1].startswith("an upload"):
                connection.close()
                return heard


def check_news(demo):
    def upload(length):
        check("an upload", 200, ask(demo, "POST", "/upload", b"x" * length)[0])
    heard = hear_news(demo, lambda: upload(10))
    check("an upload is told", "an upload of 10 bytes was taken", heard[-1][1])
    upload(11)
    again = hear_news(demo, lambda: None, heard[-1][0])
    # Somebody who has left may be told of behind the first upload.
    check("what came meanwhile is told", "an upload of 11 bytes was taken", again[-1][1])
    check("ids go up", True, int(again[0][0]) > int(heard[-1][0]))


# ---- the files

BOUNDARY = "apusdemo"


def form(*files):
    parts = [f"--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"files\"; "
             f"filename=\"{name}\"\r\n\r\n{text}\r\n" for name, text in files]
    return "".join(parts).encode() + f"--{BOUNDARY}--\r\n".encode()


def save(demo, *files):
    return ask(demo, "POST", "/save", form(*files), {
        "Content-Type": f"multipart/form-data; boundary={BOUNDARY}"})


def check_files(demo):
    check("the folder", (301, "/files/"),
          (lambda reply: (reply[0], reply[1]["Location"]))(ask(demo, "GET", "/files")))
    status, headers, page = ask(demo, "GET", "/files/")
    check("the listing", (200, "text/html"), (status, headers.get_content_type()))
    check_in("the listing", b"tone.wav", page)
    status, headers, body = ask(demo, "GET", "/files/tone.wav", headers={"Range": "bytes=0-3"})
    check("a range", (206, b"RIFF", f"bytes 0-3/{TONE}"),
          (status, body, headers["Content-Range"]))
    tag = headers["ETag"]
    check("not modified", 304,
          ask(demo, "GET", "/files/tone.wav", headers={"If-None-Match": tag})[0])
    status, headers, _ = save(demo, ("a.txt", "first"), ("../../b.txt", "second"))
    check("saved", (303, "/files/"), (status, headers["Location"]))
    check("what was saved", [b"first", b"second"],
          [ask(demo, "GET", f"/files/{name}.txt")[2] for name in "ab"])
    check("no name is left", 400, save(demo, ("..", "x"))[0])
    check("no form", 415, ask(demo, "POST", "/save", b"x", {"Content-Type": "text/plain"})[0])
    check("a cut form", 400, ask(demo, "POST", "/save", form(("c.txt", "x"))[:-9], {
        "Content-Type": f"multipart/form-data; boundary={BOUNDARY}"})[0])
    check("nothing of it", 404, ask(demo, "GET", "/files/c.txt")[0])


def check_files_by_curl(demo, folder):
    if shutil.which("curl") is None:
        skipped.append("the files by curl")
        return
    start, copy = (os.path.join(folder, name) for name in ("whole.wav", "half.wav"))

    def curl(*arguments):
        return subprocess.run(["curl", "-sS", "--max-time", str(PATIENCE), *arguments],
                              check=True, capture_output=True).stdout
    curl("-o", start, demo.url + "/files/tone.wav")
    with open(start, "rb") as file:
        whole = file.read()
    check("the tone", TONE, len(whole))
    with open(copy, "wb") as file:
        file.write(whole[:100_000])
    curl("-C", "-", "-o", copy, demo.url + "/files/tone.wav")
    with open(copy, "rb") as file:
        check("resumed by curl", True, file.read() == whole)
    curl("-F", f"files=@{start};filename=by curl.wav", demo.url + "/save")
    check("saved by curl", True, curl(demo.url + "/files/by%20curl.wav") == whole)


# ---- by a browser

HEARD = """
new Promise(resolve => {
  const lines = () => [...document.querySelectorAll('#news li')].map(line => line.textContent);
  const look = () => {
    if (listening.textContent !== 'listening' || lines().length < 3) return;
    observer.disconnect();
    resolve(lines());
  };
  const observer = new MutationObserver(look);
  observer.observe(document, { subtree: true, childList: true, characterData: true });
  setTimeout(() => resolve([listening.textContent, ...lines()]), 30000);
  look();
})
"""

SEEK = """
new Promise(async resolve => {
  const told = name => new Promise(done => tone.addEventListener(name, done, { once: true }));
  if (tone.readyState === 0) await told('loadedmetadata');
  const seeked = told('seeked');
  tone.currentTime = 45;
  await seeked;
  resolve([tone.duration, tone.currentTime, tone.seekable.end(0)]);
})
"""


def loads(browser):
    return sum(event.get("method") == "Page.loadEventFired"
               and event.get("sessionId") == browser.session for event in browser.events)


def check_streams_by_browser(demo, browser, first, folder, picture):
    browser.session = first
    lines = browser.evaluate(HEARD)
    check("news in the page", True, any("somebody" in line for line in lines))
    check("range playback", [60, 45, 60], browser.evaluate(SEEK))
    path = os.path.join(folder, "by a browser.txt")
    with open(path, "w", encoding="ascii") as file:
        file.write("chosen in a form")
    root = browser.call("DOM.getDocument")["root"]["nodeId"]
    field = browser.call("DOM.querySelector", nodeId=root, selector="#save input")["nodeId"]
    browser.call("DOM.setFileInputFiles", nodeId=field, files=[path])
    before = loads(browser)
    browser.evaluate("document.getElementById('save').requestSubmit()")
    while loads(browser) == before:
        browser.events.append(browser.message())
    check("the form leads to the listing", "/files/", browser.evaluate("location.pathname"))
    check_in("the listing in the browser", "by a browser.txt",
             browser.evaluate("document.body.innerText"))
    picture(browser, "demo-files.png")
    check("the file that was chosen", b"chosen in a form",
          ask(demo, "GET", "/files/by%20a%20browser.txt")[2])
