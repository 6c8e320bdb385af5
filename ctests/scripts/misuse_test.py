#!/usr/bin/env python3
"""Calls every function of the header wrongly: with handles that are dead, forged
or of another kind, with NULL, with numbers out of range. The calls are written
from the prototypes in the header, so that none is forgotten: each parameter has
bad values below, or a word why it can't be bad, or this test fails.

Writes misuse_calls.h, builds src/misuse/misuse.c with it, and runs that."""
# ctest: timeout=300
import os
import random
import re
import subprocess
import sys

TOP = os.environ["APUS_SOURCE"]
HEADER = os.path.join(TOP, "include", "apus.h")
FOLDER = os.path.join(os.environ["APUS_BIN"], "misuse")
LONG_NAME = '"ABCDEFGHIJKLMNOPQRSTUVWXYZ1234567"'
LONG_PATH = '"/' + "x" * 120 + '"'
IMPOSSIBLE = "(size_t)-2"

HANDLES = {"apus_server": "SERVER", "apus_request": "REQUEST", "apus_writer": "WRITER",
           "apus_upgrade": "UPGRADE", "apus_channel": "CHANNEL",
           "apus_client": "CLIENT", "apus_fetch": "FETCH", "apus_response": "RESPONSE",
           "apus_source": "SOURCE"}
# What takes a client alone; the rest of its functions take a server as well.
CLIENT_ALONE = {f"apus_client_{word}" for word in (
    "destroy", "is_alive", "set_workers", "set_dispatch", "tick", "event_fd", "wake")}
# What only channels that make their connections themselves have.
CALLER = {f"apus_channel_{word}" for word in (
    "add_header", "set_protocols", "set_origin", "set_max_message", "set_max_fragments",
    "set_max_controls", "set_deflate", "set_frames",
    "set_connect_timeout", "set_reconnect", "set_queue_policy", "open", "wait_open", "reset",
    "status", "dropped")}

# ---- What a plausible call looks like, by parameter ---------------------------

PLAUSIBLE = {
    "host": '"127.0.0.1"', "pattern": '"/plausible"', "path": '"/nowhere/at/all"',
    "method": "APUS_GET", "status": "200", "dispatch": "0", "port": "0", "timeout_ms": "0",
    "except": "0", "topic": '"topic"',
    "data": '"x"', "location": '"/"', "tag": '"tag"', "capacity": "sizeof outs.buffer",
    "buffer": "outs.buffer", "context": "&outs", "drop": "count_drop", "event": "&outs.event",
    "previous": "0", "counter": "0", "index": "0", "listener": "0", "code": "-1",
    "opcode": "1", "kind": "0", "bytes": "65536", "ms": "1000", "workers": "1",
    "name": '"X-Name"', "value": '"value"', "type": '"text/plain"', "route": "0",
    "url": '"http://a/"', "part": "0", "policy": "2", "origins": '"http://a"',
    "reason": '"x"', "message": "&outs.message",
}
BY_FUNCTION = {
    ("apus_channel_set_reconnect", "min_ms"): "1000",
    ("apus_server_set_body_rate", "bytes_per_second"): "240",
    ("apus_server_set_max_controls", "per_second"): "100",
    ("apus_server_set_body_rate", "grace_ms"): "5000",
    ("apus_channel_set_reconnect", "max_ms"): "1000",
    ("apus_source_set_retry", "most_ms"): "1000",
    ("apus_writer_event", "event"): '"add"', ("apus_server_publish_event", "event"): '"add"',
    ("apus_server_route_named", "method"): '"GET"',
    ("apus_server_set_max_head", "bytes"): "4096",
    ("apus_server_set_max_request_line", "bytes"): "4096",
    ("apus_server_adopt_listener", "descriptor"): "spare_listener",
    ("apus_server_adopt_connection", "descriptor"): "spare_connection",
    ("apus_leak_report_at_exit", "descriptor"): "-1",
    ("apus_server_set_backlog", "connections"): "16",
    ("apus_frame_mask", "data"): "outs.buffer", ("apus_frame_make_mask", "mask"): "outs.buffer",
    ("apus_close_encode", "code"): "1000",
    ("apus_handshake_check_origin", "policy"): "APUS_ORIGIN_LIST",
    ("apus_handshake_check_origin", "origins"): '"http://a"',
    ("apus_handshake_accept", "buffer"): "outs.text",
    ("apus_handshake_accept", "capacity"): "sizeof outs.text",
    ("apus_handshake_accept", "key"): '"dGhlIHNhbXBsZSBub25jZQ=="',
    ("apus_handshake_check_response", "key"): '"dGhlIHNhbXBsZSBub25jZQ=="',
    ("apus_fetch_make", "method"): '"GET"', ("apus_fetch_set_method", "method"): '"GET"',
    ("apus_fetch_set_body_file", "path"): '"/etc/passwd"',
    ("apus_fetch_add_file", "path"): '"/etc/passwd"', ("apus_response_time_us", "which"): "0",
    ("apus_response_address", "buffer"): "outs.text",
    ("apus_response_address", "capacity"): "sizeof outs.text",
    ("apus_post_form", "fields"): "NULL", ("apus_post_form", "files"): "NULL",
    ("apus_client_add_cookie", "cookie"): '"a=b"', ("apus_http", "method"): '"GET"',
    ("apus_server_set_tls_versions", "least"): "12", ("apus_server_set_tls_versions", "most"): "13",
    ("apus_client_set_tls_versions", "least"): "12", ("apus_client_set_tls_versions", "most"): "13",
    ("apus_client_set_verify", "host"): "1", ("apus_client_add_pin", "host"): '"a"',
    ("apus_client_set_proxy", "url"): '"http://127.0.0.1:1"',
    ("apus_fetch_set_url", "url"): '"http://127.0.0.1:1/"',
    ("apus_channel_open", "url"): '"ws://127.0.0.1:1/"',
    ("apus_url_resolve", "base"): '"http://a/"', ("apus_url_resolve", "reference"): '"b"',
    ("apus_url_same_origin", "other"): '"http://a/"', ("apus_percent_encode", "set"): "0",
    ("apus_percent_decode", "set"): "0",
    ("apus_server_serve_folder", "prefix"): '"/folder"',
    ("apus_server_serve_folder", "folder"): '"/tmp"',
    ("apus_server_set_error_page", "status"): "404",
    ("apus_server_set_error_page", "path"): '"/etc/passwd"',
    ("apus_reply_file", "path"): '"/etc/passwd"',
    ("apus_reply_attachment", "path"): '"/etc/passwd"',
    ("apus_writer_file", "path"): '"/etc/passwd"',
    ("apus_method_number", "name"): '"GET"', ("apus_channel_close", "code"): "1000",
}
BY_TYPE = {
    "int32_t": "1", "int64_t": "1", "size_t": "1", "const char *": '"x"',
    "size_t *": "&outs.length", "int32_t *": "&outs.number", "apus_frame *": "&outs.frame",
    "const apus_frame *": "&some_frame", "uint64_t": "1", "const void *": '"data"',
    "char *": "outs.buffer",
}
CALLBACKS = {
    "apus_handler_fn": "handler_fn", "apus_connection_fn": "connection_fn",
    "apus_replied_fn": "replied_fn", "apus_failed_fn": "failed_fn",
    "apus_server_fn": "server_fn", "apus_access_fn": "access_fn", "apus_body_fn": "body_fn",
    "apus_writer_fn": "writer_fn", "apus_open_fn": "open_fn", "apus_channel_fn": "channel_fn",
    "apus_message_fn": "message_fn", "apus_closed_fn": "closed_fn",
    "apus_channel_error_fn": "closed_fn", "apus_log_fn": None, "apus_leak_fn": None,
    "apus_fetch_source_fn": "fetch_source_fn", "apus_fetch_response_fn": "fetch_response_fn",
    "apus_fetch_body_fn": "fetch_body_fn", "apus_fetch_complete_fn": "fetch_complete_fn",
    "apus_events_fn": "events_fn", "apus_source_fn": "source_fn",
    "apus_source_event_fn": "source_event_fn", "apus_source_error_fn": "source_error_fn",
    "apus_origin_fn": "origin_fn",
    "apus_password_fn": "password_fn",
}

