import signal, sys
from ctypes import CDLL, CFUNCTYPE, c_char_p, c_uint64, c_void_p

apus = CDLL("libapus.so.1")
apus.apus_server_make.restype = c_uint64
apus.apus_last_error_message.restype = c_char_p

@CFUNCTYPE(None, c_void_p, c_uint64)
def hello(context, request):
    apus.apus_reply_text(c_uint64(request), 200, b"Hello from Python\n")

server = c_uint64(apus.apus_server_make())
apus.apus_server_get(server, b"/", hello, None, None)
if apus.apus_server_listen(server, b"127.0.0.1", int((sys.argv + ["8080"])[1])) < 0:
    sys.exit(apus.apus_last_error_message().decode())
print(f"http://127.0.0.1:{apus.apus_server_port(server, 0)}/", file=sys.stderr)
signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it, also inside C
apus.apus_server_serve(server)
