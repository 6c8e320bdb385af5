import sys
from ctypes import CDLL, c_char_p, c_uint64

apus = CDLL("libapus.so.1")
apus.apus_get.restype = c_uint64
apus.apus_response_body.restype = apus.apus_last_error_message.restype = c_char_p

response = c_uint64(apus.apus_get((sys.argv + ["http://127.0.0.1:8080/"])[1].encode(), None))
if not response.value:
    sys.exit(apus.apus_last_error_message().decode())
body = apus.apus_response_body(response, None).decode()
print(apus.apus_response_status(response), body, end="")
apus.apus_response_destroy(response)