# ---- What is bad, by function and parameter -----------------------------------

INT32 = ["INT32_MIN", "INT32_MAX"]
INT64 = ["INT64_MIN", "INT64_MAX"]
FIELD_NAME = ["NULL", '""', '"A B"', '"A:"', '"X\\r\\nY"', '"X\\n"', '"X\\x7f"']
FIELD_VALUE = ["NULL", '"a\\r\\nX-B: c"', '"a\\n"', '"a\\r"', '"\\x01"', '"\\x7f"']
LONG_TOPIC = '"' + 256 * "t" + '"'
TOPIC = ["NULL", '""', LONG_TOPIC]
URL = ["NULL", '""', '"a"', '"http://"', '"http://a b"', '"http://a:0"', '"http://a\\r\\nX: b"']
ROUTE = ["-1", "64", *INT32]
STATUS = ["1", "99", "100", "199", "600", "-1", *INT32]


def span(low, high, extremes=None):
    """The neighbours of a range, and the extremes of the type."""
    return [f"({low}) - 1", f"({high}) + 1", *(extremes or INT32)]


BAD = {
    "apus_server_set_workers": {"workers": span(-1, 256)},
    "apus_server_set_dispatch": {"dispatch": span(0, 1)},
    "apus_server_set_reuse_address": {"on": span(0, 1)},
    "apus_server_set_reuse_port": {"on": span(0, 1)},
    "apus_server_set_dual_stack": {"on": span(0, 1)},
    "apus_server_set_backlog": {"connections": span(1, 65535)},
    "apus_server_set_server_name": {"name": ['"a\\r\\nb"', '"\\x01"', '"a\\n"']},
    "apus_server_set_max_connections": {"count": span(1, 16000000)},
    "apus_server_set_max_body": {"bytes": span(0, "1LL << 53", INT64)},
    "apus_server_set_max_head": {"bytes": span(256, 1048576)},
    "apus_server_set_max_request_line": {"bytes": span(64, 1048576)},
    "apus_server_set_max_fields": {"count": span(1, 1000)},
    "apus_server_set_max_pipelined": {"count": span(1, 1024)},
    "apus_server_set_max_pending": {"events": span(1, 16000000)},
    "apus_server_set_max_pending_bytes": {"bytes": span(0, "1LL << 53", INT64)},
    "apus_server_set_high_water": {"bytes": span(1024, "1LL << 53", INT64)},
    "apus_server_set_descriptor_reserve": {"count": span(0, 1000000)},
    "apus_server_listen": {"host": ['"no address"', '""', '"1.2.3"', '"::g"'],
                           "port": span(0, 65535)},
    "apus_server_listen_unix": {"path": ["NULL", '""', LONG_PATH]},
    "apus_server_adopt_listener": {"descriptor": ["-1", "spare_pipe", "spare_connection", *INT32]},
    "apus_server_port": {"listener": ["-1", "64", *INT32]},
    "apus_server_counter": {"counter": ["-1", "21", *INT32]},
    "apus_server_route": {"method": ["-3", "34", "-1", *INT32],
                          "pattern": ["NULL", '""', '"x"', '"/*a/b"']},
    "apus_server_route_named": {"method": ["NULL", '""', '"A B"', '"A\\n"', LONG_NAME],
                                "pattern": ["NULL", '""', '"x"']},
    "apus_server_route_stream": {"method": ["-3", "34", "-1", *INT32],
                                 "pattern": ["NULL", '""', '"x"'], "fn": ["NULL"]},
    "apus_request_parse": {"data": ["NULL"]},
    "apus_request_on_body": {"fn": ["NULL"]},
    "apus_request_header": {"name": ["NULL"]},
    "apus_request_trailer": {},
    "apus_request_param": {"name": ["NULL"]},
    "apus_request_query_param": {"name": ["NULL"]},
    "apus_reply_set_status": {"status": ["0", *STATUS]},
    "apus_reply_set_header": {"name": FIELD_NAME, "value": FIELD_VALUE},
    "apus_reply_add_header": {"name": FIELD_NAME, "value": FIELD_VALUE},
    "apus_reply_set_content_type": {"type": FIELD_VALUE},
    "apus_reply_data": {"data": ["NULL"]},
    "apus_reply": {"status": STATUS, "type": FIELD_VALUE[1:], "data": ["NULL"]},
    "apus_reply_text": {"status": STATUS, "text": ["NULL"]},
    "apus_reply_html": {"status": STATUS, "html": ["NULL"]},
    "apus_reply_json": {"status": STATUS, "json": ["NULL"]},
    "apus_reply_redirect": {"location": ["NULL", '"/a b"', '"/\\r\\nX-B: c"', '"/\\x7f"',
                                         '"/\\xc3\\xa4"'],
                            "status": ["200", "299", "400", *STATUS]},
    "apus_reply_status": {"status": STATUS},
    "apus_writer_set_status": {"status": ["0", *STATUS]},
    "apus_writer_set_header": {"name": FIELD_NAME, "value": FIELD_VALUE},
    "apus_writer_add_header": {"name": FIELD_NAME, "value": FIELD_VALUE},
    "apus_writer_begin": {"length": ["-2", "INT64_MIN"]},
    "apus_writer_set_high_water": {"bytes": span(1, "1LL << 53", INT64)},
    "apus_set_log": {},
    "apus_live_count": {"kind": ["-1", "10", *INT32]},
    "apus_tag": {"buffer": ["NULL"]},
    "apus_leak_report": {"fn": ["NULL"]},
    "apus_leak_report_at_exit": {"descriptor": ["-2", "INT32_MIN"]},
    "apus_method_name": {"method": ["-1", "34", *INT32]},
    "apus_method_number": {"name": ["NULL", '""', '"A B"', '"A\\n"', '"\\xc3\\xa4"']},
    "apus_status_reason": {"status": ["99", "600", "0", "-1", *INT32]},
    "apus_opcode_name": {"opcode": ["3", "7", "11", "15", "16", "-1", *INT32]},
    "apus_opcode_is_control": {"opcode": ["-1", "16", *INT32]},
    "apus_server_websocket": {"pattern": ["NULL", '""', '"x"', '"/*a/b"']},
    "apus_server_on_message": {"route": ROUTE, "function": ["NULL"]},
    "apus_server_on_close": {"route": ROUTE, "function": ["NULL"]},
    "apus_server_set_protocols": {"route": ROUTE,
                                  "protocols": ["NULL", '"a b"', '"a,a"', '"a\\r\\n"', '","']},
    "apus_server_set_origin_policy": {"policy": span(0, 2),
                                      "origins": ["NULL", '"a"', '"http://a/b"', '"http://"']},
    "apus_server_set_max_message": {"bytes": span(1, "1LL << 40", INT64)},
    "apus_server_set_max_fragments": {"frames": span(1, 1000000)},
    "apus_server_set_max_controls": {"per_second": span(1, 1000000)},
    "apus_server_set_body_rate": {"bytes_per_second": span(0, 1000000000),
                                  "grace_ms": span(1, 86400000)},
    "apus_server_set_ping_interval": {"ms": span(0, 86400000)},
    "apus_server_set_channel_high_water": {"bytes": span(1, "1LL << 40", INT64)},
    "apus_server_set_channel_inbox": {"bytes": span(1, "1LL << 40", INT64)},
    "apus_server_set_channel_close_timeout": {"ms": span(1, 86400000)},
    "apus_server_set_deflate": {"on": span(0, 1)},
    "apus_upgrade_accept": {"subprotocol": ['"b"', '"A"', '"a, a"', '"a\\r\\nX-B: c"']},
    "apus_upgrade_refuse": {"status": ["0", "299", *STATUS]},
    "apus_upgrade_set_frames": {"on": span(0, 1)},
    "apus_upgrade_protocol_at": {"index": ["-1", "1", *INT32]},
    "apus_channel_send_text": {"data": ["NULL", '"\\xff"']},
    "apus_channel_send_binary": {"data": ["NULL"]},
    "apus_channel_send": {"opcode": ["0", "3", "7", "8", "11", "15", *span(0, 15)],
                          "final": span(0, 1), "data": ["NULL", '"\\xff"']},
    "apus_channel_send_fragments": {"opcode": ["0", "3", "8", "9", "10", *span(0, 15)],
                                    "data": ["NULL", '"\\xff"'], "size": ["0"]},
    "apus_channel_ping": {"data": ["NULL"]},
    "apus_channel_pong": {"data": ["NULL"]},
    "apus_channel_close": {"code": ["1", "999", "1004", "1005", "1006", "1015", "1016", "2999",
                                    "5000", "66536", "-1000", *INT32],
                           "reason": ["NULL", '"\\xff"']},
    "apus_channel_subscribe": {"topic": TOPIC},
    "apus_channel_unsubscribe": {"topic": TOPIC},
    "apus_server_publish": {"topic": TOPIC, "opcode": ["0", "3", "8", "9", "10", *span(0, 15)],
                            "data": ["NULL", '"\\xff"']},
    "apus_server_subscriber_count": {"topic": ["NULL"]},
    "apus_channel_set_high_water": {"bytes": span(1, "1LL << 40", INT64)},
    "apus_channel_set_close_when_full": {"on": span(0, 1)},
    "apus_channel_set_events": {"on": span(0, 1)},
    "apus_channel_set_ping": {"interval": span(0, 86400000), "deadline": span(0, 86400000)},
    "apus_channel_recv": {"timeout_ms": ["-2", "INT32_MIN"], "message": ["NULL"]},
}
BAD |= {
    "apus_client_set_workers": {"workers": span(-1, 256)},
    "apus_client_set_dispatch": {"dispatch": span(0, 1)},
    "apus_client_set_channel_high_water": {"bytes": span(1, "1LL << 40", INT64)},
    "apus_client_set_channel_inbox": {"bytes": span(1, "1LL << 40", INT64)},
    "apus_client_set_channel_close_timeout": {"ms": span(1, 86400000)},
    "apus_client_tick": {"timeout_ms": ["-2", "INT32_MIN"]},
    "apus_client_next": {"timeout_ms": ["-2", "INT32_MIN"], "event": ["NULL"]},
    "apus_channel_add_header": {"name": [*FIELD_NAME, '"Host"', '"sec-websocket-key"'],
                                "value": FIELD_VALUE},
    "apus_channel_set_protocols": {"protocols": ["NULL", '"a,a"', '"a b"', '","']},
    "apus_channel_set_origin": {"origin": FIELD_VALUE},
    "apus_channel_set_max_message": {"bytes": span(1, "1LL << 40", INT64)},
    "apus_channel_set_max_fragments": {"frames": span(1, 1000000)},
    "apus_channel_set_max_controls": {"per_second": span(1, 1000000)},
    "apus_channel_set_deflate": {"on": span(0, 1)},
    "apus_channel_set_frames": {"on": span(0, 1)},
    "apus_channel_set_connect_timeout": {"ms": span(0, 86400000)},
    "apus_channel_set_reconnect": {"attempts": ["-2", "INT32_MIN"],
                                   "min_ms": ["0", "-1", "1001", *INT32],
                                   "max_ms": ["0", "86400001", *INT32]},
    "apus_channel_set_queue_policy": {"policy": ["-1", "3", *INT32],
                                      "bytes": ["0", "-1", "(1LL << 40) + 1", *INT64]},
    "apus_url_part": {"url": URL, "part": span(0, 11)},
    "apus_url_port": {"url": URL},
    "apus_url_resolve": {"base": URL, "reference": ["NULL", '"//"', '"a\\nb"']},
    "apus_url_same_origin": {"url": URL, "other": URL},
    "apus_percent_encode": {"data": ["NULL"], "set": span(0, 3)},
    "apus_percent_decode": {"data": ["NULL"], "set": span(0, 3)},
    "apus_query_append": {"name": ["NULL"], "data": ["NULL"]},
    "apus_channel_open": {"url": ["NULL", '""', '"http://a/"', '"ws://a/#b"', '"ws://u@a/"']},
    "apus_channel_wait_open": {"timeout_ms": ["-2", "INT32_MIN"]},
}
for event in ("open", "message", "pong", "close", "error", "drain"):
    BAD["apus_channel_on_" + event] = {"function": ["NULL"]}
