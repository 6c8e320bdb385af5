import signal, sys
from ctypes import CDLL, CFUNCTYPE, c_char_p, c_int32, c_size_t, c_uint64, c_void_p

apus = CDLL("libapus.so.1")
apus.apus_server_make.restype = c_uint64
apus.apus_last_error_message.restype = c_char_p

@CFUNCTYPE(None, c_void_p, c_uint64, c_int32, c_void_p, c_size_t)
def echo(context, channel, opcode, data, length):
    apus.apus_channel_send(c_uint64(channel), opcode, 1, c_void_p(data), c_size_t(length))

@CFUNCTYPE(None, c_void_p, c_uint64, c_uint64)
def opened(context, channel, request):
    pass

server = c_uint64(apus.apus_server_make())
route = apus.apus_server_websocket(server, b"/echo", opened, None, None)
apus.apus_server_on_message(server, route, echo, None, None)
if apus.apus_server_listen(server, b"127.0.0.1", int((sys.argv + ["8080"])[1])) < 0:
    sys.exit(apus.apus_last_error_message().decode())
print(f"http://127.0.0.1:{apus.apus_server_port(server, 0)}/", file=sys.stderr)
signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it, also inside C
apus.apus_server_serve(server)