for form in ("get", "head", "post", "put", "patch", "delete", "any"):
    BAD["apus_server_" + form] = {"pattern": ["NULL", '""', '"x"']}
for event in ("connect", "disconnect", "receive", "reply", "error", "tick", "access"):
    BAD["apus_server_on_" + event] = {"fn": ["NULL"]}
for limit in ("header", "body", "write", "keep_alive", "drain", "upgrade"):
    BAD[f"apus_server_set_{limit}_timeout"] = {"ms": span(0, 86400000)}
for kind in ("header", "trailer", "param", "query_param"):
    BAD[f"apus_request_{kind}_at"] = {"index": ["-1", "1000", *INT32]}

# Section 16, and what of section 8 came with it.
ONE_LINE = ['"a\\nb"', '"a\\r"', '"\\xff"']
BAD |= {
    "apus_server_events": {"pattern": ["NULL", '""', '"x"', '"/*a/b"']},
    "apus_server_set_heartbeat": {"ms": span(0, 86400000)},
    "apus_server_set_close_when_slow": {"on": span(0, 1)},
    "apus_server_publish_event": {"topic": TOPIC, "event": ONE_LINE, "id": ONE_LINE,
                                  "data": ["NULL", '"\\xff"']},
    "apus_server_set_topic_history": {"topic": TOPIC, "events": span(0, 1000000),
                                      "bytes": span(0, "1LL << 40", INT64)},
    "apus_writer_set_idle_timeout": {"ms": span(0, 86400000)},
    "apus_writer_set_events": {"on": span(0, 1)},
    "apus_writer_set_heartbeat": {"ms": span(0, 86400000)},
    "apus_writer_set_close_when_slow": {"on": span(0, 1)},
    "apus_writer_retry": {"ms": span(0, 86400000)},
    "apus_writer_comment": {"comment": ["NULL"]},
    "apus_writer_event": {"data": ["NULL"]},
    "apus_writer_subscribe": {"topic": ["NULL"]},
    "apus_writer_unsubscribe": {"topic": ["NULL"]},
}

# Section 14.
MS = span(0, 86400000)
FETCH_URL = [*URL, '"ws://a/"', '"/relative"']
OURS = [*FIELD_NAME, '"Content-Length"', '"transfer-encoding"', '"Connection"', '"expect"']
METHODS = ["NULL", '""', '"A B"', '"A\\n"', '"CONNECT"']
USER = ["NULL", '"a\\nb"', '"\\x7f"']
HEADERS = ['"no colon"', '"A: b\\nB\\x01: c"', '"Content-Length: 1"']
TYPE = ['"a\\r\\nb"', '"\\x01"']
for who in ("client", "fetch"):
    for limit in ("connect", "response", "idle", "total"):
        BAD[f"apus_{who}_set_{limit}_timeout"] = {"ms": MS}
    BAD |= {
        f"apus_{who}_set_redirects": {"most": span(0, 100)},
        f"apus_{who}_set_max_body": {"bytes": span(0, "1LL << 40", INT64)},
        f"apus_{who}_set_decoding": {"on": span(0, 1)},
        f"apus_{who}_set_basic": {"user": [*USER, '"a:b"'], "password": USER},
        f"apus_{who}_set_digest": {"user": USER, "password": USER},
        f"apus_{who}_set_credentials": {"user": USER, "password": USER},
        f"apus_{who}_set_bearer": {"token": ['""', '"a b"', '"a\\nb"']},
        f"apus_{who}_set_header": {"name": OURS, "value": FIELD_VALUE[1:]},
    }
BAD |= {
    "apus_client_set_base_url": {"url": FETCH_URL[1:]},
    "apus_client_set_expect": {"on": span(0, 1)},
    "apus_client_set_keep_alive": {"on": span(0, 1)},
    "apus_client_set_cookies": {"on": span(0, 1)},
    "apus_client_set_proxy_tunnel": {"on": span(0, 1)},
    "apus_client_set_max_connections": {"per_origin": span(1, 1000000),
                                        "together": span(1, 1000000),
                                        "waiting": span(1, 1000000)},
    "apus_client_set_idle_connection_timeout": {"ms": MS},
    "apus_client_set_unix_socket": {"path": ['""', LONG_PATH]},
    "apus_client_set_proxy": {"url": ['""', '"http://"', '"http://a:0"', '"http://a/b"']},
    "apus_client_cookie_at": {"index": ["-1", "1000", *INT32], "buffer": ["NULL"]},
    "apus_client_cookie": {"url": URL, "name": ["NULL"]},
    "apus_client_add_cookie": {"url": URL, "cookie": ["NULL", '""', '"a=b; Domain=com"']},
    "apus_client_export_cookies": {"buffer": ["NULL"]},
    "apus_client_import_cookies": {"data": ["NULL"]},
    "apus_fetch_make": {"method": METHODS, "url": FETCH_URL},
    "apus_fetch_set_method": {"method": METHODS},
    "apus_fetch_set_url": {"url": FETCH_URL},
    "apus_fetch_add_header": {"name": OURS, "value": FIELD_VALUE},
    "apus_fetch_add_query": {"name": ["NULL"], "value": ["NULL"]},
    "apus_fetch_set_body": {"data": ["NULL"], "content_type": TYPE},
    "apus_fetch_set_body_file": {"path": ["NULL"], "content_type": TYPE},
    "apus_fetch_set_body_source": {"length": ["-2", "INT64_MIN"], "content_type": TYPE,
                                   "fn": ["NULL"]},
    "apus_fetch_add_field": {"name": ["NULL"], "value": ["NULL"]},
    "apus_fetch_add_file": {"name": ["NULL"], "path": ["NULL"], "content_type": TYPE},
    "apus_fetch_add_part": {"name": ["NULL"], "data": ["NULL"], "content_type": TYPE},
    "apus_fetch_set_expect": {"on": span(0, 1)},
    "apus_fetch_set_events": {"on": span(0, 1)},
    "apus_fetch_method": {"buffer": ["NULL"]},
    "apus_fetch_url": {"buffer": ["NULL"]},
    "apus_fetch_header": {"name": ["NULL", '""', '"X: y\\r\\nX"'], "buffer": ["NULL"]},
    "apus_fetch_allow_downgrade": {"on": span(0, 1)},
    "apus_fetch_set_retries": {"most": span(0, 100), "delay_ms": MS},
    "apus_fetch_set_output_file": {"path": ['""']},
    "apus_fetch_wait": {"timeout_ms": ["-2", "INT32_MIN"]},
    "apus_response_header": {"name": ["NULL"]},
    "apus_response_trailer": {"name": ["NULL"]},
    "apus_response_header_at": {"index": ["-1", "1000", *INT32]},
    "apus_response_trailer_at": {"index": ["-1", "1000", *INT32]},
    "apus_response_address": {"buffer": ["NULL"], "capacity": ["0", "47"]},
    "apus_response_time_us": {"which": span(0, 4)},
}
for form in ("get", "head", "delete"):
    BAD["apus_" + form] = {"url": FETCH_URL, "headers": HEADERS}
for form in ("post", "put", "patch"):
    BAD["apus_" + form] = {"url": FETCH_URL, "headers": HEADERS, "data": ["NULL"]}
BAD |= {
    "apus_source_make": {"url": FETCH_URL},
    "apus_source_set_header": {"name": OURS, "value": FIELD_VALUE[1:]},
    "apus_source_set_last_event_id": {"id": ["NULL", '"a\\nb"', '"\\x01"']},
    "apus_source_set_retry": {"ms": ["-1", "1001", *INT32], "most_ms": ["0", "86400001", *INT32],
                              "attempts": ["-2", "INT32_MIN"]},
    "apus_source_set_idle_timeout": {"ms": MS},
    "apus_source_set_events": {"on": span(0, 1)},
    "apus_source_set_max_event": {"bytes": span(1, "1LL << 40", INT64)},
    "apus_source_last_event_id": {"buffer": ["NULL"]},
    "apus_source_next": {"timeout_ms": ["-2", "INT32_MIN"]},
}
BAD["apus_post_form"] = {"url": FETCH_URL, "headers": HEADERS,
                         "fields": ['(const char *const[]){"a", NULL}'],
                         "files": ['(const char *const[]){"a", NULL}',
                                   '(const char *const[]){"a", "/no/such/file", NULL}']}
BAD["apus_http"] = {"method": METHODS, "url": FETCH_URL, "headers": HEADERS, "data": ["NULL"]}

# Files.
FOLDER_NUMBER = ["-1", "64", *INT32]
SAVED_NAME = ['""', '"a/b"', '"a\\\\b"', '"a\\r\\nb"', '"\\xff"', '".."', '"' + 256 * "n" + '"']
BAD |= {
    "apus_server_serve_folder": {"prefix": ["NULL", '""', '"x"', '"/:a"', '"/*a"'],
                                 "folder": ["NULL"]},
    "apus_server_set_folder_index": {"folder": FOLDER_NUMBER, "names": ['"a/b"', '".."']},
    "apus_server_set_folder_cache_control": {"folder": FOLDER_NUMBER, "value": FIELD_VALUE[1:]},
    "apus_server_set_error_page": {"status": ["0", "200", "399", "600", *INT32]},
    "apus_reply_file": {"path": ["NULL"], "type": FIELD_VALUE[1:]},
    "apus_reply_attachment": {"path": ["NULL"], "name": SAVED_NAME, "type": FIELD_VALUE[1:]},
    "apus_reply_set_attachment": {"name": ["NULL", *SAVED_NAME]},
    "apus_reply_set_compression": {"on": span(0, 1)},
    "apus_writer_file": {"path": ["NULL"], "offset": ["-1", *INT64[:1]],
                         "length": ["-2", "INT64_MIN"]},
}
for option in ("listing", "precompressed", "compression", "hidden"):
    BAD["apus_server_set_folder_" + option] = {"folder": FOLDER_NUMBER, "on": span(0, 1)}

# Section 11. A NULL buffer goes with a capacity, so it is wrong by itself.
BIT = span(0, 1)
NO_KEY = ["NULL", '""', '"x"', '"dGhlIHNhbXBsZSBub25jZQ"', '"dGhlIHNhbXBsZSBub25jZQAA"']
FRAME = {"opcode": span(0, 15), "final": BIT, "reserved_bits": span(0, 7)}
BAD |= {
    "apus_frame_decode": {"data": ["NULL"]},
    "apus_frame_check": {"frame": ["NULL"], "role": BIT, "in_message": BIT, "compressed": BIT},
    "apus_frame_length": {"payload": ["-1", *INT64], "masked": BIT},
    "apus_frame_encode": {**FRAME, "data": ["NULL"], "buffer": ["NULL"]},
    "apus_frame_encode_header": {**FRAME, "payload": ["-1", "INT64_MIN"], "buffer": ["NULL"]},
    "apus_frame_mask": {"mask": ["NULL"], "data": ["NULL"]},
    "apus_frame_make_mask": {"mask": ["NULL"]},
    "apus_utf8_is_valid": {"data": ["NULL"]},
    "apus_close_encode": {"code": ["0", "1004", "1005", "65536 + 1000", *INT32],
                          "reason": ["NULL", '"\\xff"'], "buffer": ["NULL"]},
    "apus_close_decode": {"data": ["NULL"]},
    "apus_handshake_check_origin": {"policy": span(0, 2), "origins": ["NULL", '"x"', '"http://"']},
    "apus_handshake_protocol_at": {"buffer": ["NULL"]},
    "apus_handshake_accept": {"key": NO_KEY, "buffer": ["NULL"]},
    "apus_handshake_make_key": {"buffer": ["NULL"]},
    "apus_handshake_check_response": {"data": ["NULL"], "key": NO_KEY,
                                      "protocols": ['"a,a"', '"a b"', '","']},
}

# Section 17.
PATTERN = ["NULL", '""', '"x"', '"/*a/b"']
COOKIE = {"name": [*FIELD_NAME, '"a=b"', '"a;"'], "domain": ['".a"', '"a;b"', '"a\\r\\nb"'],
          "path": ['"a"', '"/;"', '"/\\n"'], "flags": ["128", "16", "4", "96", "-1", *INT32]}
SET_COOKIE = {**COOKIE, "value": [*FIELD_VALUE, '"a b"', '"a;"', '"a,b"', '"a\\\\b"'],
              "max_age": span(-1, "1LL << 53", INT64), "expires": span(-1, "253402300799LL", INT64)}
BAD |= {
    "apus_server_route_form": {"method": ["-3", "34", "-1", *INT32], "pattern": PATTERN},
    "apus_server_set_max_form": {"bytes": span(-1, "1LL << 53", INT64)},
    "apus_server_set_max_part": {"bytes": span(-1, "1LL << 53", INT64)},
    "apus_server_set_max_parts": {"count": span(1, 100000)},
    "apus_server_set_form_memory": {"bytes": span(0, "1LL << 40", INT64)},
    "apus_server_set_upload_folder": {"path": ['"/' + "x" * 4095 + '"']},
    "apus_server_add_cookie_key": {"key": ["NULL", '""', '"short"']},
    "apus_request_form_find": {"name": ["NULL"]},
    "apus_request_form_field": {"name": ["NULL"]},
    "apus_request_part_save": {"folder": ["NULL"], "replace": span(0, 1)},
    "apus_request_cookie": {"name": ["NULL"]},
    "apus_request_cookie_at": {"index": ["-1", "1000", *INT32]},
    "apus_request_signed_cookie": {"name": ["NULL"], "max_age": span(-1, "1LL << 53", INT64)},
    "apus_reply_set_cookie": SET_COOKIE, "apus_writer_set_cookie": SET_COOKIE,
    "apus_reply_delete_cookie": COOKIE, "apus_writer_delete_cookie": COOKIE,
}
for what in ("name", "file_name", "type", "header", "length", "data", "read"):
    BAD[f"apus_request_part_{what}"] = {"index": ["-1", "1000", *INT32]}
# Section 18.
TOKENS = ["NULL", '"a b"', '"a;b"', '"a\\r\\nX-B: c"', '"\\xc3\\xa4"']
BAD |= {
    "apus_server_set_cors_origins": {"origins": ['"a"', '"http://a/b"', '"http://"', '"*, *"',
                                                 '"http://a\\r\\nX-B: c"']},
    "apus_server_set_cors_methods": {"methods": TOKENS},
    "apus_server_set_cors_headers": {"headers": TOKENS},
    "apus_server_set_cors_exposed": {"headers": TOKENS},
    "apus_server_set_cors_credentials": {"on": span(0, 1)},
    "apus_server_set_cors_max_age": {"seconds": span(-1, 86400)},
    "apus_equal": {"a": ["NULL"], "b": ["NULL"]},
    "apus_reply_unauthorized": {"scheme": ["NULL", '""', '"a b"', '"a\\r\\nX-B: c"'],
                                "realm": FIELD_VALUE},
    "apus_server_trust_proxy": {"network": ["NULL", '""', '"a"', '"1.2.3.4/33"', '"::1/-1"']},
    "apus_server_set_forwarded_fields": {"fields": span(0, 1)},
    "apus_server_set_proxy_protocol": {"mode": span(0, 2)},
}
# Section 19.
TLS_NAME = ['"a b"', '"*"', '"*.*.a"', '"a\\n"']
TLS_LIST = ["NULL", '""', '"nonsense"', '"' + 1025 * "x" + '"']
PEM = ["NULL", '""']
for who in ("server", "client"):
    BAD |= {
        f"apus_{who}_set_tls_versions": {"least": span(12, 13), "most": span(12, 13)},
        f"apus_{who}_set_tls_ciphers": {"list": TLS_LIST},
        f"apus_{who}_set_tls_suites": {"list": TLS_LIST},
        f"apus_{who}_set_tls_groups": {"list": TLS_LIST},
    }
BAD |= {
    "apus_server_listen_tls": {"host": ['"no address"', '""'], "port": span(0, 65535)},
    "apus_server_set_listener_tls": {"on": span(0, 1)},
    "apus_server_add_certificate": {"name": TLS_NAME, "chain_path": PEM, "key_path": PEM},
    "apus_server_add_certificate_memory": {"name": TLS_NAME, "chain": ["NULL"], "key": ["NULL"]},
    "apus_server_add_certificate_directory": {"name": TLS_NAME, "path": PEM},
    "apus_server_set_ocsp_file": {"name": TLS_NAME, "path": ['""']},
    "apus_server_set_tls_preference": {"on": span(0, 1)},
    "apus_server_set_client_certificates": {"policy": span(0, 2), "ca_path": ['""', "NULL"]},
    "apus_server_set_client_certificates_memory": {"policy": span(0, 2), "data": ["NULL"]},
    "apus_server_set_ticket_period": {"seconds": span(0, 604800)},
    "apus_server_set_ticket_keys": {"keys": ["NULL"]},
    "apus_client_add_ca_file": {"path": PEM},
    "apus_client_add_ca_memory": {"data": ["NULL"]},
    "apus_client_add_ca_directory": {"path": PEM},
    "apus_client_set_hsts": {"on": span(0, 1)},
    "apus_client_trust_system": {"on": span(0, 1)},
    "apus_client_set_crl_file": {"path": ['""']},
    "apus_client_set_verify": {"peer": span(0, 1), "host": span(0, 1)},
    "apus_client_add_pin": {"host": ["NULL", '""'],
                            "pin": ["NULL", '""', '"sha256//"', '"sha1//' + 44 * "A" + '"']},
    "apus_client_set_certificate": {"chain_path": PEM, "key_path": PEM},
    "apus_client_set_certificate_memory": {"chain": ["NULL"], "key": ["NULL"]},
}
# What may be set while the server runs.
RUNNING = {f"apus_server_set_{word}" for word in (
    "ocsp_file", "ticket_keys", "tls_password", "topic_history")}

# The code where it is not APUS_E_ARGUMENT; None: any negative one.
CODES = {
    "apus_server_port": "APUS_E_NOT_FOUND", "apus_method_name": "APUS_E_NOT_FOUND",
    "apus_status_reason": "APUS_E_NOT_FOUND", "apus_opcode_name": "APUS_E_NOT_FOUND",
    "apus_client_cookie_at": None, "apus_response_header_at": "APUS_E_NOT_FOUND",
    "apus_response_trailer_at": "APUS_E_NOT_FOUND",
    "apus_request_on_body": None, "apus_upgrade_protocol_at": "APUS_E_NOT_FOUND",
}
for what in ("name", "file_name", "type", "header", "length", "data", "read"):
    CODES[f"apus_request_part_{what}"] = "APUS_E_NOT_FOUND"
for word in ("server_listen_tls", "server_add_certificate", "server_add_certificate_memory",
             "server_add_certificate_directory", "server_set_ocsp_file",
             "server_set_client_certificates", "client_add_ca_file", "client_add_ca_directory",
             "client_set_crl_file", "client_set_certificate", "client_set_certificate_memory"):
    CODES["apus_" + word] = None
for kind in ("header", "trailer", "param", "query_param", "cookie"):
    CODES[f"apus_request_{kind}_at"] = "APUS_E_NOT_FOUND"

# Parameters of which every value is good, and why.
EXCUSED = {
    "context": "handed through", "drop": "may be NULL", "length": "goes with its data",
    "except": "a handle that is left out, live or not",
    "consumed": "out", "event": "out", "capacity": "goes with its buffer",
    "chain_length": "goes with its chain", "key_length": "goes with its key",
    "handle": "tested as a handle", "previous": "a place in a walk, live or not",
}
EXCUSED_IN = {
    ("apus_channel_make", "host"), ("apus_channel_adopt", "host"),           # likewise
    ("apus_channel_adopt", "path"), ("apus_channel_adopt", "role"),
    ("apus_channel_adopt", "descriptor"),
    ("apus_server_tick", "timeout_ms"), ("apus_server_next", "timeout_ms"),  # by tests of theirs
    ("apus_server_adopt_connection", "descriptor"),                          # of a running server
    ("apus_server_get", "fn"), ("apus_set_tag", "tag"), ("apus_live_next", "kind"),
    ("apus_error_name", "code"), ("apus_error_message", "code"), ("apus_set_log", "fn"),
    ("apus_writer_on_drain", "fn"), ("apus_writer_on_close", "fn"),
    ("apus_writer_on_missed", "fn"), ("apus_server_events", "fn"),
    ("apus_writer_event", "event"), ("apus_writer_event", "id"),             # of one for events
    ("apus_request_trailer", "name"),
    ("apus_server_websocket", "function"),
    ("apus_server_route", "fn"), ("apus_server_route_named", "fn"),
    ("apus_writer_write", "data"), ("apus_writer_add_trailer", "name"),      # once begun
    ("apus_writer_add_trailer", "value"),
    ("apus_frame_encode", "mask"), ("apus_frame_encode_header", "mask"),     # NULL: none
    ("apus_frame_mask", "offset"), ("apus_close_is_valid", "code"),
    ("apus_handshake_protocol_at", "index"),                                 # by a test of its own
    ("apus_client_set_no_proxy", "list"),                                    # any text
    ("apus_server_route_form", "fn"), ("apus_request_form_find", "after"),
    ("apus_request_part_header", "name"), ("apus_request_part_read", "offset"),  # of a form
    ("apus_request_part_save", "index"), ("apus_request_part_save", "name"),
    ("apus_server_set_tls_password", "fn"), ("apus_client_set_tls_password", "fn"),
    ("apus_fetch_add_file", "file_name"), ("apus_fetch_add_part", "file_name"),
    ("apus_server_set_error_page", "path"),                                  # NULL: none
    ("apus_server_set_cors_check", "fn"),                                    # NULL: off
    ("apus_equal", "a_length"), ("apus_equal", "b_length"),
    ("apus_server_set_proxy_protocol", "listener"),                          # by its own test
    ("apus_server_set_listener_tls", "listener"),                            # the same
}
EXCUSED_IN |= {(f"apus_source_on_{event}", "fn") for event in ("open", "event", "error")}
EXCUSED_IN |= {(f"apus_fetch_on_{event}", "fn") for event in ("response", "body", "complete")}
EXCUSED_IN |= {(f"apus_server_{form}", "fn")
               for form in ("head", "post", "put", "patch", "delete", "any")}

# What says "failed" where it is not the code: the value, and whether it has one.
FAILURES = {
    "apus_request_method": ("INT32_MIN", True), "apus_request_body_length": ("INT64_MIN", True),
    "apus_server_destroy": ("0", False), "apus_server_is_alive": ("0", False),
    "apus_server_is_accepting": ("0", False),
    "apus_server_is_running": ("0", False), "apus_request_is_alive": ("0", False),
    "apus_request_destroy": ("0", False), "apus_writer_destroy": ("0", False),
    "apus_writer_is_alive": ("0", False), "apus_writer_is_connected": ("0", False),
    "apus_upgrade_destroy": ("0", False), "apus_upgrade_is_alive": ("0", False),
    "apus_channel_destroy": ("0", False), "apus_channel_is_alive": ("0", False),
    "apus_source_destroy": ("0", False), "apus_source_is_alive": ("0", False),
    "apus_fetch_destroy": ("0", False), "apus_fetch_is_alive": ("0", False),
    "apus_response_destroy": ("0", False), "apus_response_is_alive": ("0", False),
    "apus_client_destroy": ("0", False), "apus_client_is_alive": ("0", False),
    "apus_channel_is_connected": ("0", True),
    "apus_channel_last_pong_ms": ("INT64_MIN", True),
}


class Function:
    def __init__(self, result, name, parameters):
        self.result, self.name = result.strip(), name
        self.parameters = []
        for parameter in [] if parameters.strip() == "void" else parameters.split(","):
            kind, word = re.fullmatch(r"\s*(.*?)(\w+)\s*", parameter, re.S).groups()
            self.parameters.append((" ".join(kind.split()), word))

    @property
    def handle(self):
        """The kind of the handle that it takes: a name, "ANY", or None."""
        if not self.parameters:
            return None
        kind, word = self.parameters[0]
        return HANDLES.get(kind) or ("ANY" if (kind, word) == ("uint64_t", "handle") else None)

    def arguments(self, handle, replaced=None, value=None):
        out = []
        for at, (kind, word) in enumerate(self.parameters):
            if at == 0 and self.handle:
                out.append(handle)
            elif word == replaced:
                out.append(value)
            elif kind == "const char **":
                out.append("&outs.name" if word == "name" else "&outs.value")
            elif kind in CALLBACKS:
                out.append(CALLBACKS[kind] or "NULL")
            else:
                out.append(BY_FUNCTION.get((self.name, word)) or self.plausible(kind, word))
        return ", ".join(out)

    @staticmethod
    def plausible(kind, word):
        if kind in BY_TYPE and kind.endswith("*") and kind != "const char *":
            return BY_TYPE[kind]
        return PLAUSIBLE.get(word) or BY_TYPE[kind]

    @property
    def drops(self):
        return 1 if any(kind == "apus_drop_fn" for kind, _ in self.parameters) else -1

    def check(self, handle, code, replaced=None, value=None):
        """One call in C, with its verdict."""
        arguments = self.arguments(handle, replaced, value)
        call = f"{self.name}({arguments})"
        text = '"' + call.replace("\\", "\\\\").replace('"', '\\"') + '"'
        got = f"(long long)(intptr_t){call}" if "*" in self.result else f"(long long){call}"
        about = f"{text}, {handle if self.handle else '0'}"
        begin = "  outs = untouched;\n"
        if code is None:
            return begin + f"  expect_negative({about}, {got}, &outs, {self.drops});\n"
        failure, has_code = FAILURES.get(self.name, (None, True))
        if failure is None:
            failure = "0" if "*" in self.result or self.result.startswith(("apus_", "uint")) \
                else code
        last = code if has_code else "0"
        return begin + f"  expect_code({about}, {got}, {failure}, {last}, &outs, {self.drops});\n"


def read_header():
    with open(HEADER) as file:
        text = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.S)
    found = re.findall(r"APUS_API\s+([^;()]*?)(\w+)\s*\(([^()]*)\)\s*;", text)
    return [Function(*each) for each in found]


def unexplained(functions):
    """Parameters for which there are neither bad values nor an excuse."""
    for function in functions:
        bad = BAD.get(function.name, {})
        for at, (kind, word) in enumerate(function.parameters):
            known = word in bad or word in EXCUSED or (function.name, word) in EXCUSED_IN or \
                (at == 0 and function.handle) or (kind.endswith("*") and "const" not in kind) or \
                kind == "const char **"
            if not known:
                yield f"{function.name}: {word}"
    names = {function.name for function in functions}
    yield from (f"{name}: not in the header" for name in BAD if name not in names)


def wrap(name, parameter, body):
    return (f"static void {name}({parameter}) {{\n  struct outs outs = untouched;\n"
            f"  (void)outs;\n{body}}}\n\n")


def bad_handle_calls(functions):
    out, table = "", ""
    for function in functions:
        if not function.handle:
            continue
        name = "bad_handle_" + function.name
        out += wrap(name, "uint64_t handle", function.check("handle", "APUS_E_HANDLE"))
        kind = "0" if function.handle == "ANY" else "APUS_KIND_" + function.handle
        if function.handle == "CLIENT" and function.name not in CLIENT_ALONE:
            kind = "-1"
        table += f'  {{"{function.name}", {kind}, {name}}},\n'
    return out + f"static const struct bad_handle_call bad_handle_calls[] = {{\n{table}}};\n\n"


def bad_arguments(function, handle):
    out = ""
    for word, values in BAD.get(function.name, {}).items():
        code = CODES.get(function.name, "APUS_E_ARGUMENT")
        for value in values:
            out += function.check(handle, code, word, value)
        if word == "data":
            for length in (IMPOSSIBLE, "APUS_STRLEN", "SIZE_MAX / 2"):
                call = function.check(handle, code, word, "NULL")
                out += call.replace("NULL, 1", f"NULL, {length}")
    return out


def started(functions):
    """What a server refuses once it has started, called in its own handler."""
    out = ""
    for function in functions:
        name = function.name
        if re.match(r"apus_server_(set_|listen|adopt_listener|route|on_|start|serve|tick)"
                    r"|apus_server_(next|trust_proxy|websocket|events|get|head|post|put|patch"
                    r"|delete|any)$", name) and name not in RUNNING:
            out += function.check("handle", "APUS_E_STATE")
    return out


def wrong_writes(functions):
    """A writer's functions with bad arguments, before and after it has begun."""
    by_name = {function.name: function for function in functions}
    out = "".join(bad_arguments(f, "handle") for f in functions if f.handle == "WRITER")
    out += "  CHECK_INT(0, apus_writer_begin(handle, -1));\n"
    for length in ("1", IMPOSSIBLE, "APUS_STRLEN"):
        call = by_name["apus_writer_write"].check("handle", "APUS_E_ARGUMENT", "data", "NULL")
        out += call.replace("NULL, 1", f"NULL, {length}")
    trailer = by_name["apus_writer_add_trailer"]
    for word, values in (("name", FIELD_NAME), ("value", FIELD_VALUE)):
        for value in values:
            out += trailer.check("handle", "APUS_E_ARGUMENT", word, value)
    for name in ("begin", "set_status", "set_header", "add_header"):
        out += by_name["apus_writer_" + name].check("handle", "APUS_E_STATE")
    return out


def generate(functions):
    def collect(wanted):
        return "".join(bad_arguments(f, "handle") for f in functions if wanted(f))
    parsed = re.compile(r"apus_request_(header|trailer|param|query_param)")
    out = "/* Written by misuse_test.py from the header. */\n"
    out += f"enum {{ HEADER_FUNCTIONS = {len(functions)} }};\n\n"
    out += bad_handle_calls(functions)
    out += wrap("bad_arguments_of_none", "void", collect(lambda f: f.handle is None))
    out += wrap("bad_arguments_of_server", "apus_server handle",
                collect(lambda f: f.handle in ("SERVER", "ANY")))
    out += wrap("bad_arguments_of_request", "apus_request handle",
                collect(lambda f: f.handle in ("REQUEST", "ANY")))
    out += wrap("bad_arguments_of_parsed", "apus_request handle",
                collect(lambda f: f.handle == "REQUEST" and parsed.match(f.name)))
    out += wrap("bad_arguments_of_writer", "apus_writer handle", wrong_writes(functions))
    out += wrap("bad_arguments_of_upgrade", "apus_upgrade handle",
                collect(lambda f: f.handle == "UPGRADE"))
    out += wrap("bad_arguments_of_channel", "apus_channel handle",
                collect(lambda f: f.handle == "CHANNEL" and f.name not in CALLER))
    out += wrap("bad_arguments_of_caller", "apus_channel handle",
                collect(lambda f: f.name in CALLER))
    out += wrap("bad_arguments_of_client", "apus_client handle",
                collect(lambda f: f.handle == "CLIENT"))
    out += wrap("bad_arguments_of_fetch", "apus_fetch handle",
                collect(lambda f: f.handle == "FETCH"))
    out += wrap("bad_arguments_of_source", "apus_source handle",
                collect(lambda f: f.handle == "SOURCE"))
    out += wrap("bad_arguments_of_response", "apus_response handle",
                collect(lambda f: f.handle == "RESPONSE"))
    out += wrap("started_server", "apus_server handle", started(functions))
    return out


def build(text):
    os.makedirs(FOLDER, exist_ok=True)
    with open(os.path.join(FOLDER, "misuse_calls.h"), "w") as file:
        file.write(text)
    library = os.environ["APUS_LIBRARY"]
    program = os.path.join(FOLDER, "misuse")
    command = [os.environ.get("CC", "cc"), "-std=c11", "-O1", "-g", "-Wall", "-Wextra", "-Werror",
               "-I", os.path.join(os.environ["APUS_PREFIX"], "include"), "-I", FOLDER,
               "-o", program, os.path.join(TOP, "ctests", "src", "misuse", "misuse.c"),
               library, "-Wl,-rpath," + os.path.dirname(library), "-lpthread"]
    subprocess.run(command, check=True)
    return program


def main():
    functions = read_header()
    problems = list(unexplained(functions))
    for problem in problems:
        print(f"no bad values known for {problem}")
    if problems or len(functions) < 100:
        print(f"misuse_test: {len(functions)} functions, {len(problems)} unexplained")
        return 1
    seed = os.environ.get("APUS_SEED") or str(random.randrange(1 << 32))
    print(f"seed {seed}", flush=True)
    result = subprocess.run([build(generate(functions)), seed])
    if result.returncode < 0:
        print(f"ended by signal {-result.returncode}")
    return 1 if result.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
