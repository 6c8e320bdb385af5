/*
 * apus.h - a server and a client for HTTP/1.1, WebSocket and Server-Sent Events in
 * one shared library. This header is the whole interface: what is not in it is not
 * API.
 *
 * SPDX-License-Identifier: Apache-2.0
 *
 * Contents
 *   1  Conventions        handles, results, text and bytes, callbacks, threads
 *   2  Library            version, errors, log, live handles
 *   3  Constants          methods, statuses, opcodes, states
 *   4  Server: life       make, options, limits, listeners, start, stop, tick
 *   5  Server: routing    routes and middleware
 *   6  Request            what the client sent
 *   7  Reply              what goes back at once
 *   8  Writer             what goes back over time, from any thread
 *   9  Upgrade            from a request to a channel
 *  10  Channel            WebSocket
 *  11  WebSocket without a connection: frames and handshakes as bytes
 *  12  Channel: the client's end, and clients
 *  13  URLs and text
 *  14  HTTP client        fetches and responses
 *  15  Files              folders that are served, replies from files
 *  16  Server-Sent Events the server's streams of events, and the client's source
 *  17  Forms and cookies  what forms send, uploads, cookies of the server's side
 *  18  Access             other origins, credentials, proxies in front
 *  19  TLS
 *
 * ============================================================================
 * 1  CONVENTIONS
 * ============================================================================
 *
 * Handles. Every object is a 64-bit integer: its kind, a generation and a slot
 * index in the low 52 bits, so that it survives a double (Lua, JavaScript) and
 * a signed integer. 0 is never live. Two handles are the same object exactly
 * when the integers are equal. Zero, a stale handle, a forged one and one of
 * another kind give APUS_E_HANDLE from every function, on every thread.
 *
 * Results. An int32_t result is 0 or a count on success and one of the negative
 * APUS_E_* codes on failure. A function that returns a handle or a pointer
 * returns 0 or NULL on failure. In both cases apus_last_error() has the code
 * and apus_last_error_message() a sentence, for the calling thread, until the
 * thread's next failing call. A function sets its out-parameters only on
 * success; any out-parameter may be NULL. Where -1 is a value, as "not known",
 * errors come as INT32_MIN or INT64_MIN, by the result's type.
 * errno is no part of the interface: any call may change it, also one that
 * succeeds, and what it says means nothing. The system's reason for a failure,
 * where there is one, is in apus_last_error_message(). Who needs errno across a
 * call saves it.
 * COMMON CODES: any function that takes a handle may give APUS_E_HANDLE; any
 * function may give APUS_E_FORK in the child of a fork(). They are not repeated
 * below: "Errors" names what comes on top of them.
 *
 * Text in. What cannot hold a NUL by its grammar (a method, path, field name or
 * value, host) is a NUL-terminated string. A NULL where text is needed gives
 * APUS_E_ARGUMENT. Bytes in are a pointer and a length; the length APUS_STRLEN
 * stands for "up to the NUL". NULL with length 0 is no bytes. Text and bytes
 * are copied, or consumed, before the call returns.
 *
 * Bytes out are a const pointer, with a NUL one past the end, and an optional
 * length. They are borrowed: the comment says until when. Never free() them.
 *
 * Callbacks are three arguments: the function, a context that is handed to it,
 * and a drop function for the context, which may be NULL. drop runs exactly
 * once, after the last call of the function, also when registering it fails
 * (then before the registering call returns), and when the function is NULL.
 * It may run on any thread, and call anything, as if inside a callback.
 *
 * Threads. "Thread: any" means that a function may be called from every thread
 * at any time, also inside any callback. "Thread: the request's" is explained
 * in section 6. Callbacks run where the server's dispatch says (section 4).
 * No function may be called in a signal handler. A call is left by its return
 * and in no other way: no exception and no longjmp() leaves a callback, and no
 * thread is cancelled (pthread_cancel()) inside a call, which may hold locks;
 * apus_server_wake(), the cancel functions and stop end a call that waits.
 *
 * Times are in milliseconds. A time limit of -1 means "for ever", where the
 * comment allows it; 0 means "do not wait".
 *
 * The library installs no signal handler, writes nothing to any stream, reads
 * no environment variable unasked (OpenSSL, once it is needed, reads its own)
 * and needs no global set-up call.
 */
#ifndef APUS_H
#define APUS_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define APUS_API __attribute__((visibility("default")))
#else
#define APUS_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* The version of this header. apus_version() is that of the library. */
#define APUS_VERSION_MAJOR 0
#define APUS_VERSION_MINOR 1
#define APUS_VERSION_PATCH 0
#define APUS_VERSION_STRING "0.1.0"

/* Grows with each incompatible change; part of the soname. */
#define APUS_ABI_VERSION 1

/* As a length: the bytes are a NUL-terminated string. */
#define APUS_STRLEN ((size_t)-1)

typedef uint64_t apus_server;
typedef uint64_t apus_request;
typedef uint64_t apus_writer;
typedef uint64_t apus_upgrade;
typedef uint64_t apus_channel;
typedef uint64_t apus_client;
typedef uint64_t apus_response;
/* A client's request, and what comes of it. */
typedef uint64_t apus_fetch;
/* A client's stream of events, connected anew when it ends. */
typedef uint64_t apus_source;

/* The kinds of handle; bits 48 to 51 of one. Since 0.1. */
enum {
  APUS_KIND_SERVER = 1,
  APUS_KIND_CLIENT = 2,
  APUS_KIND_CHANNEL = 3,
  APUS_KIND_WRITER = 4,
  APUS_KIND_REQUEST = 5,
  APUS_KIND_RESPONSE = 6,
  APUS_KIND_UPGRADE = 7,
  APUS_KIND_SOURCE = 8,
  APUS_KIND_FETCH = 9
};

/* Result codes. The numbers are frozen. Since 0.1. */
enum {
  APUS_OK = 0,
  APUS_E_HANDLE = -1,          /* zero, stale, forged, or of another kind */
  APUS_E_ARGUMENT = -2,        /* NULL, out of range, or not of the grammar */
  APUS_E_STATE = -3,           /* not now: started, stopped, already replied */
  APUS_E_MEMORY = -4,          /* no memory, or a table is full */
  APUS_E_THREAD = -5,          /* the request belongs to another thread */
  APUS_E_FULL = -6,            /* a queue is at its limit; nothing was taken */
  APUS_E_TIMEOUT = -7,         /* a time limit passed */
  APUS_E_CLOSED = -8,          /* the peer has gone, or the object was closed */
  APUS_E_PROTOCOL = -9,        /* the peer broke the protocol */
  APUS_E_IO = -10,             /* the operating system refused */
  APUS_E_TOO_LARGE = -11,      /* past a limit on size */
  APUS_E_NOT_FOUND = -12,      /* no such name or index */
  APUS_E_ADDRESS_IN_USE = -13, /* another socket listens there */
  APUS_E_PERMISSION = -14,     /* the operating system forbids it */
  APUS_E_ADDRESS = -15,        /* not an address of this machine */
  APUS_E_FORK = -16,           /* in the child of a fork() */
  APUS_E_DESCRIPTORS = -17,    /* no file descriptor left */
  APUS_E_UNSUPPORTED = -18,    /* not in this build */
  APUS_E_TLS = -19,            /* a TLS handshake, or a certificate and its key */
  APUS_E_CERTIFICATE = -20,    /* the peer's certificate is not good */
  APUS_E_EXPIRED = -21,        /* one in the peer's chain has expired */
  APUS_E_NOT_YET_VALID = -22,  /* one in the peer's chain is not valid yet */
  APUS_E_SELF_SIGNED = -23,    /* the chain ends in one that nobody vouches for */
  APUS_E_UNKNOWN_ISSUER = -24, /* the issuer is not known, or was not sent */
  APUS_E_WRONG_HOST = -25,     /* the certificate is for another host */
  APUS_E_REVOKED = -26,        /* one in the peer's chain was revoked */
  APUS_E_WEAK = -27,           /* a key or signature in the chain is too weak */
  APUS_E_PIN = -28             /* the key is not the one that was pinned */
};

/* ============================================================================
 * 2  LIBRARY
 * ========================================================================== */

/* Runs once, after the last call of the callback that it came with. */
typedef void (*apus_drop_fn)(void *context);

/* The library's version, "major.minor.patch": static text.
 * Thread: any. Since 0.1. */
APUS_API const char *apus_version(void);

/* The library's APUS_ABI_VERSION. Thread: any. Since 0.1. */
APUS_API int32_t apus_abi_version(void);

/* The code of the calling thread's latest failing call, or APUS_OK if none has
 * failed yet. Thread: any. Since 0.1. */
APUS_API int32_t apus_last_error(void);

/* A sentence about apus_last_error(), with the operating system's reason where
 * there is one; never NULL. Borrowed until the thread's next failing call.
 * Thread: any. Since 0.1. */
APUS_API const char *apus_last_error_message(void);

/* The name of a code, such as "APUS_E_HANDLE", or "APUS_E_UNKNOWN": static
 * text. Thread: any. Since 0.1. */
APUS_API const char *apus_error_name(int32_t code);

/* What a code means, in a few words: static text.
 * Thread: any. Since 0.1. */
APUS_API const char *apus_error_message(int32_t code);

/* Levels of log messages. Since 0.1. */
enum { APUS_LOG_ERROR = 0, APUS_LOG_WARNING = 1, APUS_LOG_INFO = 2, APUS_LOG_DEBUG = 3 };

/* Takes one message; text is borrowed until it returns. */
typedef void (*apus_log_fn)(void *context, int32_t level, const char *text);

/* Sends the library's log messages to fn, from whatever thread they arise on,
 * one at a time; NULL ends it. Nothing is logged unless this was called.
 * Thread: any. Errors: APUS_E_STATE (called by fn). Since 0.1. */
APUS_API int32_t apus_set_log(apus_log_fn fn, void *context, apus_drop_fn drop);

/* The kind of a live handle (APUS_KIND_*), or APUS_E_HANDLE.
 * Thread: any. Since 0.1. */
APUS_API int32_t apus_handle_kind(uint64_t handle);

/* How many handles of a kind are live; kind 0: of all kinds. Requests count
 * while their handler runs or until they are released.
 * Errors: APUS_E_ARGUMENT (no such kind). Thread: any. Since 0.1. */
APUS_API int32_t apus_live_count(int32_t kind);

/* Walks the live handles: the first one whose slot comes after that of
 * previous, of the kind given or of any (0); 0 at the end. Start with 0. What
 * comes and goes during a walk may or may not be seen.
 * Thread: any. Since 0.1. */
APUS_API uint64_t apus_live_next(int32_t kind, uint64_t previous);

/* Notes the caller's own word about the place that made a handle, for leak
 * reports; at most 63 bytes are kept. NULL clears it.
 * Thread: any. Since 0.1. */
APUS_API int32_t apus_set_tag(uint64_t handle, const char *tag);

/* Copies the tag of a handle into buffer, cut to capacity with a NUL.
 * Returns the length of the whole tag.
 * Errors: APUS_E_ARGUMENT (buffer NULL). Thread: any. Since 0.1. */
APUS_API int32_t apus_tag(uint64_t handle, char *buffer, size_t capacity);

/* Takes one live handle: its kind, slot index, generation, age and tag. All
 * are borrowed until it returns. */
typedef void (*apus_leak_fn)(void *context, uint64_t handle, int32_t kind, uint32_t index,
                             uint32_t generation, int64_t age_ms, const char *tag);

/* Calls fn, before it returns, for each live handle that a caller owns.
 * Returns how many there were.
 * Errors: APUS_E_ARGUMENT (fn NULL). Thread: any. Since 0.1. */
APUS_API int32_t apus_leak_report(apus_leak_fn fn, void *context);

/* On request, writes a line for each handle that is still live when the
 * process exits to a file descriptor, such as 2; -1 (the default) turns it off.
 * Errors: APUS_E_ARGUMENT (below -1). Thread: any. Since 0.1. */
APUS_API int32_t apus_leak_report_at_exit(int32_t descriptor);

/* ============================================================================
 * 3  CONSTANTS
 * ========================================================================== */

/* Methods (IANA's registry of HTTP methods, and a few older ones). A method
 * outside the list is served as well: as number -1 and its name. Since 0.1. */
enum {
  APUS_METHOD_ANY = -2, /* for routes: every method */
  APUS_METHOD_OTHER = -1,
  APUS_DELETE = 0,
  APUS_GET = 1,
  APUS_HEAD = 2,
  APUS_POST = 3,
  APUS_PUT = 4,
  APUS_CONNECT = 5,
  APUS_OPTIONS = 6,
  APUS_TRACE = 7,
  APUS_COPY = 8,
  APUS_LOCK = 9,
  APUS_MKCOL = 10,
  APUS_MOVE = 11,
  APUS_PROPFIND = 12,
  APUS_PROPPATCH = 13,
  APUS_SEARCH = 14,
  APUS_UNLOCK = 15,
  APUS_BIND = 16,
  APUS_REBIND = 17,
  APUS_UNBIND = 18,
  APUS_ACL = 19,
  APUS_REPORT = 20,
  APUS_MKACTIVITY = 21,
  APUS_CHECKOUT = 22,
  APUS_MERGE = 23,
  APUS_MSEARCH = 24, /* M-SEARCH on the wire */
  APUS_NOTIFY = 25,
  APUS_SUBSCRIBE = 26,
  APUS_UNSUBSCRIBE = 27,
  APUS_PATCH = 28,
  APUS_PURGE = 29,
  APUS_MKCALENDAR = 30,
  APUS_LINK = 31,
  APUS_UNLINK = 32,
  APUS_SOURCE = 33
};

/* The name on the wire of a method number, or NULL: static text.
 * Errors: APUS_E_NOT_FOUND. Thread: any. Since 0.1. */
APUS_API const char *apus_method_name(int32_t method);

/* The number of a method by its name, which is case-sensitive (RFC 9110
 * section 9.1), or APUS_METHOD_OTHER for another token.
 * Errors: APUS_E_ARGUMENT (NULL, or not a token). Thread: any. Since 0.1. */
APUS_API int32_t apus_method_number(const char *name);

/* The reason phrase of a status code: static text, "" for a code without one,
 * NULL outside 100 to 599.
 * Errors: APUS_E_NOT_FOUND. Thread: any. Since 0.1. */
APUS_API const char *apus_status_reason(int32_t status);

/* WebSocket opcodes (RFC 6455 section 5.2). Since 0.1. */
enum {
  APUS_OPCODE_CONTINUE = 0,
  APUS_OPCODE_TEXT = 1,
  APUS_OPCODE_BINARY = 2,
  APUS_OPCODE_CLOSE = 8,
  APUS_OPCODE_PING = 9,
  APUS_OPCODE_PONG = 10
};

/* The name of an opcode, such as "PING", or NULL: static text.
 * Errors: APUS_E_NOT_FOUND. Thread: any. Since 0.1. */
APUS_API const char *apus_opcode_name(int32_t opcode);

/* 1 for a control opcode (8 to 15), 0 for another (0 to 7).
 * Errors: APUS_E_ARGUMENT (outside 0 to 15). Thread: any. Since 0.1. */
APUS_API int32_t apus_opcode_is_control(int32_t opcode);

/* The roles and the states of a channel. Since 0.1. */
enum { APUS_ROLE_CLIENT = 0, APUS_ROLE_SERVER = 1 };
enum {
  APUS_STATE_CONNECTING = 0,
  APUS_STATE_OPEN = 1,
  APUS_STATE_CLOSING = 2,
  APUS_STATE_CLOSED = 3
};

/* ============================================================================
 * 4  SERVER: LIFE
 *
 * make, set options, listen, route, start; then, by dispatch, tick, next or
 * nothing; stop, destroy. Options, listeners and routes are set while the
 * server is stopped: later, they give APUS_E_STATE.
 * ========================================================================== */

/* Who runs the callbacks. Since 0.1.
 *
 *   TICK    (default) worker threads do the I/O; the callbacks queue up and run
 *           inside apus_server_tick(), on the thread that calls it; or
 *           apus_server_next() takes them as events, one by one.
 *   WORKER  the worker thread that owns the connection: the fastest.
 *
 * With 0 workers, and either dispatch, the library starts no thread at all:
 * apus_server_tick() does the I/O and runs the callbacks itself. */
enum { APUS_DISPATCH_TICK = 0, APUS_DISPATCH_WORKER = 1 };

/* Makes a server: stopped, without listeners or routes. The caller owns it.
 * Returns 0 on failure: APUS_E_MEMORY. Thread: any. Since 0.1. */
APUS_API apus_server apus_server_make(void);

/* Stops a server at once and ends it. Waits for callbacks of its that run on
 * other threads; inside one of its own callbacks it does not wait, and what is
 * left ends when that callback returns. After it, no callback of the server
 * starts, and its requests and writers are dead.
 * Returns 1 if the handle was live, 0 if not. Thread: any. Since 0.1. */
APUS_API int32_t apus_server_destroy(apus_server server);

/* 1 if the handle is a live server, else 0. Thread: any. Since 0.1. */
APUS_API int32_t apus_server_is_alive(apus_server server);

/* ---- options; each gives APUS_E_STATE once the server has started, and
 * ---- APUS_E_ARGUMENT outside its range. Thread: any. Since 0.1. */

/* Worker threads: 0 (no thread) to 256, -1 for one per core. Default -1. */
APUS_API int32_t apus_server_set_workers(apus_server server, int32_t workers);
/* APUS_DISPATCH_TICK or APUS_DISPATCH_WORKER. Default APUS_DISPATCH_TICK. */
APUS_API int32_t apus_server_set_dispatch(apus_server server, int32_t dispatch);
/* SO_REUSEADDR on listeners: 0 or 1. Default 1. */
APUS_API int32_t apus_server_set_reuse_address(apus_server server, int32_t on);
/* SO_REUSEPORT on listeners, to share a port between processes: 0 or 1.
 * Default 0. */
APUS_API int32_t apus_server_set_reuse_port(apus_server server, int32_t on);
/* Whether an IPv6 listener also takes IPv4: 0 or 1. Default 1. */
APUS_API int32_t apus_server_set_dual_stack(apus_server server, int32_t on);
/* The length of the kernel's accept queue: 1 to 65535. Default 1024. */
APUS_API int32_t apus_server_set_backlog(apus_server server, int32_t connections);
/* The value of the Server field of replies; NULL or "" (the default): none.
 * Also APUS_E_ARGUMENT for text that is not a field value. */
APUS_API int32_t apus_server_set_server_name(apus_server server, const char *name);

/* ---- limits; each gives APUS_E_STATE once the server has started, APUS_E_ARGUMENT out of
 * ---- range. The reaction of each is counted. Thread: any. Since 0.1. */

/* Connections at once: 1 to 16,000,000. Default 100,000. Above it a connection
 * gets 503. */
APUS_API int32_t apus_server_set_max_connections(apus_server server, int32_t count);
/* A request's body in bytes: 0 to 2^53. Default 8 MiB. Above it: 413. */
APUS_API int32_t apus_server_set_max_body(apus_server server, int64_t bytes);
/* A request's head in bytes, from the request line to the empty line: 256 to
 * 1 MiB. Default 32 KiB. Above it: 431. */
APUS_API int32_t apus_server_set_max_head(apus_server server, int32_t bytes);
/* A request line in bytes, without its CRLF: 64 to 1 MiB. Default 8192. Above
 * it: 414. */
APUS_API int32_t apus_server_set_max_request_line(apus_server server, int32_t bytes);
/* A request's header fields, and its trailer fields: 1 to 1000. Default 100.
 * Above it: 431. */
APUS_API int32_t apus_server_set_max_fields(apus_server server, int32_t count);
/* Requests of one connection that wait for replies at once: 1 to 1024.
 * Default 64. At the limit the connection is not read. */
APUS_API int32_t apus_server_set_max_pipelined(apus_server server, int32_t count);
/* Events that wait for apus_server_tick() or apus_server_next(): 1 to
 * 16,000,000. Default 65536. Above it a request gets 503. */
APUS_API int32_t apus_server_set_max_pending(apus_server server, int32_t events);
/* Bytes of bodies that wait likewise: 0 to 2^53. Default 256 MiB. Above it a
 * request gets 503. */
APUS_API int32_t apus_server_set_max_pending_bytes(apus_server server, int64_t bytes);
/* Outgoing bytes of one connection above which it is not read, and a writer
 * says APUS_E_FULL: 1024 to 2^53. Default 256 KiB. */
APUS_API int32_t apus_server_set_high_water(apus_server server, int64_t bytes);
/* Free file descriptors to keep for the host: 0 to 1,000,000. Default 32. With
 * fewer left, the server pauses accepting and goes on serving. */
APUS_API int32_t apus_server_set_descriptor_reserve(apus_server server, int32_t count);

/* ---- time limits in milliseconds, 1 to 86,400,000, or 0: none; each gives APUS_E_STATE
 * ---- once the server has started, APUS_E_ARGUMENT out of range. Thread: any. Since 0.1. */

/* From a request's first byte to the end of its head; a TLS handshake has as long, and is
 * reset. Default 10,000. Past it: 408. */
APUS_API int32_t apus_server_set_header_timeout(apus_server server, int32_t ms);
/* Between two reads of a body. Default 30,000. Past it: 408. */
APUS_API int32_t apus_server_set_body_timeout(apus_server server, int32_t ms);
/* The least rate of a body, on average and in bytes a second: 0 to 1,000,000,000. Default
 * 240; 0: any. It counts once grace_ms have passed, 1 to 86,400,000, default 5,000. Past
 * it: 408. What a body was faster lets it rest later, for as long as
 * apus_server_set_body_timeout() does. The time in which the server does not read the body
 * does not count, nor that in which a 100 (Continue) is due. */
APUS_API int32_t apus_server_set_body_rate(apus_server server, int32_t bytes_per_second,
                                           int32_t grace_ms);
/* While replies wait and the peer takes none of them. Default 30,000. Past it
 * the connection is reset. */
APUS_API int32_t apus_server_set_write_timeout(apus_server server, int32_t ms);
/* Without a request. Default 60,000. Past it the connection is closed. */
APUS_API int32_t apus_server_set_keep_alive_timeout(apus_server server, int32_t ms);
/* That apus_server_stop() grants to requests under way. Default 5,000; 0: none,
 * they are cut off at once. */
APUS_API int32_t apus_server_set_drain_timeout(apus_server server, int32_t ms);

/* ---- listeners */

/* Binds a TCP listener. host is an IPv4 or IPv6 address in text, "localhost",
 * or NULL or "*" for every address; port is 0 (any free one) to 65535. Nothing
 * is accepted before apus_server_start().
 * Returns the listener's index, from 0, for apus_server_port().
 * Errors: APUS_E_ARGUMENT, APUS_E_STATE (started), APUS_E_ADDRESS_IN_USE,
 * APUS_E_PERMISSION, APUS_E_ADDRESS, APUS_E_DESCRIPTORS, APUS_E_FULL (64
 * listeners), APUS_E_IO. Thread: any. Since 0.1. */
APUS_API int32_t apus_server_listen(apus_server server, const char *host, int32_t port);

/* Binds a Unix stream socket at a path of at most 107 bytes. A socket file that
 * nobody listens on is replaced; the file is removed when the server ends, if the path still
 * names that one.
 * Returns and errors: as apus_server_listen(). Thread: any. Since 0.1. */
APUS_API int32_t apus_server_listen_unix(apus_server server, const char *path);

/* Adopts a stream socket that is bound, and listens already (socket activation) or does so
 * from here on. The server owns the descriptor once this has succeeded.
 * Returns and errors: as apus_server_listen(). Thread: any. Since 0.1. */
APUS_API int32_t apus_server_adopt_listener(apus_server server, int32_t descriptor);

/* Adopts a connected stream socket, as if it had just been accepted. The server
 * owns the descriptor once this has succeeded.
 * Errors: APUS_E_ARGUMENT (not a connected stream socket), APUS_E_STATE (not
 * started), APUS_E_MEMORY. Thread: any. Since 0.1. */
APUS_API int32_t apus_server_adopt_connection(apus_server server, int32_t descriptor);

/* The TCP port of a listener by index; 0 for a Unix socket.
 * Errors: APUS_E_NOT_FOUND (no such index). Thread: any. Since 0.1. */
APUS_API int32_t apus_server_port(apus_server server, int32_t listener);

/* ---- start and stop */

/* Starts accepting; returns at once. A server that has stopped may be given new
 * listeners and started again.
 * A server without listeners starts too, for apus_server_adopt_connection(). A start that
 * fails leaves the listeners as they were, for another one.
 * Errors: APUS_E_STATE (started already), APUS_E_DESCRIPTORS, APUS_E_MEMORY,
 * APUS_E_IO (no thread). Thread: any. Since 0.1. */
APUS_API int32_t apus_server_start(apus_server server);

/* Starts if need be, and serves in the calling thread until the server is
 * stopped by another thread or by a callback; runs tick as the dispatch wants.
 * Errors: those of apus_server_start(); APUS_E_STATE without a listener, and
 * inside a callback of the server. Thread: any, one at a time. Since 0.1. */
APUS_API int32_t apus_server_serve(apus_server server);

/* Stops: closes the listeners and the idle connections, and channels with 1001,
 * lets requests under way finish and channels close within the drain time limit,
 * closes the rest, and returns. On the thread that ticks it runs the callbacks
 * that this needs; inside a callback of the server it returns at once and the rest
 * happens behind it. Where another thread takes the events (apus_server_next()), it
 * gets those that wait, as long as that limit and up to a second more; requests that nobody
 * takes get 503.
 * The listeners are gone then: listen again before another start. Not for signal
 * handlers.
 * Errors: APUS_E_STATE (not started). Thread: any. Since 0.1. */
APUS_API int32_t apus_server_stop(apus_server server);

/* 1 from start until stop has finished, else 0. Thread: any. Since 0.1. */
APUS_API int32_t apus_server_is_running(apus_server server);

/* 1 while the server takes new connections, else 0: stopped or stopping, or file
 * descriptors run short (apus_server_set_descriptor_reserve()), which passes by itself.
 * Thread: any. Since 0.1. */
APUS_API int32_t apus_server_is_accepting(apus_server server);

/* ---- tick and pull */

/* Runs the callbacks that are queued, on this thread, waiting up to timeout_ms
 * (-1: for ever) for the first. With 0 workers it does the I/O too. With worker
 * dispatch it only waits, and runs on_tick. A signal that reaches the thread, or
 * apus_server_wake(), ends the wait early.
 * Returns how many callbacks it ran.
 * Errors: APUS_E_STATE (not running, or inside a callback of this server),
 * APUS_E_THREAD (another thread is in it: one that stops the server is, at
 * times), APUS_E_ARGUMENT (below -1).
 * Thread: any, one at a time. Since 0.1. */
APUS_API int32_t apus_server_tick(apus_server server, int32_t timeout_ms);

/* A descriptor that is readable when apus_server_tick() or apus_server_next()
 * has something to do, for poll(), epoll, libuv, asyncio, GLib. It is the
 * server's: never read, write or close it. Valid from start until stop.
 * Errors: APUS_E_STATE (not running). Thread: any. Since 0.1. */
APUS_API int32_t apus_server_event_fd(apus_server server);

/* Makes apus_server_tick() or apus_server_next() return early: the one that
 * waits, or else the next one, once.
 * Errors: APUS_E_STATE (not running). Thread: any. Since 0.1. */
APUS_API int32_t apus_server_wake(apus_server server);

/* The kinds of event. Since 0.1. */
enum {
  APUS_EVENT_NONE = 0,
  APUS_EVENT_REQUEST = 1, /* handle: a request, whole; the caller owns it now */
  APUS_EVENT_CHANNEL = 2, /* handle: a channel, open; the caller owns it now */
  /* of channels with apus_channel_set_events() alone: */
  APUS_EVENT_MESSAGE = 3, /* messages wait for apus_channel_recv() */
  APUS_EVENT_OPEN = 4,    /* a channel that makes its connections itself is open */
  APUS_EVENT_CLOSE = 5,   /* the channel is closed for good */
  /* of fetches, sources and writers with apus_*_set_events() alone: */
  APUS_EVENT_FETCH = 6,  /* the fetch is complete, or has failed: apus_fetch_result() */
  APUS_EVENT_SOURCE = 7, /* an event waits for apus_source_next(), or the source has closed */
  APUS_EVENT_DRAIN = 8,  /* there is room again in a writer, or a channel as above */
  APUS_EVENT_END = 9     /* as on_close of a writer: its reply is over, or its client has left */
};

/* One event. The layout is frozen. Since 0.1. */
typedef struct apus_event {
  int32_t kind;        /* APUS_EVENT_* */
  int32_t route;       /* the number that apus_server_route() returned, or -1 */
  uint64_t handle;     /* the object that it is about */
  uint64_t connection; /* the connection's id, from 1, never used again */
  uint64_t reserved[5];
} apus_event;

/* Takes one event instead of running a callback, waiting up to timeout_ms (-1:
 * for ever). Callbacks of other kinds than requests (middleware, listeners) are
 * run here as apus_server_tick() would. The request of an APUS_EVENT_REQUEST is
 * as after apus_request_defer(): reply to it, or destroy it.
 * Returns 1 with the event, 0 without one (time passed, or woken; event is left
 * as it was). On a descriptor of apus_server_event_fd(), call it until it is 0.
 * Errors: APUS_E_STATE (not running, inside a callback, worker dispatch),
 * APUS_E_THREAD (another thread is in it), APUS_E_ARGUMENT (event NULL, or below
 * -1).
 * Thread: any, one at a time. Since 0.1. */
APUS_API int32_t apus_server_next(apus_server server, apus_event *event, int32_t timeout_ms);

/* ---- counters */

/* What apus_server_counter() counts. Since 0.1. */
enum {
  APUS_COUNT_CONNECTIONS = 0, /* open now */
  APUS_COUNT_ACCEPTED = 1,    /* ever accepted */
  APUS_COUNT_REQUESTS = 2,    /* request heads taken */
  APUS_COUNT_REPLIES = 3,     /* replies handed to the kernel */
  APUS_COUNT_BYTES_IN = 4,
  APUS_COUNT_BYTES_OUT = 5,
  APUS_COUNT_PENDING = 6,         /* events that wait now */
  APUS_COUNT_REFUSED_SYNTAX = 7,  /* 400, 415, 417, 500, 501, 505, 507 */
  APUS_COUNT_REFUSED_TIMEOUT = 8, /* 408, and TLS handshakes that took too long */
  APUS_COUNT_REFUSED_BODY = 9,    /* 413 */
  APUS_COUNT_REFUSED_TARGET = 10, /* 414 */
  APUS_COUNT_REFUSED_HEAD = 11,   /* 431 */
  APUS_COUNT_REFUSED_BUSY = 12,   /* 503: connections, events, bytes */
  APUS_COUNT_TIMEOUT_IDLE = 13,   /* keep-alive connections closed as idle */
  APUS_COUNT_TIMEOUT_WRITE = 14,  /* connections reset: peer took nothing */
  APUS_COUNT_ACCEPT_PAUSES = 15,  /* times accepting paused for descriptors */
  APUS_COUNT_ERRORS = 16,         /* connections lost to I/O errors */
  APUS_COUNT_UNHEARD = 17,        /* dropped: listener calls above max_pending, messages
                                     published to full channels */
  APUS_COUNT_BAD_FORWARDED = 18,  /* malformed word of trusted proxies, left aside */
  APUS_COUNT_REFUSED_PROXY = 19,  /* connections without the PROXY header they need */
  APUS_COUNT_REFUSED_MESSAGE = 20 /* channels closed for a message or pings above a limit:
                                     1008, 1009, 1013 */
};

/* A counter of a server since it was made, or a negative code.
 * Errors: APUS_E_ARGUMENT (no such counter). Thread: any. Since 0.1. */
APUS_API int64_t apus_server_counter(apus_server server, int32_t counter);

/* ============================================================================
 * 5  SERVER: ROUTING
 *
 * A pattern starts with "/". A segment ":name" matches one segment that is not
 * empty, a last segment "*name" (or "*") the rest of the path, slashes
 * included, also an empty one (behind "/a/" it takes "/a/", but not "/a"). At
 * each segment literal text wins over ":name", and that over "*name"; a choice
 * that leads nowhere is given up for the next. Segments are compared after
 * percent-decoding; "%2F" is never a separator. Where a path has a route for
 * another method only: 405 with Allow. HEAD is served by a GET route, without
 * the body; OPTIONS, and "OPTIONS *", are answered with Allow; unless a route
 * says otherwise.
 * ========================================================================== */

/* Handles one request. Reply to it, defer it, or make its writer before
 * returning; a handler that does none of these sends 500, or 404 where
 * apus_reply_file() came last and found no file. */
typedef void (*apus_handler_fn)(void *context, apus_request request);

/* Adds a route; the handler gets requests whole, with their bodies. method is
 * APUS_METHOD_ANY or a method's number. fn may be NULL for a server that is
 * used by apus_server_next(). A server without any route delivers every
 * request to apus_server_next().
 * Returns the route's number, from 0.
 * Errors: APUS_E_ARGUMENT (no such method; no "/" in front, a query, a nameless
 * or repeated parameter, more than 16 of them or 64 segments), APUS_E_STATE
 * (started, or a route of the same method and shape exists), APUS_E_MEMORY.
 * Thread: any. Since 0.1. */
APUS_API int32_t apus_server_route(apus_server server, int32_t method, const char *pattern,
                                   apus_handler_fn fn, void *context, apus_drop_fn drop);

/* The same for a method by name, any token of at most 32 bytes.
 * Thread: any. Since 0.1. */
APUS_API int32_t apus_server_route_named(apus_server server, const char *method,
                                         const char *pattern, apus_handler_fn fn, void *context,
                                         apus_drop_fn drop);

/* The same for a handler that runs when the head is in and takes the body as it
 * arrives: see apus_request_on_body(). fn must not be NULL.
 * Thread: any. Since 0.1. */
APUS_API int32_t apus_server_route_stream(apus_server server, int32_t method, const char *pattern,
                                          apus_handler_fn fn, void *context, apus_drop_fn drop);

/* apus_server_route() for one method each. Thread: any. Since 0.1. */
APUS_API int32_t apus_server_get(apus_server server, const char *pattern, apus_handler_fn fn,
                                 void *context, apus_drop_fn drop);
APUS_API int32_t apus_server_head(apus_server server, const char *pattern, apus_handler_fn fn,
                                  void *context, apus_drop_fn drop);
APUS_API int32_t apus_server_post(apus_server server, const char *pattern, apus_handler_fn fn,
                                  void *context, apus_drop_fn drop);
APUS_API int32_t apus_server_put(apus_server server, const char *pattern, apus_handler_fn fn,
                                 void *context, apus_drop_fn drop);
APUS_API int32_t apus_server_patch(apus_server server, const char *pattern, apus_handler_fn fn,
                                   void *context, apus_drop_fn drop);
APUS_API int32_t apus_server_delete(apus_server server, const char *pattern, apus_handler_fn fn,
                                    void *context, apus_drop_fn drop);
APUS_API int32_t apus_server_any(apus_server server, const char *pattern, apus_handler_fn fn,
                                 void *context, apus_drop_fn drop);

/* Listeners: any number of each, called in the order of registration, by the
 * server's dispatch. peer is an address in text, "" for a Unix socket; it and
 * everything else handed over is borrowed until the listener returns. Calls that
 * would wait beyond apus_server_set_max_pending() are dropped and counted. Each
 * registration gives APUS_E_ARGUMENT (fn NULL), APUS_E_STATE (started),
 * APUS_E_MEMORY. Thread: any. Since 0.1. */

typedef void (*apus_connection_fn)(void *context, apus_server server, uint64_t connection,
                                   const char *peer, int32_t port);
typedef void (*apus_replied_fn)(void *context, apus_request request, int32_t status,
                                uint64_t body_bytes);
typedef void (*apus_failed_fn)(void *context, apus_server server, uint64_t connection, int32_t code,
                               int32_t status, const char *peer);
typedef void (*apus_server_fn)(void *context, apus_server server);

/* A connection was accepted. */
APUS_API int32_t apus_server_on_connect(apus_server server, apus_connection_fn fn, void *context,
                                        apus_drop_fn drop);
/* A connection has ended: once for each, unless the call is dropped, as said above. */
APUS_API int32_t apus_server_on_disconnect(apus_server server, apus_connection_fn fn, void *context,
                                           apus_drop_fn drop);
/* A request is in, before its route's handler, also when no route matches. A
 * listener that replies (or defers) is the last to see it: neither the later
 * listeners nor the handler run. It may set reply fields for the handler. */
APUS_API int32_t apus_server_on_receive(apus_server server, apus_handler_fn fn, void *context,
                                        apus_drop_fn drop);
/* A reply has gone to the kernel, whole; the request can still be read. */
APUS_API int32_t apus_server_on_reply(apus_server server, apus_replied_fn fn, void *context,
                                      apus_drop_fn drop);
/* A request was refused, or a connection failed. A refusal is sent behind the
 * replies still due, and the connection closes so that it can be read. code is APUS_E_PROTOCOL,
 * APUS_E_TOO_LARGE, APUS_E_TIMEOUT, APUS_E_FULL, APUS_E_CLOSED, APUS_E_MEMORY, APUS_E_IO
 * or one of TLS; status is what was sent, or 0. apus_last_error_message() has the reason in a
 * sentence meanwhile. */
APUS_API int32_t apus_server_on_error(apus_server server, apus_failed_fn fn, void *context,
                                      apus_drop_fn drop);
/* Each apus_server_tick(), after its callbacks, without any lock held. */
APUS_API int32_t apus_server_on_tick(apus_server server, apus_server_fn fn, void *context,
                                     apus_drop_fn drop);

/* Takes one finished request as a line of the Combined Log Format, borrowed
 * until it returns. */
typedef void (*apus_access_fn)(void *context, apus_server server, const char *line, size_t length);
/* Access log: one callback; as a listener. */
APUS_API int32_t apus_server_on_access(apus_server server, apus_access_fn fn, void *context,
                                       apus_drop_fn drop);

/* ============================================================================
 * 6  REQUEST
 *
 * A request belongs to the thread that runs its handler, until the handler
 * returns: other threads get APUS_E_THREAD. Then the handle is dead, unless
 * apus_request_defer() was called: that makes the request the caller's, for any
 * thread, until the reply is complete or apus_request_destroy(). Text and bytes
 * that a request hands out are borrowed until the handle dies, or, for a
 * deferred one, until the caller completes its reply or destroys it.
 *
 * "Thread: the request's" below means just that.
 * ========================================================================== */

/* 1 if the handle is a live request whose client is still there, else 0.
 * Thread: any. Since 0.1. */
APUS_API int32_t apus_request_is_alive(apus_request request);

/* Keeps a request past its handler, for any thread. The caller then owes a
 * reply, a writer or apus_request_destroy(). When the client leaves first,
 * apus_request_is_alive() gives 0 and replies give APUS_E_CLOSED; the memory
 * stays until that reply, or apus_request_destroy(). A client that closes its
 * sending side, and waits, counts as gone.
 * Errors: APUS_E_STATE (replied already, or deferred, or it has a writer).
 * Thread: the request's. Since 0.1. */
APUS_API int32_t apus_request_defer(apus_request request);

/* Gives up a deferred or parsed request. One that was not replied to, and has no
 * writer and no ticket for an upgrade, gets 500 (404: see apus_handler_fn). Returns 1 if the handle
 * was live, 0 if not; inside its own handler and not deferred: APUS_E_STATE. Thread: any. Since
 * 0.1. */
APUS_API int32_t apus_request_destroy(apus_request request);

/* Parses a request from bytes, without a connection. consumed gets the bytes
 * that it took; what follows is not looked at. The limits are the defaults of
 * section 4. The caller owns it: apus_request_destroy(). Replies to it give
 * APUS_E_CLOSED.
 * Returns 0 on failure: APUS_E_ARGUMENT, APUS_E_PROTOCOL (malformed),
 * APUS_E_TOO_LARGE, APUS_E_STATE (the bytes end before the request does),
 * APUS_E_MEMORY. Thread: any. Since 0.1. */
APUS_API apus_request apus_request_parse(const void *data, size_t length, size_t *consumed);

/* The method's number, APUS_METHOD_OTHER for one outside the list; an error is
 * below -1 and told from it by apus_last_error(): APUS_E_HANDLE comes as
 * INT32_MIN. Thread: the request's. Since 0.1. */
APUS_API int32_t apus_request_method(apus_request request);
/* The method's name. Thread: the request's. Since 0.1. */
APUS_API const char *apus_request_method_name(apus_request request);
/* The target as sent (RFC 9112 section 3.2). Thread: the request's. Since 0.1. */
APUS_API const char *apus_request_target(apus_request request);
/* The path, percent-decoded, without the query. "*" for OPTIONS *.
 * Thread: the request's. Since 0.1. */
APUS_API const char *apus_request_path(apus_request request);
/* The query as sent, without "?"; "" if there is none.
 * Thread: the request's. Since 0.1. */
APUS_API const char *apus_request_query(apus_request request);
/* The version: 10 for HTTP/1.0, 11 for HTTP/1.1 (a higher minor is taken as
 * 1.1). Thread: the request's. Since 0.1. */
APUS_API int32_t apus_request_version(apus_request request);
/* "http", or "https" over TLS or by the word of a trusted proxy.
 * Thread: the request's. Since 0.1. */
APUS_API const char *apus_request_scheme(apus_request request);
/* The host of an absolute target or of the Host field, without the port, an IPv6
 * address in its brackets; "" if none came (HTTP/1.0). Thread: the request's. Since 0.1. */
APUS_API const char *apus_request_host(apus_request request);
/* The port that came with the host, or the scheme's default.
 * Thread: the request's. Since 0.1. */
APUS_API int32_t apus_request_port(apus_request request);

/* The value of the first header field of a name, in any case, and its length.
 * Errors: APUS_E_NOT_FOUND, APUS_E_ARGUMENT. Thread: the request's. Since 0.1. */
APUS_API const char *apus_request_header(apus_request request, const char *name, size_t *length);
/* How many header fields came. Thread: the request's. Since 0.1. */
APUS_API int32_t apus_request_header_count(apus_request request);
/* The name and the value of the header field at an index, as sent, in order.
 * Errors: APUS_E_NOT_FOUND. Thread: the request's. Since 0.1. */
APUS_API int32_t apus_request_header_at(apus_request request, int32_t index, const char **name,
                                        const char **value, size_t *length);
/* The same for trailer fields, known once the body is in.
 * Errors: APUS_E_NOT_FOUND. Thread: the request's. Since 0.1. */
APUS_API const char *apus_request_trailer(apus_request request, const char *name, size_t *length);
APUS_API int32_t apus_request_trailer_count(apus_request request);
APUS_API int32_t apus_request_trailer_at(apus_request request, int32_t index, const char **name,
                                         const char **value, size_t *length);

/* The body and its length; "" and 0 if there is none. For a streamed request:
 * none. Errors: APUS_E_STATE (a form that was parsed as it arrived),
 * APUS_E_MEMORY. Thread: the request's. Since 0.1. */
APUS_API const void *apus_request_body(apus_request request, size_t *length);
/* The length of the body: of what came, or the Content-Length of a streamed
 * request, -1 while that is not known. Errors come as INT64_MIN.
 * Thread: the request's. Since 0.1. */
APUS_API int64_t apus_request_body_length(apus_request request);

/* A path parameter by its name in the pattern ("*" for a nameless rest),
 * percent-decoded. Errors: APUS_E_NOT_FOUND, APUS_E_ARGUMENT.
 * Thread: the request's. Since 0.1. */
APUS_API const char *apus_request_param(apus_request request, const char *name, size_t *length);
APUS_API int32_t apus_request_param_count(apus_request request);
/* Errors: APUS_E_NOT_FOUND. Thread: the request's. Since 0.1. */
APUS_API int32_t apus_request_param_at(apus_request request, int32_t index, const char **name,
                                       const char **value, size_t *length);

/* The first query parameter of a name (application/x-www-form-urlencoded, as
 * the WHATWG URL standard has it), decoded. At most 1,000 are kept.
 * Errors: APUS_E_NOT_FOUND, APUS_E_ARGUMENT, APUS_E_MEMORY.
 * Thread: the request's. Since 0.1. */
APUS_API const char *apus_request_query_param(apus_request request, const char *name,
                                              size_t *length);
APUS_API int32_t apus_request_query_param_count(apus_request request);
/* Errors: APUS_E_NOT_FOUND, APUS_E_MEMORY. Thread: the request's. Since 0.1. */
APUS_API int32_t apus_request_query_param_at(apus_request request, int32_t index, const char **name,
                                             const char **value, size_t *length);

/* The client's address in text; "" for a Unix socket or a parsed request, or where a
 * trusted proxy does not tell it (apus_server_trust_proxy()).
 * Thread: the request's. Since 0.1. */
APUS_API const char *apus_request_client_ip(apus_request request);
/* The client's port; 0 as above. Thread: the request's. Since 0.1. */
APUS_API int32_t apus_request_client_port(apus_request request);
/* The connection's descriptor, for getsockopt() and the like; never read,
 * write or close it. Errors: APUS_E_CLOSED. Thread: the request's. Since 0.1. */
APUS_API int32_t apus_request_descriptor(apus_request request);
/* The connection's id; 0 for a parsed request, or on failure.
 * Thread: the request's. Since 0.1. */
APUS_API uint64_t apus_request_connection(apus_request request);
/* The server; 0 for a parsed request, or on failure.
 * Thread: the request's. Since 0.1. */
APUS_API apus_server apus_request_server(apus_request request);
/* Microseconds since the request's head was in; errors are negative.
 * Thread: the request's. Since 0.1. */
APUS_API int64_t apus_request_elapsed_us(apus_request request);

/* Takes the next piece of a body, borrowed until it returns; last is 1 with the
 * last one, which may be empty. Called once with last = -1 and no bytes if the
 * body will never be whole: the client has left, or the body was refused. The
 * request is deferred, so that it is still the caller's then: end it with
 * apus_request_destroy(). */
typedef void (*apus_body_fn)(void *context, apus_request request, const void *data, size_t length,
                             int32_t last);

/* In the handler of a streamed route: has the body delivered to fn. Defers the
 * request. Without this call the body is thrown away. A client that waits for
 * 100 (Continue) gets it now.
 * Errors: APUS_E_ARGUMENT (fn NULL), APUS_E_STATE (not a streamed route's
 * handler, or called twice). Thread: the handler's. Since 0.1. */
APUS_API int32_t apus_request_on_body(apus_request request, apus_body_fn fn, void *context,
                                      apus_drop_fn drop);

/* ============================================================================
 * 7  REPLY
 *
 * One final reply a request. Date, Content-Length and Connection are added
 * where they are due and absent; so is the body's absence for HEAD, 204 and
 * 304. Text with CR, LF, NUL or another control character is refused.
 * ========================================================================== */

/* The status of the reply to come, 200 to 599. Default 200.
 * Errors: APUS_E_ARGUMENT, APUS_E_STATE (replied), APUS_E_CLOSED.
 * Thread: the request's. Since 0.1. */
APUS_API int32_t apus_reply_set_status(apus_request request, int32_t status);
/* A field of the reply to come, in place of any of the same name. The fields
 * that frame a message (Content-Length, Transfer-Encoding, Connection, Trailer,
 * Upgrade, Keep-Alive) are the library's, save "Connection: close".
 * Errors: APUS_E_ARGUMENT (not a field), APUS_E_STATE, APUS_E_CLOSED,
 * APUS_E_TOO_LARGE (more than 64 KiB of them), APUS_E_MEMORY.
 * Thread: the request's. Since 0.1. */
APUS_API int32_t apus_reply_set_header(apus_request request, const char *name, const char *value);
/* The same beside those of the same name. Thread: the request's. Since 0.1. */
APUS_API int32_t apus_reply_add_header(apus_request request, const char *name, const char *value);
/* apus_reply_set_header() of Content-Type. Thread: the request's. Since 0.1. */
APUS_API int32_t apus_reply_set_content_type(apus_request request, const char *type);

/* Completes the reply with a body, and what was set so far.
 * Errors: APUS_E_ARGUMENT, APUS_E_STATE (replied), APUS_E_CLOSED (the client
 * has gone; the request is released all the same), APUS_E_MEMORY.
 * Thread: the request's. Since 0.1. */
APUS_API int32_t apus_reply_data(apus_request request, const void *data, size_t length);
/* The same in one call: status (0: as set), content type (NULL: as set, or none)
 * and body. Thread: the request's. Since 0.1. */
APUS_API int32_t apus_reply(apus_request request, int32_t status, const char *type,
                            const void *data, size_t length);
/* A body of "text/plain; charset=utf-8", "text/html; charset=utf-8" or
 * "application/json", from a string. Errors: as apus_reply_data().
 * Thread: the request's. Since 0.1. */
APUS_API int32_t apus_reply_text(apus_request request, int32_t status, const char *text);
APUS_API int32_t apus_reply_html(apus_request request, int32_t status, const char *html);
APUS_API int32_t apus_reply_json(apus_request request, int32_t status, const char *json);
/* A redirect: Location, and a status of 300 to 399; 0 stands for 302. location
 * must be printable ASCII without spaces. Errors: as apus_reply_data().
 * Thread: the request's. Since 0.1. */
APUS_API int32_t apus_reply_redirect(apus_request request, const char *location, int32_t status);
/* A status without a body of the caller's; for 400 and up its reason phrase is
 * the body, in plain text. Errors: as apus_reply_data().
 * Thread: the request's. Since 0.1. */
APUS_API int32_t apus_reply_status(apus_request request, int32_t status);

/* Completes the reply with a file, by the host's own path, links followed: with ETag and
 * Last-Modified, the conditional fields and ranges of the request answered (section 15),
 * unless a status other than 200 was set. An ETag or Last-Modified that was set is sent and
 * judged in place of the file's. type NULL: as set, or by the name's extension.
 * A file that is missing leaves the request open for another reply; a handler that makes
 * none sends 404, unless a status other than 200 was set.
 * Errors: APUS_E_NOT_FOUND (no regular file), APUS_E_PERMISSION, APUS_E_DESCRIPTORS,
 * APUS_E_IO, and as apus_reply_data(). Thread: the request's. Since 0.1. */
APUS_API int32_t apus_reply_file(apus_request request, const char *path, const char *type);
/* The same for a file to be saved, under a name (RFC 6266): UTF-8 of 1 to 255 bytes without
 * slashes and control characters; NULL: the path's last part. Errors: as apus_reply_file().
 * Thread: the request's. Since 0.1. */
APUS_API int32_t apus_reply_attachment(apus_request request, const char *path, const char *name,
                                       const char *type);
/* Sets Content-Disposition for a reply of any kind to be saved under a name, as above.
 * Errors: as apus_reply_set_header(). Thread: the request's. Since 0.1. */
APUS_API int32_t apus_reply_set_attachment(apus_request request, const char *name);
/* 1: a body of a type that gains is sent in gzip to a client that takes it, with Vary: one
 * that is given whole, of 1 KiB to 16 MiB, and a writer's without a length, where each
 * piece can be read at once (so that small ones gain little). A file's is not. An ETag
 * stays as it was set: give a weak one (RFC 9110, 8.8.3.3). Default 0.
 * Errors: APUS_E_ARGUMENT, APUS_E_STATE (replied), APUS_E_CLOSED.
 * Thread: the request's. Since 0.1. */
APUS_API int32_t apus_reply_set_compression(apus_request request, int32_t on);

/* ============================================================================
 * 8  WRITER
 *
 * A reply in pieces, from any thread. A client that leaves makes the writer
 * dead: its functions give APUS_E_CLOSED until it is destroyed, and nothing else
 * happens.
 * ========================================================================== */

typedef void (*apus_writer_fn)(void *context, apus_writer writer);

/* Makes the writer of a request, with the status and fields set so far. The
 * caller owns it; the request may go on being read until its handler returns
 * (or as after apus_request_defer(), if that was called). Returns 0 on failure:
 * APUS_E_STATE (replied, or it has a writer or a ticket), APUS_E_CLOSED, APUS_E_MEMORY.
 * Thread: the request's. Since 0.1. */
APUS_API apus_writer apus_writer_make(apus_request request);
/* Ends a writer. A reply that was not ended is broken off: the connection is
 * closed, so that the client cannot take it for whole.
 * Returns 1 if the handle was live, 0 if not. Thread: any. Since 0.1. */
APUS_API int32_t apus_writer_destroy(apus_writer writer);
/* Leaves a writer to the library: it is destroyed when its reply has ended or its client
 * has gone, behind on_close. Until then the handle works as before.
 * Thread: any. Since 0.1. */
APUS_API int32_t apus_writer_detach(apus_writer writer);
/* 1 if the handle is a live writer, else 0. Thread: any. Since 0.1. */
APUS_API int32_t apus_writer_is_alive(apus_writer writer);
/* 1 if it is live, its client still there, and its reply not ended; else 0.
 * Thread: any. Since 0.1. */
APUS_API int32_t apus_writer_is_connected(apus_writer writer);
/* As the functions of section 7, before the head has gone (then APUS_E_STATE).
 * Thread: any. Since 0.1. */
APUS_API int32_t apus_writer_set_status(apus_writer writer, int32_t status);
APUS_API int32_t apus_writer_set_header(apus_writer writer, const char *name, const char *value);
APUS_API int32_t apus_writer_add_header(apus_writer writer, const char *name, const char *value);
/* Sends the head. length is the body's, which then must be met exactly, or -1:
 * chunked (for an HTTP/1.0 client: up to the close). A reply of 204, 205 or 304 has no body.
 * Errors: APUS_E_STATE (the head has gone, or a length with trailers), APUS_E_ARGUMENT (below -1),
 * APUS_E_CLOSED, APUS_E_MEMORY. Thread: any. Since 0.1. */
APUS_API int32_t apus_writer_begin(apus_writer writer, int64_t length);
/* Writes a piece of the body, whole or not at all; begins with length -1 if need
 * be. APUS_E_FULL means that the connection is above its high-water mark:
 * nothing was taken; wait for on_drain.
 * Errors: APUS_E_FULL, APUS_E_STATE (ended), APUS_E_TOO_LARGE (past the length),
 * APUS_E_ARGUMENT, APUS_E_CLOSED, APUS_E_MEMORY. Thread: any. Since 0.1. */
APUS_API int32_t apus_writer_write(apus_writer writer, const void *data, size_t length);
/* Adds a trailer field to a chunked reply, to go with its end; not where there are no
 * chunks: for an HTTP/1.0 client, and where the status allows no body.
 * Errors: APUS_E_ARGUMENT (also a field that frames the message, and Host: RFC 9110
 * section 6.5.1), APUS_E_TOO_LARGE (more than 64 KiB of them), APUS_E_STATE (not
 * chunked, or ended), APUS_E_CLOSED, APUS_E_MEMORY. Thread: any. Since 0.1. */
APUS_API int32_t apus_writer_add_trailer(apus_writer writer, const char *name, const char *value);
/* Completes the reply; begins it, with length 0, if need be. The handle stays
 * until apus_writer_destroy().
 * Errors: APUS_E_STATE (ended, or fewer bytes than the length: then the
 * connection is closed), APUS_E_CLOSED, APUS_E_MEMORY. Thread: any. Since 0.1. */
APUS_API int32_t apus_writer_end(apus_writer writer);
/* Breaks the reply off and closes the connection.
 * Errors: APUS_E_CLOSED, APUS_E_STATE (ended). Thread: any. Since 0.1. */
APUS_API int32_t apus_writer_abort(apus_writer writer);
/* Bytes that the kernel has not taken yet, or a negative code. Once the reply has ended and
 * its turn has come, what is left is its connection's: 0.
 * Thread: any. Since 0.1. */
APUS_API int64_t apus_writer_buffered(apus_writer writer);
/* Bytes above which apus_writer_write() gives APUS_E_FULL, 1 to 2^53. Default:
 * the server's high-water mark. Errors: APUS_E_ARGUMENT, APUS_E_CLOSED.
 * Thread: any. Since 0.1. */
APUS_API int32_t apus_writer_set_high_water(apus_writer writer, int64_t bytes);
/* fn is called, by the server's dispatch, each time the buffered amount has
 * fallen to half of the mark after an APUS_E_FULL. NULL ends it.
 * Errors: APUS_E_CLOSED. Thread: any. Since 0.1. */
APUS_API int32_t apus_writer_on_drain(apus_writer writer, apus_writer_fn fn, void *context,
                                      apus_drop_fn drop);
/* fn is called once, by the server's dispatch, when the reply is complete and with
 * its connection, which sends what the kernel has not taken of it yet, or when the
 * client has left: apus_writer_is_connected() is 0 by then. Not called after
 * apus_writer_destroy(). NULL ends it. Errors: APUS_E_CLOSED.
 * Thread: any. Since 0.1. */
APUS_API int32_t apus_writer_on_close(apus_writer writer, apus_writer_fn fn, void *context,
                                      apus_drop_fn drop);
/* 1: apus_server_next() tells of both, too, whether or not there are callbacks:
 * APUS_EVENT_DRAIN, and once APUS_EVENT_END, also of a client that has left already. Without
 * effect with worker dispatch. Default 0.
 * Errors: APUS_E_ARGUMENT, APUS_E_MEMORY. Thread: any. Since 0.1. */
APUS_API int32_t apus_writer_set_events(apus_writer writer, int32_t on);
/* Ends the reply as if the client had left when nothing was written for so long, 0 to
 * 86,400,000 (default 0: no limit): on_close is called, and the connection is closed. What
 * is published to a writer of events counts as written, heartbeats do not; while the client
 * takes what was written before, the time does not run. Kept to 0.2 s.
 * Errors: APUS_E_ARGUMENT, APUS_E_STATE (ended), APUS_E_CLOSED.
 * Thread: any. Since 0.1. */
APUS_API int32_t apus_writer_set_idle_timeout(apus_writer writer, int32_t ms);

/* Writes a stretch of a file, by the host's own path: from an offset on, as many bytes as
 * length says, or -1 for the rest. The file is opened now and sent as the client takes it,
 * behind what was written before; it counts as buffered until then. Begins with length -1
 * if need be. A file that becomes shorter meanwhile closes the connection.
 * Errors: as apus_writer_write(), and APUS_E_NOT_FOUND (no regular file),
 * APUS_E_ARGUMENT (the file has no such range), APUS_E_STATE (also a writer of events, and
 * a body in gzip), APUS_E_PERMISSION, APUS_E_DESCRIPTORS, APUS_E_IO. Thread: any. Since 0.1. */
APUS_API int32_t apus_writer_file(apus_writer writer, const char *path, int64_t offset,
                                  int64_t length);

/* ============================================================================
 * 9  UPGRADE
 *
 * From a request to a WebSocket channel. The short way is a route of
 * apus_server_websocket(), which accepts every sound handshake. To decide by
 * yourself, make a ticket inside an ordinary GET handler; it is good for one
 * answer, from any thread, within the server's time limit (then the client gets
 * 408). What the reply's header functions have set goes out with the 101.
 *
 * A handshake is sound when RFC 6455 §4.2.1 says so and the page's origin may
 * (apus_server_set_origin_policy()).
 * ========================================================================== */

/* Makes the ticket of a request; inside its handler, or once it was taken or deferred. A
 * request that is no sound handshake is answered by this call (400, 403, 405 or 426),
 * and there is nothing more to do. The caller owns the ticket.
 * Errors: APUS_E_PROTOCOL (no sound handshake), APUS_E_PERMISSION (the origin),
 * APUS_E_STATE (replied, or it has a writer or a ticket), APUS_E_CLOSED,
 * APUS_E_MEMORY, APUS_E_IO. Thread: the request's. Since 0.1. */
APUS_API apus_upgrade apus_upgrade_make(apus_request request);
/* Gives a ticket up: an undecided one is answered with 500.
 * Returns 1 if the handle was live, 0 if not. Thread: any. Since 0.1. */
APUS_API int32_t apus_upgrade_destroy(apus_upgrade upgrade);
/* 1 if the ticket can still be used or destroyed, else 0. Thread: any.
 * Since 0.1. */
APUS_API int32_t apus_upgrade_is_alive(apus_upgrade upgrade);
/* Accepts, with one of the subprotocols that the client offers, or NULL for
 * none, and ends the ticket. The channel is open; what is sent on it follows the
 * 101. Returns the channel, or 0.
 * Errors: APUS_E_ARGUMENT (a subprotocol that was not offered; the ticket stays),
 * APUS_E_CLOSED (the client has gone), APUS_E_TIMEOUT (too late), APUS_E_MEMORY.
 * Thread: any. Since 0.1. */
APUS_API apus_channel apus_upgrade_accept(apus_upgrade upgrade, const char *subprotocol);
/* Refuses with a status of 300 to 599, and ends the ticket.
 * Errors: APUS_E_ARGUMENT, APUS_E_CLOSED, APUS_E_TIMEOUT, APUS_E_MEMORY.
 * Thread: any. Since 0.1. */
APUS_API int32_t apus_upgrade_refuse(apus_upgrade upgrade, int32_t status);
/* 1: the channel is to give frames one by one, and not whole messages. Default 0.
 * Errors: APUS_E_ARGUMENT, APUS_E_CLOSED, APUS_E_TIMEOUT. Thread: any.
 * Since 0.1. */
APUS_API int32_t apus_upgrade_set_frames(apus_upgrade upgrade, int32_t on);
/* How many subprotocols the client offers, and one of them, in its order of
 * preference, borrowed until the ticket is used.
 * Errors: APUS_E_NOT_FOUND (no such index), APUS_E_CLOSED, APUS_E_TIMEOUT.
 * Thread: any. Since 0.1. */
APUS_API int32_t apus_upgrade_protocol_count(apus_upgrade upgrade);
APUS_API const char *apus_upgrade_protocol_at(apus_upgrade upgrade, int32_t index);

/* ============================================================================
 * 10  CHANNEL
 *
 * A WebSocket connection (RFC 6455, with permessage-deflate of RFC 7692). The
 * handle of a server's channel is the library's: it ends when its close has been
 * told. apus_channel_keep() makes it the caller's, until apus_channel_destroy();
 * a channel from apus_server_next() is the caller's from the start.
 *
 * Messages go to the listeners of the channel's route and then to its own. Where
 * there are none, messages wait for apus_channel_recv(), up to a limit
 * (apus_server_set_channel_inbox()), and then the channel stops to read. Listeners
 * run where the server's dispatch says; each channel gets exactly one close, after
 * all else.
 *
 * A peer's Close is answered once the host has had its turn with the messages before
 * it, so that it can still answer those: when their listeners have returned or, where
 * they are received, with the apus_channel_recv() behind the last of them, or the next
 * event that is taken (apus_channel_set_events()); but at the latest after the close
 * timeout. Where the peer has gone while the channel does not read, the host has as
 * long for what is there as a silent peer has for a pong.
 *
 * A server that stops closes its channels with 1001. They have the close timeout, and
 * no longer than the drain timeout, for the peer's answer; each gets its on_close
 * before apus_server_stop() returns. apus_server_destroy() tells nothing.
 * ========================================================================== */

/* A channel of a route is open. The request is there until the function returns,
 * for its URL and headers; no reply is due. */
typedef void (*apus_open_fn)(void *context, apus_channel channel, apus_request request);
typedef void (*apus_channel_fn)(void *context, apus_channel channel);
/* A message: opcode is 1 (text) or 2 (binary). With frames one by one also 0. The
 * bytes have a NUL behind them and are borrowed until the function returns. */
typedef void (*apus_message_fn)(void *context, apus_channel channel, int32_t opcode,
                                const void *data, size_t length);
/* The end: code is the peer's close code, or 1005 where it sent none, 1006 where
 * the connection broke, or the code by which this end closed what the peer had
 * broken; reason is the peer's, or says what it had broken. */
typedef void (*apus_closed_fn)(void *context, apus_channel channel, int32_t code,
                               const char *reason, size_t length);
/* Something went wrong: error is an APUS_E_*, text a sentence, with the system's reason
 * where there is one. The channel goes on, or its close follows. */
typedef void (*apus_channel_error_fn)(void *context, apus_channel channel, int32_t error,
                                      const char *text, size_t length);

/* A message that was received. The layout is frozen. Since 0.1. */
typedef struct apus_message {
  int32_t opcode;   /* 1: text, 2: binary; of a frame also 0: continuation */
  int32_t final;    /* 0: a frame that others follow */
  const void *data; /* with a NUL behind it; until the next receive, or the end */
  size_t length;
  uint64_t reserved[4];
} apus_message;

/* Adds a route whose GET requests become channels. function is called for each
 * and may be NULL; where it is, apus_server_next() gives the channel instead, and
 * apus_server_tick() just serves it.
 * Returns the route's number.
 * Errors: as apus_server_route(). Thread: any. Since 0.1. */
APUS_API int32_t apus_server_websocket(apus_server server, const char *pattern,
                                       apus_open_fn function, void *context, apus_drop_fn drop);
/* Adds a listener for all channels of such a route.
 * Errors: APUS_E_ARGUMENT (no such route, function NULL), APUS_E_STATE (started),
 * APUS_E_MEMORY. Thread: any. Since 0.1. */
APUS_API int32_t apus_server_on_message(apus_server server, int32_t route, apus_message_fn function,
                                        void *context, apus_drop_fn drop);
APUS_API int32_t apus_server_on_close(apus_server server, int32_t route, apus_closed_fn function,
                                      void *context, apus_drop_fn drop);
/* The subprotocols of such a route, with commas, the preferred one first: the first
 * of them that a client offers is used.
 * Errors: APUS_E_ARGUMENT (no such route, not a list of tokens), APUS_E_STATE,
 * APUS_E_MEMORY. Thread: any. Since 0.1. */
APUS_API int32_t apus_server_set_protocols(apus_server server, int32_t route,
                                           const char *protocols);

/* Which pages may open channels, by the Origin that browsers send. Since 0.1. */
enum {
  APUS_ORIGIN_SAME = 0, /* the default: of the host and port that they ask for */
  APUS_ORIGIN_ANY = 1,
  APUS_ORIGIN_LIST = 2 /* of the list, as "https://example.com, null" */
};
/* Requests without Origin come from no browser and are let through. With APUS_ORIGIN_SAME
 * a request that came by https, here or by the word of a trusted proxy, is for pages by
 * https alone; any other may be by either, as a proxy that nobody has named may have ended
 * TLS. origins is for APUS_ORIGIN_LIST, else NULL.
 * Errors: APUS_E_ARGUMENT, APUS_E_STATE (started). Thread: any. Since 0.1. */
APUS_API int32_t apus_server_set_origin_policy(apus_server server, int32_t policy,
                                               const char *origins);

/* ---- limits and times of channels; each gives APUS_E_STATE once the server has started,
 * ---- APUS_E_ARGUMENT out of range. Thread: any. Since 0.1. */

/* Bytes of a message, once inflated: 1 to 2^40. Default 16 MiB. Above it the
 * channel is closed with 1009. */
APUS_API int32_t apus_server_set_max_message(apus_server server, int64_t bytes);
/* Frames of a message: 1 to 1,000,000. Default 1024. Above it: 1008. */
APUS_API int32_t apus_server_set_max_fragments(apus_server server, int32_t frames);
/* Pings and pongs in a second: 1 to 1,000,000. Default 1000. Above it: 1008. Pings are
 * answered as they come; while output waits, the newest alone, once it has gone. */
APUS_API int32_t apus_server_set_max_controls(apus_server server, int32_t per_second);
/* The high-water mark that each channel has at first: 1 to 2^40 bytes. Default 1 MiB. */
APUS_API int32_t apus_server_set_channel_high_water(apus_server server, int64_t bytes);
/* Bytes of messages of a channel that may wait for the host, each of which counts for
 * some more than it has: 1 to 2^40. Default 1 MiB. Above it the channel is not read. */
APUS_API int32_t apus_server_set_channel_inbox(apus_server server, int64_t bytes);
/* For the peer's answer to a Close, and the host's last words before an answer to one:
 * 1 to 86,400,000 ms. Default 5,000. Then the connection is cut off. */
APUS_API int32_t apus_server_set_channel_close_timeout(apus_server server, int32_t ms);
/* After how much silence a channel's peer is pinged: 0 (never) to 86,400,000 ms.
 * Default 30,000. One that is silent for as long again is given up. */
APUS_API int32_t apus_server_set_ping_interval(apus_server server, int32_t ms);
/* 1: permessage-deflate where clients offer it. Default 1. */
APUS_API int32_t apus_server_set_deflate(apus_server server, int32_t on);
/* Until a ticket must be used: 1 to 86,400,000 ms, or 0: for ever. Default 10,000. */
APUS_API int32_t apus_server_set_upgrade_timeout(apus_server server, int32_t ms);

/* ---- the channels there are */

/* How many channels there are, closing ones too. Thread: any. Since 0.1. */
APUS_API int64_t apus_server_channel_count(apus_server server);
/* Walks a server's channels: the one behind another (0: the first), or 0 behind
 * the last. Channels that come and go meanwhile may be missed; none comes twice.
 * Thread: any. Since 0.1. */
APUS_API apus_channel apus_server_next_channel(apus_server server, apus_channel previous);

/* Ends a channel's handle. An open channel is closed with 1001, and tells no more.
 * Returns 1 if the handle was live, 0 if not. Thread: any. Since 0.1. */
APUS_API int32_t apus_channel_destroy(apus_channel channel);
/* 1 if the handle is a live channel, open or not, else 0. Thread: any.
 * Since 0.1. */
APUS_API int32_t apus_channel_is_alive(apus_channel channel);
/* Makes the handle the caller's, beyond the channel's close. Thread: any.
 * Since 0.1. */
APUS_API int32_t apus_channel_keep(apus_channel channel);
/* One of APUS_STATE_*. Thread: any. Since 0.1. */
APUS_API int32_t apus_channel_state(apus_channel channel);
/* 1 if it is open, else 0. Thread: any. Since 0.1. */
APUS_API int32_t apus_channel_is_connected(apus_channel channel);
/* One of APUS_ROLE_*. Thread: any. Since 0.1. */
APUS_API int32_t apus_channel_role(apus_channel channel);
/* The connection's id, as listeners of connections have it. Thread: any.
 * Since 0.1. */
APUS_API uint64_t apus_channel_id(apus_channel channel);
/* The server, or the client, that it is of. Thread: any. Since 0.1. */
APUS_API apus_server apus_channel_server(apus_channel channel);
/* The decoded path, the subprotocol ("": none) and the Sec-WebSocket-Key; borrowed
 * until the handle ends or, of a client's channel, until it is opened again, by
 * apus_channel_open() or by itself: then they may be others. Thread: any. Since 0.1. */
APUS_API const char *apus_channel_path(apus_channel channel);
APUS_API const char *apus_channel_protocol(apus_channel channel);
APUS_API const char *apus_channel_key(apus_channel channel);
/* Milliseconds since the last pong came; -1: none has. Errors come as INT64_MIN.
 * Thread: any. Since 0.1. */
APUS_API int64_t apus_channel_last_pong_ms(apus_channel channel);

/* Send a message whole, or not at all. APUS_E_FULL: the channel is above its
 * high-water mark; nothing was taken; wait for on_drain.
 * Errors: APUS_E_ARGUMENT (text that is not UTF-8, or within a message sent in
 * frames), APUS_E_CLOSED, APUS_E_STATE (not open yet), APUS_E_FULL, APUS_E_MEMORY.
 * Thread: any. Since 0.1. */
APUS_API int32_t apus_channel_send_text(apus_channel channel, const void *data, size_t length);
APUS_API int32_t apus_channel_send_binary(apus_channel channel, const void *data, size_t length);
/* Sends one frame: opcode 1 or 2 starts a message, 0 goes on with one, final 1 ends
 * it; 9 and 10 may stand between. Errors: as above. Thread: any. Since 0.1. */
APUS_API int32_t apus_channel_send(apus_channel channel, int32_t opcode, int32_t final,
                                   const void *data, size_t length);
/* Sends a message (opcode 1 or 2) in frames of at most size bytes.
 * Errors: as above. Thread: any. Since 0.1. */
APUS_API int32_t apus_channel_send_fragments(apus_channel channel, int32_t opcode, const void *data,
                                             size_t length, size_t size);
/* Send a ping or a pong with at most 125 bytes. Errors: as above. Thread: any.
 * Since 0.1. */
APUS_API int32_t apus_channel_ping(apus_channel channel, const void *data, size_t length);
APUS_API int32_t apus_channel_pong(apus_channel channel, const void *data, size_t length);
/* Begins the close handshake. code is 1000 to 1003, 1007 to 1014, 3000 to 4999, or
 * 0 for none; reason is at most 123 bytes of UTF-8. A peer that does not answer
 * within the close timeout is cut off.
 * Errors: APUS_E_ARGUMENT, APUS_E_CLOSED, APUS_E_STATE, APUS_E_MEMORY.
 * Thread: any. Since 0.1. */
APUS_API int32_t apus_channel_close(apus_channel channel, int32_t code, const void *reason,
                                    size_t length);
/* Bytes that the kernel has not taken yet, or a negative code. Thread: any.
 * Since 0.1. */
APUS_API int64_t apus_channel_buffered(apus_channel channel);
/* The high-water mark: 1 to 2^40 bytes. Default: as the server has it. on_drain is called when the
 * half is left, after an APUS_E_FULL. Errors: APUS_E_ARGUMENT. Thread: any.
 * Since 0.1. */
APUS_API int32_t apus_channel_set_high_water(apus_channel channel, int64_t bytes);
/* 1: a channel above its mark is closed, with 1008, by the send that finds it so.
 * Default 0. Errors: APUS_E_ARGUMENT. Thread: any. Since 0.1. */
APUS_API int32_t apus_channel_set_close_when_full(apus_channel channel, int32_t on);
/* After interval ms of silence the peer is pinged, and given up when it is silent for
 * deadline ms more (0: as long again). 0 to 86,400,000; interval 0: never.
 * Errors: APUS_E_ARGUMENT. Thread: any. Since 0.1. */
APUS_API int32_t apus_channel_set_ping(apus_channel channel, int32_t interval, int32_t deadline);

/* Joins or leaves a topic of the channel's server: 1 to 255 bytes. What is published
 * by this thread afterwards is, or is not, for the channel. A channel that closes has
 * left all of them.
 * Errors: APUS_E_ARGUMENT, APUS_E_CLOSED, APUS_E_MEMORY, APUS_E_UNSUPPORTED (a client's
 * channel). Thread: any. Since 0.1. */
APUS_API int32_t apus_channel_subscribe(apus_channel channel, const char *topic);
APUS_API int32_t apus_channel_unsubscribe(apus_channel channel, const char *topic);
/* Sends a message (opcode 1 or 2) to all channels of a topic but one (0: to all). It
 * is framed once for all of them, and deflated once. One that is above its high-water
 * mark misses it: that is counted (APUS_COUNT_UNHEARD) and told to its on_error as
 * APUS_E_FULL, once for several where they come fast, or it is closed
 * (apus_channel_set_close_when_full()). Text goes to the topic's writers of events, too
 * (section 16).
 * Errors: APUS_E_ARGUMENT (text that is not UTF-8 among others), APUS_E_FULL (64 MiB that
 * were published, each with 256 bytes for each worker, have not reached all of these yet;
 * nothing is sent), APUS_E_MEMORY.
 * Thread: any. Since 0.1. */
APUS_API int32_t apus_server_publish(apus_server server, const char *topic, int32_t opcode,
                                     const void *data, size_t length, apus_channel except);
/* How many channels and writers are in a topic: one that joins counts as soon as its worker has
 * seen to that. Errors: APUS_E_ARGUMENT (topic NULL).
 * Thread: any. Since 0.1. */
APUS_API int64_t apus_server_subscriber_count(apus_server server, const char *topic);

/* Add a listener; several are called in the order in which they came.
 * Errors: APUS_E_ARGUMENT (function NULL), APUS_E_MEMORY. Thread: any. Since 0.1. */
APUS_API int32_t apus_channel_on_message(apus_channel channel, apus_message_fn function,
                                         void *context, apus_drop_fn drop);
APUS_API int32_t apus_channel_on_pong(apus_channel channel, apus_message_fn function, void *context,
                                      apus_drop_fn drop);
APUS_API int32_t apus_channel_on_close(apus_channel channel, apus_closed_fn function, void *context,
                                       apus_drop_fn drop);
APUS_API int32_t apus_channel_on_error(apus_channel channel, apus_channel_error_fn function,
                                       void *context, apus_drop_fn drop);
APUS_API int32_t apus_channel_on_drain(apus_channel channel, apus_channel_fn function,
                                       void *context, apus_drop_fn drop);

/* Receives the next message, or frame, waiting up to timeout_ms (-1: for ever).
 * With 0 workers it does the server's I/O meanwhile, also where timeout_ms is 0.
 * Returns 1 with the message, 0 without one (time passed, or cancelled).
 * Errors: APUS_E_CLOSED (closed, and all was received), APUS_E_THREAD (another
 * thread receives), APUS_E_STATE (it would wait on the thread that would bring the
 * message), APUS_E_ARGUMENT, APUS_E_MEMORY. Thread: any, one at a time.
 * Since 0.1. */
APUS_API int32_t apus_channel_recv(apus_channel channel, apus_message *message, int32_t timeout_ms);
/* 1: apus_server_next() or apus_client_next() tells of the channel, so that one thread
 * can wait for many. APUS_EVENT_MESSAGE comes when a message comes and when a receive
 * leaves one behind, and one at a time: a host that receives once for each misses
 * nothing. APUS_EVENT_DRAIN comes where on_drain would. APUS_EVENT_CLOSE is the last one; messages
 * may wait behind it still, up to an apus_channel_recv() that gives APUS_E_CLOSED. Messages with
 * listeners make no events. What has come before this call is told as well, also of a channel
 * that has closed since it was opened. The handle is the caller's then, as after
 * apus_channel_keep(). Default 0.
 * Errors: APUS_E_ARGUMENT, APUS_E_MEMORY. Thread: any. Since 0.1. */
APUS_API int32_t apus_channel_set_events(apus_channel channel, int32_t on);
/* Ends a wait to receive, or else the next one, once. Thread: any. Since 0.1. */
APUS_API int32_t apus_channel_cancel(apus_channel channel);

/* ============================================================================
 * 11  WEBSOCKET WITHOUT A CONNECTION
 *
 * Frames, close codes and handshakes as bytes and numbers, for proxies, tests and
 * programs that do their own I/O. Nothing here has a state, waits, or needs a
 * server. A request's handshake is read from a request of section 6, so also from
 * one of apus_request_parse().
 *
 * CHECKS return 0 for what is sound, and otherwise the positive number that is due
 * to the peer: a close code or an HTTP status. apus_last_error() is then
 * APUS_E_PROTOCOL, and apus_last_error_message() a sentence that may go to the peer
 * as well. A negative result is about the call, as everywhere.
 *
 * What is written goes to a buffer of the caller's, whole or not at all: one that
 * is too small gives APUS_E_TOO_LARGE.
 * ========================================================================== */

/* Sizes that are always enough, with the NUL behind text. Since 0.1. */
enum {
  APUS_FRAME_HEADER_SIZE = 14,    /* a frame without its payload */
  APUS_CLOSE_SIZE = 125,          /* the payload of a Close frame */
  APUS_HANDSHAKE_KEY_SIZE = 25,   /* a Sec-WebSocket-Key */
  APUS_HANDSHAKE_ACCEPT_SIZE = 29 /* a Sec-WebSocket-Accept */
};

/* ---- frames */

/* The header of a frame (RFC 6455 section 5.2). One struct and not nine pointers,
 * since its parts are read, checked and passed on together. The layout is frozen:
 * 64 bytes, no padding. Since 0.1. */
typedef struct apus_frame {
  int32_t opcode;        /* 0 to 15: APUS_OPCODE_*, or a reserved one */
  int32_t final;         /* 1: the last frame of its message */
  int32_t reserved_bits; /* RSV1 4, RSV2 2, RSV3 1 */
  int32_t masked;        /* 1: mask is the key of the payload */
  uint8_t mask[4];       /* in the order of the wire; zeros if not masked */
  int32_t header_length; /* 2 to 14: where the payload starts */
  int64_t length;        /* of the payload */
  uint64_t reserved[4];
} apus_frame;

/* Reads the header of the frame that data starts with. The payload need not be
 * there. Whether a peer may send such a frame is apus_frame_check()'s matter.
 * Returns header_length with the frame, or 0 while the header is not whole; frame
 * is left as it was then.
 * Errors: APUS_E_PROTOCOL (a length that is not in its shortest form, or above
 * 2^63 - 1: 1002 is due), APUS_E_ARGUMENT. Thread: any. Since 0.1. */
APUS_API int32_t apus_frame_decode(const void *data, size_t length, apus_frame *frame);

/* A check (see above), by a header, of what an APUS_ROLE_* may receive: masking,
 * opcodes, fragments, reserved bits, the size of control frames. in_message is 1
 * between the first and the last frame of a message, compressed is 1 where
 * permessage-deflate was negotiated. header_length is not looked at.
 * Returns 0, or a close code: 1002.
 * Errors: APUS_E_ARGUMENT (frame NULL, anything out of range).
 * Thread: any. Since 0.1. */
APUS_API int32_t apus_frame_check(const apus_frame *frame, int32_t role, int32_t in_message,
                                  int32_t compressed);

/* How long a frame is, header and payload, masked (1) or not (0), for
 * apus_frame_encode().
 * Errors: APUS_E_ARGUMENT (payload below 0, or so long that the frame's length is
 * no int64_t). Thread: any. Since 0.1. */
APUS_API int64_t apus_frame_length(int64_t payload, int32_t masked);

/* Writes a frame. opcode is 0 to 15, final 0 or 1, reserved_bits 0 to 7 as in
 * apus_frame; what makes no sense is written too, for those who test others. mask
 * is the 4 bytes of the key by which the payload is masked on its way, or NULL.
 * The payload may stand in the buffer already, at its place in the frame;
 * otherwise the two are apart.
 * Returns the frame's length.
 * Errors: APUS_E_TOO_LARGE, APUS_E_ARGUMENT (also: data and buffer overlap).
 * Thread: any. Since 0.1. */
APUS_API int64_t apus_frame_encode(int32_t opcode, int32_t final, int32_t reserved_bits,
                                   const void *mask, const void *data, size_t length, void *buffer,
                                   size_t capacity);

/* Writes a frame's header alone, for a payload of so many bytes that goes its own
 * way. With a mask, apus_frame_mask() is the caller's to call.
 * Returns the header's length.
 * Errors: APUS_E_TOO_LARGE, APUS_E_ARGUMENT. Thread: any. Since 0.1. */
APUS_API int32_t apus_frame_encode_header(int32_t opcode, int32_t final, int32_t reserved_bits,
                                          const void *mask, int64_t payload, void *buffer,
                                          size_t capacity);

/* Masks or unmasks bytes of a payload where they stand; mask is the 4 bytes of the
 * key. offset is where in its payload the first of them is, so that a payload may
 * come in pieces.
 * Errors: APUS_E_ARGUMENT. Thread: any. Since 0.1. */
APUS_API int32_t apus_frame_mask(const void *mask, uint64_t offset, void *data, size_t length);

/* Draws a masking key that nobody can foretell (RFC 6455 section 5.3), 4 bytes: a
 * new one for each frame that a client sends.
 * Errors: APUS_E_ARGUMENT (mask NULL), APUS_E_IO (no chance to be had),
 * APUS_E_MEMORY. Thread: any. Since 0.1. */
APUS_API int32_t apus_frame_make_mask(void *mask);

/* 1 if the bytes are UTF-8 from the first to the last, as text messages must be,
 * else 0. Errors: APUS_E_ARGUMENT. Thread: any. Since 0.1. */
APUS_API int32_t apus_utf8_is_valid(const void *data, size_t length);

/* ---- the payload of a Close frame */

/* 1 if a code may stand in a Close frame (1000 to 1003, 1007 to 1014, 3000 to
 * 4999), else 0. Thread: any. Since 0.1. */
APUS_API int32_t apus_close_is_valid(int32_t code);

/* Writes a code and a reason, at most 123 bytes of UTF-8. Code 0 without a reason is
 * the empty payload.
 * Returns the payload's length: 0, or 2 to 125.
 * Errors: APUS_E_TOO_LARGE, APUS_E_ARGUMENT (also a code that may not be sent, a
 * reason that is longer or not UTF-8). Thread: any. Since 0.1. */
APUS_API int32_t apus_close_encode(int32_t code, const void *reason, size_t length, void *buffer,
                                   size_t capacity);

/* A check (see above) of a payload that came, which also reads it. code gets the
 * code, 1005 where there is none. The reason is what follows: length - 2 bytes from
 * data + 2.
 * Returns 0, or a close code: 1002, or 1007 for a reason that is not UTF-8.
 * Errors: APUS_E_ARGUMENT. Thread: any. Since 0.1. */
APUS_API int32_t apus_close_decode(const void *data, size_t length, int32_t *code);

/* ---- the opening handshake: a server's side, by a request */

/* 1 if the request asks for a WebSocket, by Upgrade and Connection, sound or not;
 * else 0. Thread: the request's. Since 0.1. */
APUS_API int32_t apus_handshake_is_upgrade(apus_request request);

/* A check (see above) of a request as a WebSocket handshake (RFC 6455 section
 * 4.2.1): method, version, fields, key, subprotocols, extensions; not its origin.
 * Returns 0, or a status: 400, 405 (to be sent with "Allow: GET"), or 426 (with
 * "Upgrade: websocket" and "Sec-WebSocket-Version: 13").
 * Thread: the request's. Since 0.1. */
APUS_API int32_t apus_handshake_check(apus_request request);

/* A check (see above) of the request's Origin, by one of APUS_ORIGIN_* and, for
 * APUS_ORIGIN_LIST, a list as apus_server_set_origin_policy() takes it. A request
 * without Origin is let through: it comes from no browser.
 * Returns 0, or a status: 403; apus_last_error() is then APUS_E_PERMISSION.
 * Errors: APUS_E_ARGUMENT, APUS_E_MEMORY. Thread: the request's. Since 0.1. */
APUS_API int32_t apus_handshake_check_origin(apus_request request, int32_t policy,
                                             const char *origins);

/* The number in Sec-WebSocket-Version, 0 to 255; only 13 is in use.
 * Errors: APUS_E_NOT_FOUND (no such field), APUS_E_PROTOCOL (malformed, or more
 * than one). Thread: the request's. Since 0.1. */
APUS_API int32_t apus_handshake_version(apus_request request);

/* The Sec-WebSocket-Key, borrowed like the request's fields.
 * Errors: APUS_E_NOT_FOUND (no such field), APUS_E_PROTOCOL (not 16 bytes in
 * Base64, or more than one). Thread: the request's. Since 0.1. */
APUS_API const char *apus_handshake_key(apus_request request);

/* How many subprotocols the client offers; 0 if none.
 * Errors: APUS_E_PROTOCOL (not a list of different tokens, or more than 100), as of
 * the next one. Thread: the request's. Since 0.1. */
APUS_API int32_t apus_handshake_protocol_count(apus_request request);
/* Copies the name of an offered subprotocol, in the client's order of preference
 * from 0, into buffer, cut to capacity with a NUL.
 * Returns the length of the whole name.
 * Errors: APUS_E_NOT_FOUND (no such index), APUS_E_ARGUMENT (buffer NULL),
 * APUS_E_MEMORY, and the above. Thread: the request's. Since 0.1. */
APUS_API int32_t apus_handshake_protocol_at(apus_request request, int32_t index, char *buffer,
                                            size_t capacity);

/* Writes the Sec-WebSocket-Accept that answers a key: 28 characters and a NUL.
 * Returns 28.
 * Errors: APUS_E_ARGUMENT (key is not 16 bytes in Base64), APUS_E_TOO_LARGE,
 * APUS_E_IO (no SHA-1 in this system's OpenSSL), APUS_E_MEMORY.
 * Thread: any. Since 0.1. */
APUS_API int32_t apus_handshake_accept(const char *key, char *buffer, size_t capacity);

/* ---- the opening handshake: a client's side */

/* Writes a new key, of 16 bytes that nobody can foretell: 24 characters and a NUL.
 * Returns 24.
 * Errors: APUS_E_ARGUMENT, APUS_E_TOO_LARGE, APUS_E_IO (no chance to be had),
 * APUS_E_MEMORY. Thread: any. Since 0.1. */
APUS_API int32_t apus_handshake_make_key(char *buffer, size_t capacity);

/* Whether the bytes of a server's response, as they came, open the WebSocket (RFC
 * 6455 section 4.1). It takes bytes and not fields, so that a field that comes
 * twice is seen; other 1xx responses in front are skipped. key is the request's
 * Sec-WebSocket-Key. protocols are the subprotocols it offered, with commas, or
 * NULL; protocol gets the index of the one chosen, from 0, or -1 for none. The
 * request must have offered no extension.
 * Returns the bytes that the response took, behind which frames may stand, or 0
 * while it is not whole.
 * Errors: APUS_E_PROTOCOL (it does not open it: apus_last_error_message() says why;
 * also any status but 101), APUS_E_TOO_LARGE (more than 32 KiB or 100 fields),
 * APUS_E_ARGUMENT (data, key or protocols), APUS_E_IO, APUS_E_MEMORY.
 * Thread: any. Since 0.1. */
APUS_API int32_t apus_handshake_check_response(const void *data, size_t length, const char *key,
                                               const char *protocols, int32_t *protocol);

/* ============================================================================
 * 12  CHANNEL: THE CLIENT'S END
 *
 * A channel from apus_channel_make() makes its connections itself: it is closed, and
 * connects by apus_channel_open(), as often as wanted. It lives on a server that runs,
 * with or without listeners, or on a client; listeners run where that one's dispatch
 * says, and all of section 10 holds, save topics. The handle is the caller's.
 *
 * A connection that is lost without a close, or that the peer closes with 1001, 1012
 * or 1013, is made anew where apus_channel_set_reconnect() says so; meanwhile the state
 * is APUS_STATE_CONNECTING. A close by this end, or with another code, is for good.
 *
 * A connection is made to the addresses of the host's name one after the other, the
 * families in turn and that of IPv6 first, a new one every quarter of a second while
 * the earlier ones are tried on; the first that connects is used (RFC 8305).
 *
 * on_open is called each time that it is open, on_error for each attempt that fails and
 * each connection that is lost, and on_close once for each apus_channel_open(), when
 * the channel is closed for good.
 * ========================================================================== */

/* Makes a client: what channels, fetches and sources live on where there is no server. It
 * starts with its first use, and ends with apus_client_destroy(). The caller owns it.
 * Returns 0 on failure: APUS_E_MEMORY, APUS_E_DESCRIPTORS. Thread: any. Since 0.1. */
APUS_API apus_client apus_client_make(void);
/* Ends a client and its channels at once, as apus_server_destroy() does.
 * Returns 1 if the handle was live, 0 if not. Thread: any. Since 0.1. */
APUS_API int32_t apus_client_destroy(apus_client client);
/* 1 if the handle is a live client, else 0. Thread: any. Since 0.1. */
APUS_API int32_t apus_client_is_alive(apus_client client);
/* Worker threads: 0 (no thread) to 256, -1 for one per core. Default 1.
 * Errors: APUS_E_ARGUMENT, APUS_E_STATE (it was used). Thread: any. Since 0.1. */
APUS_API int32_t apus_client_set_workers(apus_client client, int32_t workers);
/* APUS_DISPATCH_TICK (default) or APUS_DISPATCH_WORKER.
 * Errors: as above. Thread: any. Since 0.1. */
APUS_API int32_t apus_client_set_dispatch(apus_client client, int32_t dispatch);
/* For the client's channels, as apus_server_set_channel_high_water(), _inbox() and
 * _close_timeout(). Errors: as above. Thread: any. Since 0.1. */
APUS_API int32_t apus_client_set_channel_high_water(apus_client client, int64_t bytes);
APUS_API int32_t apus_client_set_channel_inbox(apus_client client, int64_t bytes);
APUS_API int32_t apus_client_set_channel_close_timeout(apus_client client, int32_t ms);
/* Runs the callbacks that wait, as apus_server_tick() does.
 * Returns how many there were.
 * Errors: APUS_E_ARGUMENT, APUS_E_STATE (inside a callback of its), APUS_E_THREAD
 * (another thread ticks), APUS_E_MEMORY, APUS_E_DESCRIPTORS. Thread: any, one at a
 * time. Since 0.1. */
APUS_API int32_t apus_client_tick(apus_client client, int32_t timeout_ms);
/* Takes one event instead, as apus_server_next() does: those of channels, fetches and
 * sources that were set to give them.
 * Returns 1 with the event, 0 without one.
 * Errors: as above, and APUS_E_STATE with worker dispatch. Thread: any, one at a time.
 * Since 0.1. */
APUS_API int32_t apus_client_next(apus_client client, apus_event *event, int32_t timeout_ms);
/* The descriptor that is readable when there is something to tick: watch it, and no
 * more. Errors: APUS_E_STATE, APUS_E_MEMORY, APUS_E_DESCRIPTORS. Thread: any.
 * Since 0.1. */
APUS_API int32_t apus_client_event_fd(apus_client client);
/* Ends a tick that waits, or else the next one, once.
 * Errors: APUS_E_MEMORY, APUS_E_DESCRIPTORS. Thread: any. Since 0.1. */
APUS_API int32_t apus_client_wake(apus_client client);

/* Makes a channel, closed, on a server or a client. The caller owns it.
 * Returns 0 on failure: APUS_E_MEMORY. Thread: any. Since 0.1. */
APUS_API apus_channel apus_channel_make(uint64_t host);

/* Takes over a connected stream socket whose handshake was done elsewhere: it is an open
 * channel, without compression, of either role (APUS_ROLE_*). path is what
 * apus_channel_path() is to say; NULL: "". The caller owns the channel, and the library
 * the descriptor, unless this fails. Such a channel cannot be opened again.
 * Returns 0 on failure: APUS_E_ARGUMENT (no such role, not a connected stream socket),
 * APUS_E_STATE (the server does not run), APUS_E_MEMORY, APUS_E_IO. Thread: any.
 * Since 0.1. */
APUS_API apus_channel apus_channel_adopt(uint64_t host, int32_t descriptor, int32_t role,
                                         const char *path);

/* ---- options; each gives APUS_E_STATE unless the channel is closed and makes its
 * ---- connections itself, and APUS_E_ARGUMENT outside its range. Thread: any. */

/* Adds a field to the request of the handshake. Those that the handshake sets itself
 * (Host, Origin, Upgrade, Connection, Sec-WebSocket-*) and that would give it a body
 * (Content-Length, Transfer-Encoding) are refused.
 * Errors: APUS_E_ARGUMENT, APUS_E_TOO_LARGE (32 KiB in all), APUS_E_MEMORY.
 * Since 0.1. */
APUS_API int32_t apus_channel_add_header(apus_channel channel, const char *name, const char *value);
/* The subprotocols to offer, with commas, the preferred one first; "" for none.
 * Errors: APUS_E_ARGUMENT, APUS_E_MEMORY. Since 0.1. */
APUS_API int32_t apus_channel_set_protocols(apus_channel channel, const char *protocols);
/* The Origin to send; "" for none, the default. Errors: as above. Since 0.1. */
APUS_API int32_t apus_channel_set_origin(apus_channel channel, const char *origin);
/* Bytes of a message that is received, once inflated: 1 to 2^40. Default: as the
 * server has it, 16 MiB. Above it the channel is closed with 1009. Since 0.1. */
APUS_API int32_t apus_channel_set_max_message(apus_channel channel, int64_t bytes);
/* Frames of such a message, and pings and pongs in a second: 1 to 1,000,000 each.
 * Defaults: as the server has them, 1024 and 1000. Above them: 1008. Since 0.1. */
APUS_API int32_t apus_channel_set_max_fragments(apus_channel channel, int32_t frames);
APUS_API int32_t apus_channel_set_max_controls(apus_channel channel, int32_t per_second);
/* 1: permessage-deflate is offered. Default 1. Since 0.1. */
APUS_API int32_t apus_channel_set_deflate(apus_channel channel, int32_t on);
/* 1: frames are given one by one, and not whole messages. Default 0. Since 0.1. */
APUS_API int32_t apus_channel_set_frames(apus_channel channel, int32_t on);
/* For an attempt, from the name's lookup to the end of the handshake: 1 to 86,400,000
 * ms, or 0: no limit. Default 10,000. Since 0.1. */
APUS_API int32_t apus_channel_set_connect_timeout(apus_channel channel, int32_t ms);
/* How often it is tried anew, one time after the other, when an attempt fails or a
 * connection is lost: 0 (never) or more, -1 for ever. Default 0. The wait before each
 * starts at min_ms, doubles up to max_ms, and is cut by chance to between a half and
 * all of that. A server that refuses with another status than 408, 425, 429 or 5xx, or
 * that breaks the handshake, is not asked again. 1 <= min_ms <= max_ms <= 86,400,000;
 * they are kept to within an eighth of a second. Since 0.1. */
APUS_API int32_t apus_channel_set_reconnect(apus_channel channel, int32_t attempts, int32_t min_ms,
                                            int32_t max_ms);

/* What becomes of whole messages that are sent while the channel is connecting.
 * Since 0.1. */
enum {
  APUS_QUEUE_REFUSE = 0, /* the default: APUS_E_STATE */
  APUS_QUEUE_KEEP = 1,   /* kept until it is open; APUS_E_FULL at the limit */
  APUS_QUEUE_DROP = 2    /* kept as well; at the limit the oldest make room */
};
/* bytes is the limit, 1 to 2^40, in which each message counts for 64 more than it has;
 * with APUS_QUEUE_REFUSE it may be 0. What is kept is sent before on_open is called, and
 * is forgotten when the channel is closed for good. Messages that are dropped are told
 * to on_error, as APUS_E_FULL, and counted by apus_channel_dropped(). What was sent while
 * the channel was open, and was still on its way when the connection broke, is lost in
 * each case. Since 0.1. */
APUS_API int32_t apus_channel_set_queue_policy(apus_channel channel, int32_t policy, int64_t bytes);

/* ---- its life */

/* Adds a listener for the opening. Errors: as apus_channel_on_message(). Thread: any.
 * Since 0.1. */
APUS_API int32_t apus_channel_on_open(apus_channel channel, apus_channel_fn function, void *context,
                                      apus_drop_fn drop);
/* Begins to connect to a URL, as "ws://host:port/path?query", and returns at once. The
 * host is a name, an IPv4 address, or an IPv6 address in brackets; a user name or a
 * fragment is refused. Messages of before that nobody has received are forgotten.
 * Errors: APUS_E_ARGUMENT (no such URL), APUS_E_STATE (not closed, or its server does
 * not run), APUS_E_MEMORY, APUS_E_DESCRIPTORS. Thread: any.
 * Since 0.1. */
APUS_API int32_t apus_channel_open(apus_channel channel, const char *url);
/* Waits until the channel is open, up to timeout_ms (-1: for ever). With 0 workers it
 * does the I/O meanwhile.
 * Returns 1 when it is open, 0 when time has passed.
 * Errors: why it is closed: APUS_E_CLOSED, APUS_E_TIMEOUT, APUS_E_PROTOCOL (the response,
 * see apus_channel_status()), APUS_E_NOT_FOUND (the host's name), APUS_E_IO,
 * APUS_E_TOO_LARGE, APUS_E_FULL (64 names are being looked up), ...; APUS_E_STATE (it
 * would wait on the thread that would open it), APUS_E_ARGUMENT, APUS_E_MEMORY.
 * Thread: any. Since 0.1. */
APUS_API int32_t apus_channel_wait_open(apus_channel channel, int32_t timeout_ms);
/* Drops the connection at once, or the attempt at one, with all that waits to be sent,
 * received or tried anew. The channel is closed and can be opened again when this
 * returns; on_close follows, with 1006. Does nothing to a closed one.
 * Errors: APUS_E_STATE (its connection was made elsewhere). Thread: any. Since 0.1. */
APUS_API int32_t apus_channel_reset(apus_channel channel);
/* The status of the latest attempt's response, 101 where that was accepted; 0: none has
 * come. Errors: APUS_E_STATE (as above). Thread: any. Since 0.1. */
APUS_API int32_t apus_channel_status(apus_channel channel);
/* How many messages APUS_QUEUE_DROP has dropped since the latest apus_channel_open(), or
 * a negative code. Errors: APUS_E_STATE (as above). Thread: any. Since 0.1. */
APUS_API int64_t apus_channel_dropped(apus_channel channel);

/* ============================================================================
 * 13  URLS AND TEXT
 *
 * URLs of the web, percent-encoding and query strings, as text. Nothing here has a
 * state, waits, or needs a server.
 *
 * A URL is one of http, https, ws or wss, with a host. It is taken as browsers take it
 * (WHATWG URL), and has one form from then on: scheme and host in small letters, an
 * IPv4 address with its four numbers, an IPv6 address at its shortest, no port that is
 * the scheme's own, no dot segments, at least "/" as path. Spaces and controls at the
 * ends do not count, a backslash is a slash, and characters that no URL holds become
 * percent-encoded. What makes it none is refused: another scheme (APUS_E_UNSUPPORTED),
 * no host, a name beyond ASCII (write it in its ASCII form, "xn--..."), a name of other
 * than letters, digits, "-", ".", "_" and "~", or with an empty label, an address that
 * is none, a port that is not from 1 to 65535, a space or a control inside, a "%"
 * without two hexadecimal digits, or more than 64 KiB (APUS_E_TOO_LARGE).
 *
 * What is written goes to a buffer of the caller's, with a NUL behind it, whole or not
 * at all: one that is too small gives APUS_E_TOO_LARGE. Functions that write return the
 * length without the NUL. Text may be written over the text it comes from.
 * ========================================================================== */

/* ---- URLs */

/* The parts of a URL. Since 0.1. */
enum {
  APUS_URL_WHOLE = 0,     /* all of it, in its one form */
  APUS_URL_SCHEME = 1,    /* "http", "https", "ws" or "wss" */
  APUS_URL_USERNAME = 2,  /* decoded; APUS_E_NOT_FOUND without any credentials */
  APUS_URL_PASSWORD = 3,  /* likewise; "" where there is a user name alone */
  APUS_URL_HOST = 4,      /* a name or an address, without brackets */
  APUS_URL_PORT = 5,      /* as digits, the scheme's own where none was given */
  APUS_URL_PATH = 6,      /* at least "/", percent-encoded */
  APUS_URL_QUERY = 7,     /* without "?"; APUS_E_NOT_FOUND if there is none */
  APUS_URL_FRAGMENT = 8,  /* without "#"; APUS_E_NOT_FOUND if there is none */
  APUS_URL_AUTHORITY = 9, /* the host, and the port unless it is the scheme's own */
  APUS_URL_ORIGIN = 10,   /* scheme, "://" and authority */
  APUS_URL_TARGET = 11    /* path and query, as a request line has them */
};

/* Writes a part of a URL, one of APUS_URL_*. 3 * strlen(url) + 32 bytes are always
 * enough.
 * Returns its length.
 * Errors: APUS_E_ARGUMENT (no such part; no URL: apus_last_error_message() says why),
 * APUS_E_UNSUPPORTED, APUS_E_NOT_FOUND (the URL has no such part), APUS_E_TOO_LARGE,
 * APUS_E_MEMORY. Thread: any. Since 0.1. */
APUS_API int32_t apus_url_part(const char *url, int32_t part, char *buffer, size_t capacity);

/* The port that a URL is asked at: 1 to 65535.
 * Errors: APUS_E_ARGUMENT, APUS_E_UNSUPPORTED, APUS_E_TOO_LARGE, APUS_E_MEMORY.
 * Thread: any. Since 0.1. */
APUS_API int32_t apus_url_port(const char *url);

/* Writes what a reference, such as a link or a Location field, means at a URL (RFC 3986
 * section 5). The reference is a peer's: a space in it becomes %20, and a "%" without
 * digits stays. strlen(base) + 3 * strlen(reference) + 32 bytes are always enough, where
 * the base is in the form that APUS_URL_WHOLE has.
 * Returns the length of the whole URL.
 * Errors: APUS_E_ARGUMENT, APUS_E_UNSUPPORTED (also: the reference is of another
 * scheme), APUS_E_TOO_LARGE, APUS_E_MEMORY. Thread: any. Since 0.1. */
APUS_API int32_t apus_url_resolve(const char *base, const char *reference, char *buffer,
                                  size_t capacity);

/* 1 if two URLs have the same origin (RFC 6454: scheme, host and port), else 0.
 * Errors: APUS_E_ARGUMENT, APUS_E_UNSUPPORTED, APUS_E_TOO_LARGE, APUS_E_MEMORY.
 * Thread: any. Since 0.1. */
APUS_API int32_t apus_url_same_origin(const char *url, const char *other);

/* ---- percent-encoding */

/* What is left as it is; all else becomes "%" and two digits. Letters, digits, "-", "."
 * and "_" always are. Since 0.1. */
enum {
  APUS_PERCENT_COMPONENT = 0, /* "~" as well: for one segment, one name or one value */
  APUS_PERCENT_PATH = 1,      /* also what paths are made of: / : @ ! $ & ' ( ) * + , ; = */
  APUS_PERCENT_QUERY = 2,     /* also "?": for a query that is put together already */
  APUS_PERCENT_FORM = 3       /* "*", and a space becomes "+": as HTML forms are sent */
};

/* Writes bytes percent-encoded, by one of APUS_PERCENT_*. 3 * length + 1 bytes are
 * always enough.
 * Returns the length of the text.
 * Errors: APUS_E_ARGUMENT, APUS_E_TOO_LARGE, APUS_E_MEMORY. Thread: any. Since 0.1. */
APUS_API int64_t apus_percent_encode(const void *data, size_t length, int32_t set, char *buffer,
                                     size_t capacity);

/* Writes the bytes that percent-encoded text stands for; length + 1 bytes are always
 * enough. With APUS_PERCENT_FORM a "+" is a space, and a "%" without two digits stands
 * for itself; with the others, which are alike, it is an error. What is written may
 * hold a NUL, and need not be UTF-8.
 * Returns how many bytes there are.
 * Errors: APUS_E_ARGUMENT (also: a "%" without two digits), APUS_E_TOO_LARGE,
 * APUS_E_MEMORY. Thread: any. Since 0.1. */
APUS_API int64_t apus_percent_decode(const void *data, size_t length, int32_t set, char *buffer,
                                     size_t capacity);

/* Adds a name and a value to the query that a buffer holds as text: "name=value",
 * encoded as APUS_PERCENT_FORM has it, with "&" before it unless the text is empty or
 * ends with "&" or "?". The buffer must hold text already, at least "".
 * Returns the length of all the text.
 * Errors: APUS_E_ARGUMENT (also: there is no NUL in the buffer), APUS_E_TOO_LARGE (the
 * text is as it was), APUS_E_MEMORY. Thread: any. Since 0.1. */
APUS_API int64_t apus_query_append(char *buffer, size_t capacity, const char *name,
                                   const void *data, size_t length);

/* ============================================================================
 * 14  HTTP CLIENT
 * ============================================================================
 *
 * A fetch is a request that is built, sent, and answered by a response:
 *
 *   apus_client client = apus_client_make();
 *   apus_fetch fetch = apus_fetch_make(client, "GET", "http://127.0.0.1:8080/");
 *   apus_response response = apus_fetch_send(fetch);
 *   if (response) puts(apus_response_body(response, NULL));
 *   apus_fetch_destroy(fetch);
 *   apus_client_destroy(client);
 *
 * Or in one line: apus_get() and its kin.
 *
 * The client keeps connections and uses them again. Where these functions take an
 * apus_client, a running apus_server does as well: then the server's threads do the
 * work. A fetch ends with its client.
 *
 * A fetch is blocking (apus_fetch_send, or apus_fetch_start and apus_fetch_wait), from
 * any thread, or tells its news by callbacks where the client's dispatch says (section
 * 12): on_response with the head, on_body with each piece as it came, on_complete once,
 * as the last. Without on_body and without a file the body is collected.
 *
 * A response belongs to its fetch: its handle and what is borrowed of it end when the
 * fetch is destroyed or started again, unless apus_response_keep() was called.
 *
 * Safe by default: a request is repeated only if nothing of an answer came and it is
 * idempotent (RFC 9110 section 9.2.2) or the connection was refused; a body that is
 * shorter than it should be is APUS_E_CLOSED; Authorization and Cookie never follow a
 * redirect to another origin. A field over several lines (RFC 9112 section 5.2) is refused.
 */

enum { APUS_FETCH_IDLE = 0, APUS_FETCH_RUNNING = 1, APUS_FETCH_DONE = 2 };

/* ---- defaults of a client, for fetches that are made from then on */

/* What the URLs of fetches are relative to (RFC 3986 section 5); NULL: nothing.
 * Errors: APUS_E_ARGUMENT (not an absolute http or https URL).
 * Thread: any. Since 0.1. */
APUS_API int32_t apus_client_set_base_url(apus_client client, const char *url);

/* A field of all requests, but for those that set their own of that name; NULL
 * as value: none. User-Agent is one from the beginning. What frames a message or
 * rules its connection (Content-Length, Transfer-Encoding, Connection, Expect,
 * Upgrade, TE, Trailer) is the library's.
 * Errors: APUS_E_ARGUMENT (not a name and value of RFC 9110, or the library's);
 * APUS_E_TOO_LARGE (64 KiB together).
 * Thread: any. Since 0.1. */
APUS_API int32_t apus_client_set_header(apus_client client, const char *name, const char *value);

/* Time limits in milliseconds; 0: none. connect: for a connection, with the name's
 * look-up, and then for a proxy and TLS; not for a place among the connections there may be
 * (default 60,000). response: for the head of an answer, once the request is
 * sent or an interim response has come (300,000). idle: for the next bytes of a body,
 * in either direction (300,000). total: for all of it (none). They are kept to within
 * 0.2 s.
 * Errors: APUS_E_ARGUMENT (negative, or over a day). Thread: any. Since 0.1. */
APUS_API int32_t apus_client_set_connect_timeout(apus_client client, int32_t ms);
APUS_API int32_t apus_client_set_response_timeout(apus_client client, int32_t ms);
APUS_API int32_t apus_client_set_idle_timeout(apus_client client, int32_t ms);
APUS_API int32_t apus_client_set_total_timeout(apus_client client, int32_t ms);

/* How many redirects are followed (default 10); 0: none, they are given as they are.
 * One too many is APUS_E_TOO_LARGE.
 * Errors: APUS_E_ARGUMENT (not 0 to 100). Thread: any. Since 0.1. */
APUS_API int32_t apus_client_set_redirects(apus_client client, int32_t most);

/* The most that is collected of a body, after decoding (default 64 MiB). What is
 * given by on_body or goes to a file has no limit.
 * Errors: APUS_E_ARGUMENT (not 0 to 2^40). Thread: any. Since 0.1. */
APUS_API int32_t apus_client_set_max_body(apus_client client, int64_t bytes);

/* Whether Accept-Encoding is sent and a body in gzip or deflate is decoded (default 1);
 * also one in br or zstd, where libbrotlidec.so.1 or libzstd.so.1 is found when first wanted.
 * A response in another coding fails then, with APUS_E_UNSUPPORTED.
 * Errors: APUS_E_ARGUMENT (not 0 or 1). Thread: any. Since 0.1. */
APUS_API int32_t apus_client_set_decoding(apus_client client, int32_t on);

/* Whether bodies are sent only once the server says so: apus_fetch_set_expect().
 * Errors: APUS_E_ARGUMENT (not 0 or 1). Thread: any. Since 0.1. */
APUS_API int32_t apus_client_set_expect(apus_client client, int32_t on);

/* Whether connections are kept for other requests (default 1).
 * Errors: APUS_E_ARGUMENT (not 0 or 1). Thread: any. Since 0.1. */
APUS_API int32_t apus_client_set_keep_alive(apus_client client, int32_t on);

/* The most connections of each worker to one origin (default 64) and together (512),
 * and how many fetches may wait for one (10,000): past that they fail with APUS_E_FULL.
 * Errors: APUS_E_ARGUMENT (not 1 to 1,000,000). Thread: any. Since 0.1. */
APUS_API int32_t apus_client_set_max_connections(apus_client client, int32_t per_origin,
                                                 int32_t together, int32_t waiting);

/* How long a connection is kept that nobody uses, in milliseconds (default 60,000);
 * 0: for ever.
 * Errors: APUS_E_ARGUMENT (negative, or over a day). Thread: any. Since 0.1. */
APUS_API int32_t apus_client_set_idle_connection_timeout(apus_client client, int32_t ms);

/* Has all connections made to a Unix socket, whatever the URLs' hosts, those of channels,
 * too; NULL ends it. No proxy is asked then. One whose queue is full is tried until the limit
 * on connecting.
 * Errors: APUS_E_ARGUMENT (empty, or 108 bytes and more). Thread: any. Since 0.1. */
APUS_API int32_t apus_client_set_unix_socket(apus_client client, const char *path);

/* Who the client is for the servers that it is used with. basic and bearer go with each
 * request at once (RFC 7617, RFC 6750); digest answers a challenge (RFC 7616: SHA-256,
 * MD5); credentials answers whatever the server asks for, by the strongest that it
 * offers. A URL with a name and password is as basic, and then as credentials. Nothing
 * of this goes to where a redirect to another origin leads. NULL: none.
 * Errors: APUS_E_ARGUMENT (control characters; a colon in the name for basic; 4 KiB).
 * Thread: any. Since 0.1. */
APUS_API int32_t apus_client_set_basic(apus_client client, const char *user, const char *password);
APUS_API int32_t apus_client_set_digest(apus_client client, const char *user, const char *password);
APUS_API int32_t apus_client_set_credentials(apus_client client, const char *user,
                                             const char *password);
APUS_API int32_t apus_client_set_bearer(apus_client client, const char *token);

/* Has requests go through a proxy: "http://", "socks5://" or "socks5h://", with
 * "name:password@" if it wants that, a host and a port (80, 1080). Names of servers are
 * the proxy's to look up. An http proxy hears name and password by Basic, and by Digest
 * (RFC 7616: SHA-256, MD5) once it has asked for that. Channels go through it as well,
 * by CONNECT. NULL: no proxy.
 * Errors: APUS_E_ARGUMENT; APUS_E_UNSUPPORTED (another scheme).
 * Thread: any. Since 0.1. */
APUS_API int32_t apus_client_set_proxy(apus_client client, const char *url);

/* What is reached without the proxy: "*", names, which stand for those below them too,
 * addresses and networks such as 10.0.0.0/8, with commas between, each with a ":port" if
 * that is meant alone. NULL: nothing.
 * Thread: any. Since 0.1. */
APUS_API int32_t apus_client_set_no_proxy(apus_client client, const char *list);

/* Whether an http proxy is asked for a tunnel (CONNECT) for plain http, too (default 0).
 * Errors: APUS_E_ARGUMENT (not 0 or 1). Thread: any. Since 0.1. */
APUS_API int32_t apus_client_set_proxy_tunnel(apus_client client, int32_t on);

/* Takes the proxy from the environment, as it is now: http_proxy or all_proxy, and
 * no_proxy. Nothing else in the library reads the environment, save OpenSSL.
 * Errors: APUS_E_NOT_FOUND (it names none); those of apus_client_set_proxy.
 * Thread: any; not while another one changes the environment. Since 0.1. */
APUS_API int32_t apus_client_use_environment(apus_client client);

/* ---- the cookies of a client (RFC 6265bis)
 *
 * Responses set them and requests carry them, unless a fetch has a Cookie field of its
 * own. At most 50 for a domain and 3,000 in all are kept, those that were used last.
 * Domains that the system's list of public suffixes names have none. A text that is
 * copied out is cut to capacity, with a NUL; the result is the length of all of it. */

/* Whether cookies are taken and sent (default 1), by fetches that are made from then on.
 * Errors: APUS_E_ARGUMENT (not 0 or 1). Thread: any. Since 0.1. */
APUS_API int32_t apus_client_set_cookies(apus_client client, int32_t on);

/* How many there are. Thread: any. Since 0.1. */
APUS_API int32_t apus_client_cookie_count(apus_client client);

/* Copies one of them out, in the order of their creation, as a line of cookies.txt:
 * domain, TRUE where it counts below that, path, TRUE where it is for https alone, when
 * it expires (seconds since 1970; 0: with the client), name and value, with tabs between.
 * Errors: APUS_E_NOT_FOUND (no such index); APUS_E_ARGUMENT. Thread: any. Since 0.1. */
APUS_API int32_t apus_client_cookie_at(apus_client client, int32_t index, char *buffer,
                                       size_t capacity);

/* Copies out the value that a request for the URL would carry under a name.
 * Errors: APUS_E_NOT_FOUND; APUS_E_ARGUMENT (no URL). Thread: any. Since 0.1. */
APUS_API int32_t apus_client_cookie(apus_client client, const char *url, const char *name,
                                    char *buffer, size_t capacity);

/* Takes the value of a Set-Cookie field, such as "a=b; Path=/", as if a response from
 * the URL had it.
 * Errors: APUS_E_ARGUMENT (no URL; the rules refuse it: the message says which).
 * Thread: any. Since 0.1. */
APUS_API int32_t apus_client_add_cookie(apus_client client, const char *url, const char *cookie);

/* Ends all of them. Thread: any. Since 0.1. */
APUS_API int32_t apus_client_clear_cookies(apus_client client);

/* Copies all of them out as lines of cookies.txt; takes them back, and returns how many
 * it took.
 * Errors: APUS_E_ARGUMENT. Thread: any. Since 0.1. */
APUS_API int32_t apus_client_export_cookies(apus_client client, char *buffer, size_t capacity);
APUS_API int32_t apus_client_import_cookies(apus_client client, const void *data, size_t length);

/* ---- making a fetch */

/* Makes a fetch: "GET" and so on, and an absolute URL or one that is relative to the
 * client's base URL. Returns it, or 0.
 * Errors: APUS_E_ARGUMENT (method no token, or CONNECT; URL malformed);
 * APUS_E_UNSUPPORTED (a scheme other than http and https); APUS_E_MEMORY.
 * Thread: any. Since 0.1. */
APUS_API apus_fetch apus_fetch_make(apus_client client, const char *method, const char *url);

/* Ends a fetch, and what it is at. Returns 1, or 0 if it had ended. A callback that
 * runs on another thread may return after this has; none starts any more.
 * Thread: any. Since 0.1. */
APUS_API int32_t apus_fetch_destroy(apus_fetch fetch);

/* 1 while the handle is live. Thread: any. Since 0.1. */
APUS_API int32_t apus_fetch_is_alive(apus_fetch fetch);

/* The setters below work while the fetch does not run.
 * Errors of each: APUS_E_STATE (it runs). Thread: any. Since 0.1. */

/* Replaces the method, or the URL. Errors: as apus_fetch_make(). Thread: any. Since 0.1. */
APUS_API int32_t apus_fetch_set_method(apus_fetch fetch, const char *method);
APUS_API int32_t apus_fetch_set_url(apus_fetch fetch, const char *url);

/* Adds a field, or sets the only one of its name (NULL: none).
 * Errors: as apus_client_set_header. Thread: any. Since 0.1. */
APUS_API int32_t apus_fetch_add_header(apus_fetch fetch, const char *name, const char *value);
APUS_API int32_t apus_fetch_set_header(apus_fetch fetch, const char *name, const char *value);

/* Adds "name=value" to the URL's query, percent-encoded.
 * Errors: APUS_E_TOO_LARGE (64 KiB together). Thread: any. Since 0.1. */
APUS_API int32_t apus_fetch_add_query(apus_fetch fetch, const char *name, const char *value);

/* Copies out the method; the URL that is asked for first, with what was added to its query
 * and behind the client's base URL (apus_url_part() takes it apart); or the value of the
 * first field of a name, as it was set for this fetch. Each returns the text's length, and
 * needs room for that and a NUL.
 * Errors: APUS_E_ARGUMENT (also: no URL without a base URL), APUS_E_TOO_LARGE (more than
 * there is room for), APUS_E_NOT_FOUND (no such field), APUS_E_UNSUPPORTED, APUS_E_MEMORY.
 * Thread: any. Since 0.1. */
APUS_API int32_t apus_fetch_method(apus_fetch fetch, char *buffer, size_t capacity);
APUS_API int32_t apus_fetch_url(apus_fetch fetch, char *buffer, size_t capacity);
APUS_API int32_t apus_fetch_header(apus_fetch fetch, const char *name, char *buffer,
                                   size_t capacity);

/* The body: a copy of bytes, with its Content-Type (NULL: none is sent). Replaces
 * whatever body there was.
 * Errors: APUS_E_ARGUMENT; APUS_E_MEMORY. Thread: any. Since 0.1. */
APUS_API int32_t apus_fetch_set_body(apus_fetch fetch, const void *data, size_t length,
                                     const char *content_type);

/* The body: a file, read as it is sent. It is opened now.
 * Errors: APUS_E_NOT_FOUND, APUS_E_PERMISSION, APUS_E_IO (not a regular file).
 * Thread: any. Since 0.1. */
APUS_API int32_t apus_fetch_set_body_file(apus_fetch fetch, const char *path,
                                          const char *content_type);

/* Fills buffer with the next bytes of a body: returns how many, 0 at the end, or -1 to
 * give the fetch up. */
typedef int64_t (*apus_fetch_source_fn)(void *context, apus_fetch fetch, void *buffer,
                                        size_t capacity);

/* The body: what fn gives when it is asked, of a length that is known beforehand, or -1
 * (then it goes out chunked). It is called where the other callbacks are. Such a body
 * cannot be sent twice: a redirect that asks for it fails with APUS_E_STATE.
 * Errors: APUS_E_ARGUMENT (fn NULL, length below -1). Thread: any. Since 0.1. */
APUS_API int32_t apus_fetch_set_body_source(apus_fetch fetch, int64_t length,
                                            const char *content_type, apus_fetch_source_fn fn,
                                            void *context, apus_drop_fn drop);

/* The body: a form. A field is a name and a value; a file is read as it is sent, and a
 * part is a copy of bytes, each with a file name (NULL: the last part of the path; no
 * file name) and a Content-Type (NULL: the one that is usual for the file name). The form
 * is urlencoded while there are only fields, and multipart/form-data (RFC 7578) with more.
 * apus_fetch_set_body() and its kin replace it.
 * Errors: APUS_E_ARGUMENT; APUS_E_NOT_FOUND, APUS_E_PERMISSION, APUS_E_IO (the file);
 * APUS_E_MEMORY. Thread: any. Since 0.1. */
APUS_API int32_t apus_fetch_add_field(apus_fetch fetch, const char *name, const char *value);
APUS_API int32_t apus_fetch_add_file(apus_fetch fetch, const char *name, const char *path,
                                     const char *file_name, const char *content_type);
APUS_API int32_t apus_fetch_add_part(apus_fetch fetch, const char *name, const void *data,
                                     size_t length, const char *file_name,
                                     const char *content_type);

/* As those of the client, for this fetch alone. Since 0.1. */
APUS_API int32_t apus_fetch_set_connect_timeout(apus_fetch fetch, int32_t ms);
APUS_API int32_t apus_fetch_set_response_timeout(apus_fetch fetch, int32_t ms);
APUS_API int32_t apus_fetch_set_idle_timeout(apus_fetch fetch, int32_t ms);
APUS_API int32_t apus_fetch_set_total_timeout(apus_fetch fetch, int32_t ms);
APUS_API int32_t apus_fetch_set_redirects(apus_fetch fetch, int32_t most);
APUS_API int32_t apus_fetch_set_max_body(apus_fetch fetch, int64_t bytes);
APUS_API int32_t apus_fetch_set_decoding(apus_fetch fetch, int32_t on);
APUS_API int32_t apus_fetch_set_basic(apus_fetch fetch, const char *user, const char *password);
APUS_API int32_t apus_fetch_set_digest(apus_fetch fetch, const char *user, const char *password);
APUS_API int32_t apus_fetch_set_credentials(apus_fetch fetch, const char *user,
                                            const char *password);
APUS_API int32_t apus_fetch_set_bearer(apus_fetch fetch, const char *token);

/* Whether a body is sent only once the server says so, by 100 (Continue), or says
 * nothing for a second (default 0; RFC 9110 section 10.1.1). Where it answers 417 the
 * request is sent once more without that.
 * Errors: APUS_E_ARGUMENT (not 0 or 1). Thread: any. Since 0.1. */
APUS_API int32_t apus_fetch_set_expect(apus_fetch fetch, int32_t on);

/* How often it is tried again after a connection was not made, by a proxy and by TLS too, or
 * broke before anything of an answer to an idempotent request (default 0), and the
 * milliseconds before each. A name without an address is not, but one that no resolver has
 * answered for.
 * Errors: APUS_E_ARGUMENT (not 0 to 100, a day). Thread: any. Since 0.1. */
APUS_API int32_t apus_fetch_set_retries(apus_fetch fetch, int32_t most, int32_t delay_ms);

/* Whether a redirect may lead from https to http (default 0).
 * Errors: APUS_E_ARGUMENT (not 0 or 1). Thread: any. Since 0.1. */
APUS_API int32_t apus_fetch_allow_downgrade(apus_fetch fetch, int32_t on);

/* Has the body of a successful response (200 to 299) written to a file, which is there
 * once it is complete and not before, in the place of any other; one that never has a body
 * (HEAD, 204) leaves the file as it is. A device, FIFO or socket is not replaced: the fetch
 * ends with APUS_E_ARGUMENT. NULL ends it.
 * Errors: APUS_E_ARGUMENT (empty). Thread: any. Since 0.1. */
APUS_API int32_t apus_fetch_set_output_file(apus_fetch fetch, const char *path);

/* ---- callbacks */

/* The head has come; the response is borrowed until it returns, unless kept. */
typedef void (*apus_fetch_response_fn)(void *context, apus_fetch fetch, apus_response response);
/* A piece of the body, decoded; borrowed until it returns. */
typedef void (*apus_fetch_body_fn)(void *context, apus_fetch fetch, const void *data,
                                   size_t length);
/* It is over: result is 0, or why it failed; response is 0 if none came. */
typedef void (*apus_fetch_complete_fn)(void *context, apus_fetch fetch, apus_response response,
                                       int32_t result);

/* Each replaces the callback that was set before; fn NULL ends it.
 * Errors: APUS_E_STATE (it runs). Thread: any. Since 0.1. */
APUS_API int32_t apus_fetch_on_response(apus_fetch fetch, apus_fetch_response_fn fn, void *context,
                                        apus_drop_fn drop);
APUS_API int32_t apus_fetch_on_body(apus_fetch fetch, apus_fetch_body_fn fn, void *context,
                                    apus_drop_fn drop);
APUS_API int32_t apus_fetch_on_complete(apus_fetch fetch, apus_fetch_complete_fn fn, void *context,
                                        apus_drop_fn drop);
/* 1: apus_client_next(), or apus_server_next(), tells by APUS_EVENT_FETCH that it is done, so
 * that one thread can wait for many; once for each run, unless it runs anew by then. Without
 * effect with worker dispatch. Default 0.
 * Errors: APUS_E_ARGUMENT, APUS_E_STATE (it runs), APUS_E_MEMORY. Thread: any. Since 0.1. */
APUS_API int32_t apus_fetch_set_events(apus_fetch fetch, int32_t on);

/* ---- its run */

/* Begins it; the client starts by itself. It may be started again once it is done.
 * Errors: APUS_E_STATE (it runs; the server does not run); APUS_E_ARGUMENT (the URL and
 * the base URL make none); APUS_E_MEMORY. Thread: any. Since 0.1. */
APUS_API int32_t apus_fetch_start(apus_fetch fetch);

/* Waits until it is done, and its callbacks have returned: 1, or 0 when the time has
 * passed (-1: never). Callbacks may come later than that where they are queued for another
 * thread, which ticks, or for this one, which is in a callback of the client.
 * Errors: APUS_E_STATE (on the thread that does the work; in a callback of a client
 * without threads; in one that is queued, for a fetch with an on_body or a source, whose
 * calls would wait for this thread). Thread: any. Since 0.1. */
APUS_API int32_t apus_fetch_wait(apus_fetch fetch, int32_t timeout_ms);

/* Starts it, waits until it is done, and returns the response, borrowed; or 0 with the
 * reason of the failure. With one worker thread (the default), and while nothing else goes
 * on in the client, the calling thread does the work itself, which saves two switches of
 * threads; with worker dispatch the fetch's callbacks then run on it.
 * APUS_E_NOT_FOUND (the host's name has no address), APUS_E_IO (no connection),
 * APUS_E_TIMEOUT, APUS_E_CLOSED (the server closed or broke the connection; cancelled),
 * APUS_E_PROTOCOL (what came is no response of HTTP), APUS_E_TOO_LARGE,
 * APUS_E_UNSUPPORTED (another scheme), APUS_E_TLS and the codes of certificates
 * (section 19), APUS_E_PERMISSION (a proxy's refusal; a
 * redirect from https to http; the output file), APUS_E_FULL, APUS_E_MEMORY, and those of
 * apus_fetch_start and apus_fetch_wait.
 * Thread: any. Since 0.1. */
APUS_API apus_response apus_fetch_send(apus_fetch fetch);

/* Ends what it is at, at once: it fails with APUS_E_CLOSED, unless it is done.
 * Thread: any. Since 0.1. */
APUS_API int32_t apus_fetch_cancel(apus_fetch fetch);

/* Stops, and goes on, to read from the connection. What is under way to the host may
 * still come.
 * Errors: APUS_E_STATE (it does not run). Thread: any. Since 0.1. */
APUS_API int32_t apus_fetch_pause(apus_fetch fetch);
APUS_API int32_t apus_fetch_resume(apus_fetch fetch);

/* APUS_FETCH_*. Thread: any. Since 0.1. */
APUS_API int32_t apus_fetch_state(apus_fetch fetch);

/* The result of the latest run: 0, or the code of its failure, whose sentence is in
 * apus_last_error_message() then.
 * Errors: APUS_E_STATE (it runs, or has not). Thread: any. Since 0.1. */
APUS_API int32_t apus_fetch_result(apus_fetch fetch);

/* The response of the latest run, as far as it came, borrowed; or 0.
 * Errors: APUS_E_NOT_FOUND (none has come). Thread: any. Since 0.1. */
APUS_API apus_response apus_fetch_response(apus_fetch fetch);

/* ---- the response */

/* Makes a response the caller's, beyond its fetch, until apus_response_destroy.
 * Thread: any. Since 0.1. */
APUS_API int32_t apus_response_keep(apus_response response);

/* Ends a response. Returns 1, or 0 if it had ended. Thread: any. Since 0.1. */
APUS_API int32_t apus_response_destroy(apus_response response);

/* 1 while the handle is live. Thread: any. Since 0.1. */
APUS_API int32_t apus_response_is_alive(apus_response response);

/* 10 for HTTP/1.0, 11 for HTTP/1.1. Thread: any. Since 0.1. */
APUS_API int32_t apus_response_version(apus_response response);

/* 100 to 999; over 599 it is to be taken as 500 (RFC 9110 section 15).
 * Thread: any. Since 0.1. */
APUS_API int32_t apus_response_status(apus_response response);

/* The reason phrase, which may be empty; borrowed. Thread: any. Since 0.1. */
APUS_API const char *apus_response_reason(apus_response response);

/* The value of the first field of a name, without regard to case; borrowed; or NULL.
 * Errors: APUS_E_NOT_FOUND. Thread: any. Since 0.1. */
APUS_API const char *apus_response_header(apus_response response, const char *name, size_t *length);

/* The fields in their order. Errors: APUS_E_NOT_FOUND (no such index).
 * Thread: any. Since 0.1. */
APUS_API int32_t apus_response_header_count(apus_response response);
APUS_API int32_t apus_response_header_at(apus_response response, int32_t index, const char **name,
                                         const char **value, size_t *length);

/* The same of the trailer section, once the response is complete.
 * Errors: APUS_E_NOT_FOUND; APUS_E_STATE (not complete). Thread: any. Since 0.1. */
APUS_API const char *apus_response_trailer(apus_response response, const char *name,
                                           size_t *length);
APUS_API int32_t apus_response_trailer_count(apus_response response);
APUS_API int32_t apus_response_trailer_at(apus_response response, int32_t index, const char **name,
                                          const char **value, size_t *length);

/* The body that was collected, decoded; borrowed. What went to on_body or to a file is
 * not in it.
 * Errors: APUS_E_STATE (not complete). Thread: any. Since 0.1. */
APUS_API const char *apus_response_body(apus_response response, size_t *length);

/* The Content-Length that the server sent, or APUS_E_NOT_FOUND.
 * Thread: any. Since 0.1. */
APUS_API int64_t apus_response_content_length(apus_response response);

/* How many bytes of body came, after decoding, wherever they went.
 * Errors: APUS_E_STATE (not complete). Thread: any. Since 0.1. */
APUS_API int64_t apus_response_body_bytes(apus_response response);

/* The URL that this is the response of, after redirects, without its fragment; borrowed.
 * Thread: any. Since 0.1. */
APUS_API const char *apus_response_url(apus_response response);

/* How many redirects led here. Thread: any. Since 0.1. */
APUS_API int32_t apus_response_redirects(apus_response response);

/* Copies the server's address in text into a buffer of at least 48 bytes; returns its
 * port, 0 for a Unix socket.
 * Errors: APUS_E_ARGUMENT (buffer NULL or too small). Thread: any. Since 0.1. */
APUS_API int32_t apus_response_address(apus_response response, char *buffer, size_t capacity);

/* When what had happened, in microseconds since the fetch began. Since 0.1. */
enum {
  APUS_TIME_TOTAL = 0,
  APUS_TIME_RESOLVED = 1,  /* the host's name had its addresses */
  APUS_TIME_CONNECTED = 2, /* the connection stood */
  APUS_TIME_SECURED = 3,   /* TLS stood */
  APUS_TIME_FIRST_BYTE = 4 /* the response began */
};

/* One of these times.
 * Errors: APUS_E_STATE (not complete); APUS_E_NOT_FOUND (it did not happen, as on a
 * connection that stood already); APUS_E_ARGUMENT. Thread: any. Since 0.1. */
APUS_API int64_t apus_response_time_us(apus_response response, int32_t which);

/* ---- in one line */

/* Each sends one request over a connection of its own and returns the response, which is
 * the caller's to destroy; or 0, as apus_fetch_send. headers is NULL or lines of
 * "Name: value", with "\n" between.
 * Thread: any. Since 0.1. */
APUS_API apus_response apus_get(const char *url, const char *headers);
APUS_API apus_response apus_head(const char *url, const char *headers);
APUS_API apus_response apus_delete(const char *url, const char *headers);
APUS_API apus_response apus_post(const char *url, const char *headers, const void *data,
                                 size_t length);
APUS_API apus_response apus_put(const char *url, const char *headers, const void *data,
                                size_t length);
APUS_API apus_response apus_patch(const char *url, const char *headers, const void *data,
                                  size_t length);
/* Posts a form: fields are pairs of name and value, files of name and path, each with a NULL
 * behind the last pair; or NULL. It is urlencoded, or with files multipart/form-data.
 * Errors: as apus_post(), apus_fetch_add_field() and apus_fetch_add_file().
 * Thread: any. Since 0.1. */
APUS_API apus_response apus_post_form(const char *url, const char *headers,
                                      const char *const *fields, const char *const *files);
APUS_API apus_response apus_http(const char *method, const char *url, const char *headers,
                                 const void *data, size_t length);

/* ============================================================================
 * 15  FILES
 *
 * A folder is served by the threads that do the I/O, whatever the dispatch: the host
 * hears of its requests by listeners alone (section 5), which run first. Nothing outside
 * the folder is ever opened: a symbolic link counts where it leads to something beneath
 * (without openat2(), of Linux 5.6, no link does). Only regular files and folders are
 * served. A name that starts with a dot is not there, save ".well-known".
 *
 * GET and HEAD are answered, OPTIONS with Allow, other methods with 405. ETag,
 * Last-Modified and the conditional fields (RFC 9110 section 13) and ranges (section 14;
 * up to 16 of them, and none that overlap, else all is sent) need nothing to be done. A
 * folder without a slash behind it is redirected to with 301; one without an index page
 * or a listing, like all that is not there, gets 404; what the system forbids, 403.
 *
 * Each thread keeps what it has served lately, up to 256 files: small ones in memory,
 * the others open. Whether a file has changed is looked up once a second. A file that
 * becomes shorter while it is sent closes the connection.
 * ========================================================================== */

/* Serves a folder under a prefix of the path, such as "/static", or "/" for a document
 * root. It is a route like others: literal patterns come before it. The folder is opened
 * now; what it holds is looked up as it is asked for.
 * Returns the number of the route, for the options below.
 * Errors: APUS_E_ARGUMENT (no "/" in front, or parameters), APUS_E_STATE (started, or
 * the prefix is taken), APUS_E_NOT_FOUND (no such folder), APUS_E_PERMISSION,
 * APUS_E_DESCRIPTORS, APUS_E_IO, APUS_E_MEMORY. Thread: any. Since 0.1. */
APUS_API int32_t apus_server_serve_folder(apus_server server, const char *prefix,
                                          const char *folder);

/* ---- options of a folder, by the number that apus_server_serve_folder() gave. Each gives
 * ---- APUS_E_ARGUMENT (no such number, or out of range), APUS_E_STATE (started) or
 * ---- APUS_E_MEMORY. Thread: any. Since 0.1. */

/* The names of index pages, up to eight with commas between, by turns; NULL or "" for
 * none. Default "index.html". */
APUS_API int32_t apus_server_set_folder_index(apus_server server, int32_t folder,
                                              const char *names);
/* 1: a folder without an index page is shown as a page of what it holds, of which there
 * are at most 10,000. Default 0. */
APUS_API int32_t apus_server_set_folder_listing(apus_server server, int32_t folder, int32_t on);
/* The value of Cache-Control, at most 256 bytes; NULL or "" for none. Default none. */
APUS_API int32_t apus_server_set_folder_cache_control(apus_server server, int32_t folder,
                                                      const char *value);
/* 1: for a client that takes it, NAME.br or NAME.gz is sent in place of NAME, where it
 * lies beside that. Default 0. */
APUS_API int32_t apus_server_set_folder_precompressed(apus_server server, int32_t folder,
                                                      int32_t on);
/* 1: text and other types that gain are sent in gzip to a client that takes it, files of
 * 1 KiB to 1 MiB; the result is kept for the next one. Default 0. */
APUS_API int32_t apus_server_set_folder_compression(apus_server server, int32_t folder, int32_t on);
/* 1: names that start with a dot are served, and listed, too. Default 0. */
APUS_API int32_t apus_server_set_folder_hidden(apus_server server, int32_t folder, int32_t on);

/* Sends a page in place of the short text that goes with a status of 400 to 599, be it the
 * library's reply or apus_reply_status(). The file, of at most 1 MiB, is read now; its
 * name tells the type. NULL takes the page away.
 * Errors: APUS_E_ARGUMENT, APUS_E_STATE (started), APUS_E_NOT_FOUND, APUS_E_TOO_LARGE,
 * APUS_E_PERMISSION, APUS_E_DESCRIPTORS, APUS_E_IO, APUS_E_MEMORY.
 * Thread: any. Since 0.1. */
APUS_API int32_t apus_server_set_error_page(apus_server server, int32_t status, const char *path);

/* ============================================================================
 * 16  SERVER-SENT EVENTS
 *
 * A stream of events (WHATWG HTML section 9.2, "text/event-stream") is a reply that does
 * not end: on the server's side a writer that knows how events are written, for
 * browsers' EventSource and apus_source on the other side.
 *
 *   static void feed(void *context, apus_writer writer, apus_request request) {
 *     apus_writer_subscribe(writer, "news");
 *     apus_writer_detach(writer);
 *   }
 *   apus_server_events(server, "/feed", feed, NULL, NULL);
 *   ...
 *   apus_server_publish_event(server, "news", NULL, "17", "Hello", APUS_STRLEN);
 *
 * A topic has channels and writers: what is published as text reaches both. It is
 * formatted and framed once, and where a client does not read, what waits for it are
 * references to the same bytes.
 * ========================================================================== */

/* ---- the server's side */

/* Takes the writer of a new stream, which is the caller's to destroy, and the request,
 * which ends when it returns. */
typedef void (*apus_events_fn)(void *context, apus_writer writer, apus_request request);

/* Routes GET to a stream of events: fn gets a writer whose head is on its way (200,
 * Content-Type: text/event-stream, Cache-Control: no-store, X-Accel-Buffering: no, and
 * what on_receive listeners have set). HEAD is answered without it. Returns the route's
 * number. With fn NULL the request is one to be pulled (section 4), for
 * apus_writer_make_events(). A stop of the server ends such replies.
 * Errors: as apus_server_route(). Thread: any. Since 0.1. */
APUS_API int32_t apus_server_events(apus_server server, const char *pattern, apus_events_fn fn,
                                    void *context, apus_drop_fn drop);
/* Makes the writer of a request one of events, with that head and the fields set so far,
 * in the place of apus_writer_make(): for handlers that first decide, and for requests
 * that are deferred or pulled. The caller owns it. A HEAD gets that head, and its writer
 * is one of a client that has gone. Returns 0 on failure.
 * Errors: APUS_E_STATE (replied, or it has a writer or a ticket), APUS_E_CLOSED, APUS_E_TOO_LARGE
 * (the fields), APUS_E_MEMORY. Thread: the request's. Since 0.1. */
APUS_API apus_writer apus_writer_make_events(apus_request request);
/* The id of the last event that a client has had which connects anew, as it says.
 * Errors: APUS_E_NOT_FOUND. Thread: the request's. Since 0.1. */
APUS_API const char *apus_request_last_event_id(apus_request request);

/* Writes an event, whole or not at all. Its data may have several lines, with CR, LF or
 * both between them. event is its type (NULL or "": "message"), and id what the client
 * says when it connects anew (NULL: as before; "": none).
 * Errors: APUS_E_STATE (not made for events, or ended), APUS_E_ARGUMENT (CR or LF in
 * event or id; not UTF-8), APUS_E_FULL, APUS_E_CLOSED, APUS_E_MEMORY: as
 * apus_writer_write(). Thread: any. Since 0.1. */
APUS_API int32_t apus_writer_event(apus_writer writer, const char *event, const char *id,
                                   const void *data, size_t length);
/* Writes how long the client is to wait before it connects anew, 0 to 86,400,000.
 * Errors: as apus_writer_event(). Thread: any. Since 0.1. */
APUS_API int32_t apus_writer_retry(apus_writer writer, int32_t ms);
/* Writes a comment, which clients pass over: a line each for its lines.
 * Errors: as apus_writer_event(). Thread: any. Since 0.1. */
APUS_API int32_t apus_writer_comment(apus_writer writer, const char *comment);

/* After how many milliseconds without anything sent an empty comment is, so that proxies
 * leave the connection and a client that has gone is noticed: 0 to 86,400,000 (default
 * 15,000; 0: never). The server's holds for writers made from then on. Kept to 0.2 s.
 * Errors: APUS_E_ARGUMENT, APUS_E_STATE (started; no writer of events), APUS_E_CLOSED.
 * Thread: any. Since 0.1. */
APUS_API int32_t apus_server_set_heartbeat(apus_server server, int32_t ms);
APUS_API int32_t apus_writer_set_heartbeat(apus_writer writer, int32_t ms);

/* Joins or leaves a topic of the server: 1 to 255 bytes. Text that this thread publishes
 * afterwards is, or is not, for the writer, as an event with that data. Where the client
 * has sent a Last-Event-ID and the topic has a history, what came behind the event of
 * that id is sent first, or all that is kept if there is none of that id, or it has over
 * 4096 bytes; no event is lost or doubled between that and what is published meanwhile. A topic
 * that it has left and joins again brings only what is published afterwards. Of a request that
 * waits for the reply to another one, a subscription begins with its own. A writer that has ended
 * has left all topics, and does not get what was published just before and had not reached it.
 * While a client does not read, what is published waits behind what the host writes itself. Errors:
 * APUS_E_ARGUMENT, APUS_E_STATE (not made for events, or ended), APUS_E_CLOSED, APUS_E_MEMORY.
 * Thread: any. Since 0.1. */
APUS_API int32_t apus_writer_subscribe(apus_writer writer, const char *topic);
APUS_API int32_t apus_writer_unsubscribe(apus_writer writer, const char *topic);
/* Sends an event to all writers of a topic, and its data as a text message to all
 * channels. event and id are as in apus_writer_event(); ids should tell apart all events
 * that a client may get on one stream.
 * Errors: APUS_E_ARGUMENT (CR or LF in event or id; not UTF-8; the topic), APUS_E_FULL
 * (as apus_server_publish()), APUS_E_MEMORY. Thread: any. Since 0.1. */
APUS_API int32_t apus_server_publish_event(apus_server server, const char *topic, const char *event,
                                           const char *id, const void *data, size_t length);
/* Has a topic keep its latest events for clients that connect anew: at most so many (0 to
 * 1,000,000; 0, the default: none) and so many bytes (0 to 2^40), with 192 more for
 * each. What is published while the server does not run is not kept.
 * Errors: APUS_E_ARGUMENT, APUS_E_MEMORY. Thread: any. Since 0.1. */
APUS_API int32_t apus_server_set_topic_history(apus_server server, const char *topic,
                                               int32_t events, int64_t bytes);

/* What becomes of a published event for which a writer is above its high-water mark. 0
 * (default): the oldest events that wait for it are left out, which counts
 * (apus_writer_missed(), APUS_COUNT_UNHEARD) and is told to on_missed. 1: it is closed,
 * and its client connects anew and catches up. The server's holds for writers made from
 * then on.
 * Errors: APUS_E_ARGUMENT, APUS_E_STATE (started; no writer of events), APUS_E_CLOSED.
 * Thread: any. Since 0.1. */
APUS_API int32_t apus_server_set_close_when_slow(apus_server server, int32_t on);
APUS_API int32_t apus_writer_set_close_when_slow(apus_writer writer, int32_t on);
/* How many published events were left out for the writer, or a negative code.
 * Errors: APUS_E_STATE (not made for events). Thread: any. Since 0.1. */
APUS_API int64_t apus_writer_missed(apus_writer writer);
/* fn is called, by the server's dispatch, when events were left out; for several at once
 * where they come fast. NULL ends it.
 * Errors: APUS_E_STATE (not made for events), APUS_E_CLOSED. Thread: any. Since 0.1. */
APUS_API int32_t apus_writer_on_missed(apus_writer writer, apus_writer_fn fn, void *context,
                                       apus_drop_fn drop);

/* ---- the client's side: sources
 *
 * A source is what EventSource is in browsers: it keeps itself connected to a stream of
 * events. It takes an apus_client, or an apus_server that runs, and has the defaults of
 * that for fetches (section 14). Its events come to on_event, or, without that, wait for
 * apus_source_next(). Reading stops while 256 KiB and more wait.
 *
 *   apus_source source = apus_source_make(client, "http://127.0.0.1:8080/feed");
 *   apus_source_open(source);
 *   const char *data;
 *   while (apus_source_next(source, -1, NULL, NULL, &data, NULL) == 1) puts(data);
 *
 * When a stream ends, or a connection is not made, it waits and connects anew, with the
 * Last-Event-ID that it has. Redirections are followed. It closes for good when the
 * answer is 204 or another status than 200, or no text/event-stream, when an event is
 * over its limit, when the server cannot be trusted (TLS) or a proxy forbids it, when there
 * are too many redirections, and when it has failed as often as it may. Bytes that are not
 * UTF-8 come as U+FFFD. An id of more than 4096 bytes is ignored. Fields and credentials are
 * its client's as they were when it was made, also when it connects anew. */

/* Makes a source, closed, for a URL. The caller owns it. Returns it, or 0.
 * Errors: APUS_E_ARGUMENT (malformed), APUS_E_UNSUPPORTED (a scheme other than http and
 * https), APUS_E_MEMORY. Thread: any. Since 0.1. */
APUS_API apus_source apus_source_make(apus_client client, const char *url);
/* Ends a source. A callback that runs on another thread may return after this has; none
 * starts any more. Returns 1 if the handle was live, 0 if not. Thread: any. Since 0.1. */
APUS_API int32_t apus_source_destroy(apus_source source);
/* 1 while the handle is live. Thread: any. Since 0.1. */
APUS_API int32_t apus_source_is_alive(apus_source source);

/* The setters below work while the source is closed.
 * Errors of each: APUS_E_STATE (it is open, or its close is under way). Since 0.1. */

/* Sets the only field of a name (NULL: none) of its requests.
 * Errors: as apus_fetch_set_header(). Thread: any. Since 0.1. */
APUS_API int32_t apus_source_set_header(apus_source source, const char *name, const char *value);
/* The id that it is to go on behind ("": none), as one noted down earlier.
 * Errors: APUS_E_ARGUMENT (control characters, over 4096 bytes). Thread: any. Since 0.1. */
APUS_API int32_t apus_source_set_last_event_id(apus_source source, const char *id);
/* How long it waits before it connects anew, until the stream itself says so (retry; 0 to
 * most_ms, default 3,000); the most that it waits (1 to 86,400,000, default 60,000): each
 * failure in a row doubles the wait, and chance adds up to a half; and how often in a row
 * it may fail (-1, the default: for ever). A stream that ends within a second, without an
 * event, is a failure.
 * Errors: APUS_E_ARGUMENT. Thread: any. Since 0.1. */
APUS_API int32_t apus_source_set_retry(apus_source source, int32_t ms, int32_t most_ms,
                                       int32_t attempts);
/* After how long without a byte it connects anew (default: the client's, 300,000); 0:
 * never. Errors: APUS_E_ARGUMENT (not 0 to 86,400,000). Thread: any. Since 0.1. */
APUS_API int32_t apus_source_set_idle_timeout(apus_source source, int32_t ms);
/* The most bytes of a line of the stream, and of an event's data (1 to 2^40, default
 * 1 MiB): past that it closes with APUS_E_TOO_LARGE.
 * Errors: APUS_E_ARGUMENT. Thread: any. Since 0.1. */
APUS_API int32_t apus_source_set_max_event(apus_source source, int64_t bytes);
/* 1: apus_client_next(), or apus_server_next(), tells of what apus_source_next() has to give:
 * APUS_EVENT_SOURCE comes when an event comes, or the source closes by itself, and when a take
 * leaves something behind, and one at a time: a host that takes once for each misses nothing.
 * Events with a callback make none. Without effect with worker dispatch. Default 0.
 * Errors: APUS_E_ARGUMENT, APUS_E_MEMORY. Thread: any. Since 0.1. */
APUS_API int32_t apus_source_set_events(apus_source source, int32_t on);

/* It is connected, and what comes are events. */
typedef void (*apus_source_fn)(void *context, apus_source source);
/* An event: its type, the id that holds ("": none), its data with a NUL behind it; all are
 * borrowed until it returns. */
typedef void (*apus_source_event_fn)(void *context, apus_source source, const char *type,
                                     const char *id, const char *data, size_t length);
/* A stream has ended, or an attempt failed: why, the status of an answer (0: none came),
 * and in how many milliseconds it connects anew; -1: it is closed for good. Inside it
 * apus_last_error_message() has the sentence that goes with the code. */
typedef void (*apus_source_error_fn)(void *context, apus_source source, int32_t code,
                                     int32_t status, int32_t again_ms);

/* Each replaces the callback that was set before; fn NULL ends it. They are called where
 * the client's dispatch says (section 12), and set before the first opening.
 * Errors: APUS_E_STATE (it was opened). Thread: any. Since 0.1. */
APUS_API int32_t apus_source_on_open(apus_source source, apus_source_fn fn, void *context,
                                     apus_drop_fn drop);
APUS_API int32_t apus_source_on_event(apus_source source, apus_source_event_fn fn, void *context,
                                      apus_drop_fn drop);
APUS_API int32_t apus_source_on_error(apus_source source, apus_source_error_fn fn, void *context,
                                      apus_drop_fn drop);

/* Connects it; a client starts by itself. It may be opened again once it has closed, and
 * goes on behind the last id then; events that nobody has taken are gone.
 * Errors: APUS_E_STATE (it is open, or its close is under way; the server does not run),
 * APUS_E_MEMORY. Thread: any. Since 0.1. */
APUS_API int32_t apus_source_open(apus_source source);
/* Closes it, at once and without on_error: whoever waits for an event gets APUS_E_CLOSED.
 * Thread: any. Since 0.1. */
APUS_API int32_t apus_source_close(apus_source source);
/* APUS_STATE_CONNECTING (also while it waits to connect anew), _OPEN or _CLOSED.
 * Thread: any. Since 0.1. */
APUS_API int32_t apus_source_state(apus_source source);
/* Copies out the id that the next request says: that of the last event when its stream
 * ended, or what was set. It is cut to capacity, with a NUL; the result is its length.
 * Errors: APUS_E_ARGUMENT. Thread: any. Since 0.1. */
APUS_API int32_t apus_source_last_event_id(apus_source source, char *buffer, size_t capacity);

/* Waits for the next event, where there is no on_event: 1, with its parts borrowed until
 * the next call or the source's end; 0 when the time has passed (-1: never) or
 * apus_source_cancel() was called. Without threads it does the I/O.
 * Errors: APUS_E_CLOSED (by apus_source_close(), or not opened); once it has closed for
 * good and its events were taken, the code of that, as APUS_E_PROTOCOL (status, type),
 * APUS_E_TOO_LARGE, APUS_E_IO, APUS_E_TIMEOUT, APUS_E_NOT_FOUND (the host's name);
 * APUS_E_STATE (it has on_event; on the thread that does the work), APUS_E_THREAD
 * (another thread waits), APUS_E_ARGUMENT (timeout below -1).
 * Thread: any, one at a time. Since 0.1. */
APUS_API int32_t apus_source_next(apus_source source, int32_t timeout_ms, const char **type,
                                  const char **id, const char **data, size_t *length);
/* Ends a wait in apus_source_next(), or else the next one. Thread: any. Since 0.1. */
APUS_API int32_t apus_source_cancel(apus_source source);

/* ============================================================================
 * 17  FORMS AND COOKIES
 *
 * A form is a body of multipart/form-data (RFC 7578) or of
 * application/x-www-form-urlencoded. Of an ordinary route it is read from the body
 * in memory when it is first asked for. A route of apus_server_route_form() has it
 * parsed as it arrives: what has no room in memory waits in a file without a name,
 * which is gone with the request.
 *
 * Fields and files are its parts, in the order of the body, by index from 0. Every
 * function that asks for one may give: APUS_E_NOT_FOUND (the body is no form, or has
 * no such part), APUS_E_PROTOCOL (the form is malformed), APUS_E_TOO_LARGE (too many
 * parts, the head of one is over 16 KiB, or those of all over 1 KiB for each part that
 * there may be; a name is over 1 KiB), APUS_E_STATE (a
 * streamed route's body, which is not kept), APUS_E_MEMORY. What is handed out is
 * borrowed until the request ends. Names and contents are bytes as they came, and no
 * checked UTF-8.
 * ========================================================================== */

/* Adds a route whose handler gets forms whole, parsed as they arrive. A body that is
 * too large gets 413, one that is no form 415, a malformed one 400, and where the disk
 * is full 507; each closes the connection, and the handler is not called. A request
 * without a body is handled as any other. fn may be NULL, as for apus_server_route().
 * Returns and errors: as apus_server_route(). Thread: any. Since 0.1. */
APUS_API int32_t apus_server_route_form(apus_server server, int32_t method, const char *pattern,
                                        apus_handler_fn fn, void *context, apus_drop_fn drop);

/* ---- limits of such routes; each gives APUS_E_STATE once the server has started,
 * ---- APUS_E_ARGUMENT out of range. Thread: any. Since 0.1. */

/* Bytes of a whole body: 0 to 2^53, or -1: no limit. Default 64 MiB. */
APUS_API int32_t apus_server_set_max_form(apus_server server, int64_t bytes);
/* Bytes of one part: 0 to 2^53, or -1: no limit of its own. Default -1. */
APUS_API int32_t apus_server_set_max_part(apus_server server, int64_t bytes);
/* Parts or fields of a form, also of ordinary routes: 1 to 100,000. Default 1000. */
APUS_API int32_t apus_server_set_max_parts(apus_server server, int32_t count);
/* Bytes of a form's contents that are in memory, and of an urlencoded form: 0 to 2^40.
 * Default 1 MiB. */
APUS_API int32_t apus_server_set_form_memory(apus_server server, int64_t bytes);
/* The folder for what is not in memory, looked up at each upload; NULL stands for the
 * default, "/tmp". Errors: APUS_E_ARGUMENT (4096 bytes or more), APUS_E_STATE (started),
 * APUS_E_MEMORY. Thread: any. Since 0.1. */
APUS_API int32_t apus_server_set_upload_folder(apus_server server, const char *path);

/* ---- reading */

/* How many parts the form has. Thread: the request's. Since 0.1. */
APUS_API int32_t apus_request_form_count(apus_request request);
/* The index of the first part of a name behind another index; -1: of all.
 * Errors: also APUS_E_ARGUMENT (name NULL). Thread: the request's. Since 0.1. */
APUS_API int32_t apus_request_form_find(apus_request request, const char *name, int32_t after);
/* The content of the first part of a name.
 * Errors: also APUS_E_ARGUMENT (name NULL), and as apus_request_part_data().
 * Thread: the request's. Since 0.1. */
APUS_API const char *apus_request_form_field(apus_request request, const char *name,
                                             size_t *length);
/* A part's name. Thread: the request's. Since 0.1. */
APUS_API const char *apus_request_part_name(apus_request request, int32_t index, size_t *length);
/* The name of a part's file as the client has it, which may have folders in it and may be
 * empty; APUS_E_NOT_FOUND also where the part is no file.
 * Thread: the request's. Since 0.1. */
APUS_API const char *apus_request_part_file_name(apus_request request, int32_t index,
                                                 size_t *length);
/* A part's Content-Type; "text/plain" where it has none.
 * Thread: the request's. Since 0.1. */
APUS_API const char *apus_request_part_type(apus_request request, int32_t index, size_t *length);
/* The first field of a name in a part's head, in any case; APUS_E_NOT_FOUND also where
 * there is none. Errors: also APUS_E_ARGUMENT (name NULL).
 * Thread: the request's. Since 0.1. */
APUS_API const char *apus_request_part_header(apus_request request, int32_t index, const char *name,
                                              size_t *length);
/* How many bytes a part has. Thread: the request's. Since 0.1. */
APUS_API int64_t apus_request_part_length(apus_request request, int32_t index);
/* A part's content, which is in memory. One that waits on the disk gives
 * APUS_E_TOO_LARGE: read it by apus_request_part_read(), or save it.
 * Thread: the request's. Since 0.1. */
APUS_API const void *apus_request_part_data(apus_request request, int32_t index, size_t *length);
/* Copies content of a part from an offset on, wherever it is; returns how many bytes,
 * 0 at its end. It may wait for the disk.
 * Errors: also APUS_E_ARGUMENT (buffer NULL, a negative offset, an impossible capacity),
 * APUS_E_IO. Thread: the request's. Since 0.1. */
APUS_API int64_t apus_request_part_read(apus_request request, int32_t index, int64_t offset,
                                        void *buffer, size_t capacity);
/* Saves a part as a file of a folder, and returns the file's name. name is one component,
 * or NULL: the last component of the client's own. Nothing outside of the folder is
 * touched, no symbolic link of that name is followed, and the file is there when it is
 * whole, or not at all. replace is 1 where it may take the place of another. It waits for
 * the disk.
 * Errors: also APUS_E_ARGUMENT (folder NULL; no name of a file: empty, "." or "..", over
 * 255 bytes, with a control character, or, where name is given, with a slash of either
 * kind), APUS_E_NOT_FOUND (no such folder), APUS_E_STATE (there is such a file),
 * APUS_E_FULL (the disk is full), APUS_E_PERMISSION, APUS_E_DESCRIPTORS, APUS_E_IO.
 * Thread: the request's. Since 0.1. */
APUS_API const char *apus_request_part_save(apus_request request, int32_t index, const char *folder,
                                            const char *name, int32_t replace);

/* ---- cookies of a request (RFC 6265bis) */

/* The value of the first cookie of a name, borrowed until the request ends. At most 180
 * cookies are kept.
 * Errors: APUS_E_NOT_FOUND, APUS_E_ARGUMENT (name NULL), APUS_E_MEMORY.
 * Thread: the request's. Since 0.1. */
APUS_API const char *apus_request_cookie(apus_request request, const char *name, size_t *length);
/* How many cookies there are. Errors: APUS_E_MEMORY.
 * Thread: the request's. Since 0.1. */
APUS_API int32_t apus_request_cookie_count(apus_request request);
/* One by index, in the order of the field; "" is the name of a value without "=".
 * Errors: APUS_E_NOT_FOUND, APUS_E_MEMORY. Thread: the request's. Since 0.1. */
APUS_API int32_t apus_request_cookie_at(apus_request request, int32_t index, const char **name,
                                        const char **value, size_t *length);

/* ---- cookies of a reply */

/* What a cookie is set with, added up. Since 0.1. */
enum {
  APUS_COOKIE_SECURE = 1,
  APUS_COOKIE_HTTP_ONLY = 2,
  APUS_COOKIE_PARTITIONED = 4,     /* needs SECURE */
  APUS_COOKIE_SIGNED = 8,          /* for apus_request_signed_cookie() */
  APUS_COOKIE_SAME_SITE_NONE = 16, /* needs SECURE; at most one of these three */
  APUS_COOKIE_SAME_SITE_LAX = 32,
  APUS_COOKIE_SAME_SITE_STRICT = 64
};

/* Adds a Set-Cookie to the reply to come. domain and path are NULL or "" for none;
 * max_age is in seconds, expires in seconds since 1970, each -1 for none. The name is a
 * token; the value has no space, control character, comma, semicolon, backslash or byte
 * beyond ASCII, and quotes around it at most (signed: none); the domain is a host without
 * a dot in front; the path begins with a slash. "__Secure-" in front of the name needs
 * SECURE, "__Host-" also the path "/" and no domain.
 * Errors: APUS_E_ARGUMENT (any of these), APUS_E_TOO_LARGE (name and value over 4096
 * bytes, an attribute over 1024, fields over 64 KiB), APUS_E_STATE (replied, or no key to
 * sign with), APUS_E_CLOSED, APUS_E_MEMORY. Thread: the request's. Since 0.1. */
APUS_API int32_t apus_reply_set_cookie(apus_request request, const char *name, const char *value,
                                       const char *domain, const char *path, int64_t max_age,
                                       int64_t expires, int32_t flags);
/* Has the client forget a cookie. Domain, path and flags are those that it was set with.
 * Errors: as apus_reply_set_cookie(). Thread: the request's. Since 0.1. */
APUS_API int32_t apus_reply_delete_cookie(apus_request request, const char *name,
                                          const char *domain, const char *path, int32_t flags);
/* The same for a writer, before its head has gone (then APUS_E_STATE).
 * Thread: any. Since 0.1. */
APUS_API int32_t apus_writer_set_cookie(apus_writer writer, const char *name, const char *value,
                                        const char *domain, const char *path, int64_t max_age,
                                        int64_t expires, int32_t flags);
APUS_API int32_t apus_writer_delete_cookie(apus_writer writer, const char *name, const char *domain,
                                           const char *path, int32_t flags);

/* ---- signed cookies: readable by the client, and written by the server alone */

/* Adds a key of 16 to 1024 bytes. The first one signs; cookies of all of them are taken,
 * so that a new key may be put in front of an old one. The signature is an HMAC-SHA-256 of
 * the cookie's name, its value and the time.
 * Errors: APUS_E_ARGUMENT, APUS_E_STATE (started), APUS_E_FULL (16 keys), APUS_E_MEMORY.
 * Thread: any. Since 0.1. */
APUS_API int32_t apus_server_add_cookie_key(apus_server server, const void *key, size_t length);
/* The value of a cookie that this server has signed, at most max_age seconds ago (-1: at
 * any time). Where there are several of the name, the first that is right.
 * Errors: APUS_E_NOT_FOUND (none of the name), APUS_E_PROTOCOL (its signature is wrong),
 * APUS_E_TIMEOUT (too old), APUS_E_STATE (the server has no key), APUS_E_ARGUMENT,
 * APUS_E_MEMORY. Thread: the request's. Since 0.1. */
APUS_API const char *apus_request_signed_cookie(apus_request request, const char *name,
                                                int64_t max_age, size_t *length);

/* ============================================================================
 * 18  ACCESS
 *
 * Whom a server lets see what it says, whom it takes a request to be from, and whose
 * word it takes for that.
 * ========================================================================== */

/* ---- pages of other origins (the CORS protocol of the Fetch standard). Off until
 * ---- origins are named, and then for the whole server: replies of handlers and of
 * ---- the library, refusals too, tell browsers which pages may read them; "Vary:
 * ---- Origin" comes with each where that differs by page. The question that a browser
 * ---- puts before a request (OPTIONS with Origin and Access-Control-Request-Method) is
 * ---- answered before routes and listeners, on the I/O thread in every dispatch: 204,
 * ---- or 403 to a page that may not. A handler's own Access-Control-Allow-Origin is
 * ---- left as it is. WebSockets have a policy of their own (section 10). Each gives
 * ---- APUS_E_STATE once the server has started. Thread: any. Since 0.1. */

/* The origins whose pages may: a list with commas, such as "https://a.example,
 * http://localhost:3000"; "*" for all; NULL or "" (the default) turns it off.
 * Errors: APUS_E_ARGUMENT (not an origin; "*" with credentials), APUS_E_MEMORY. */
APUS_API int32_t apus_server_set_cors_origins(apus_server server, const char *origins);
/* Says 1 where the pages of an origin may, else 0. */
typedef int32_t (*apus_origin_fn)(void *context, apus_server server, const char *origin);
/* The same by a function, which is called for each request with an Origin, on I/O
 * threads in every dispatch, several at a time: it must not block. NULL turns it off.
 * Errors: none of its own. */
APUS_API int32_t apus_server_set_cors_check(apus_server server, apus_origin_fn fn, void *context,
                                            apus_drop_fn drop);
/* What pages may ask for beyond what any page may: methods, and fields of requests; and
 * what fields of replies they may read. Lists of tokens with commas, of at most 512
 * bytes; "*" for any. Default: "GET, HEAD, POST", and no fields.
 * Errors: APUS_E_ARGUMENT (NULL, not tokens, fields of replies "*" with credentials),
 * APUS_E_TOO_LARGE, APUS_E_MEMORY. */
APUS_API int32_t apus_server_set_cors_methods(apus_server server, const char *methods);
APUS_API int32_t apus_server_set_cors_headers(apus_server server, const char *headers);
APUS_API int32_t apus_server_set_cors_exposed(apus_server server, const char *headers);
/* Whether requests may come with cookies and other credentials: 0 or 1. Default 0.
 * Errors: APUS_E_ARGUMENT (another number; origins or fields of replies are "*"). */
APUS_API int32_t apus_server_set_cors_credentials(apus_server server, int32_t on);
/* How long browsers may keep the answer to their question: 0 to 86,400 seconds, or -1
 * to leave it to them. Default 600. Errors: APUS_E_ARGUMENT. */
APUS_API int32_t apus_server_set_cors_max_age(apus_server server, int32_t seconds);

/* ---- credentials */

/* The name and the password of an "Authorization: Basic" (RFC 7617), in UTF-8, borrowed
 * as other text of the request. Compare them with apus_equal().
 * Errors: APUS_E_NOT_FOUND (no Authorization, or another scheme), APUS_E_PROTOCOL
 * (malformed, or several), APUS_E_MEMORY. Thread: the request's. Since 0.1. */
APUS_API int32_t apus_request_basic(apus_request request, const char **user, const char **password);
/* The token of an "Authorization: Bearer" (RFC 6750), and its length; likewise.
 * Errors: as apus_request_basic(). Thread: the request's. Since 0.1. */
APUS_API const char *apus_request_bearer(apus_request request, size_t *length);
/* 1 if the bytes are the same, 0 if not, in a time that depends on their number alone:
 * for passwords, tokens and signatures. Errors: APUS_E_ARGUMENT. Thread: any.
 * Since 0.1. */
APUS_API int32_t apus_equal(const void *a, size_t a_length, const void *b, size_t b_length);
/* Replies 401 with a challenge in WWW-Authenticate: a scheme, such as "Basic" or
 * "Bearer", and a realm, any text of a field, which is quoted as it must be.
 * Errors: as apus_reply_data(); APUS_E_ARGUMENT (scheme no token, or realm no text).
 * Thread: the request's. Since 0.1. */
APUS_API int32_t apus_reply_unauthorized(apus_request request, const char *scheme,
                                         const char *realm);

/* ---- proxies in front. Each gives APUS_E_STATE once the server has started.
 * ---- Thread: any. Since 0.1. */

/* Believes what connections from a network tell of their clients: an address, a network
 * such as "10.0.0.0/8" or "fd00::/8", or "unix" for Unix sockets; call it again for
 * more. Then apus_request_client_ip(), _client_port(), _scheme(), _host() and _port()
 * are the client's, also in the access log; the fields of the request stay as they came.
 * Hops are passed from the last one, as long as they are trusted. A client that a proxy
 * calls "unknown", or by a name of its own, has "" for an address. A field that is
 * malformed as far as it is read is left aside, and counted when it is first asked for.
 * A proxy must set or remove the fields that are believed: those that it lets through
 * are the client's word.
 * Errors: APUS_E_ARGUMENT, APUS_E_FULL (256 networks), APUS_E_MEMORY. */
APUS_API int32_t apus_server_trust_proxy(apus_server server, const char *network);

/* Where trusted proxies tell of their clients. Since 0.1. */
enum {
  APUS_FORWARDED_X = 0,       /* X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host */
  APUS_FORWARDED_STANDARD = 1 /* Forwarded (RFC 7239) */
};
/* One of these alone is believed. Default APUS_FORWARDED_X.
 * Errors: APUS_E_ARGUMENT. */
APUS_API int32_t apus_server_set_forwarded_fields(apus_server server, int32_t fields);

/* Whether connections begin with a header of the PROXY protocol. Since 0.1. */
enum {
  APUS_PROXY_OFF = 0,
  APUS_PROXY_REQUIRED = 1, /* each one, whoever makes it: nobody else may reach it */
  APUS_PROXY_OPTIONAL = 2  /* those from a network that is trusted may */
};
/* How the connections of a listener, by its index, begin. Default APUS_PROXY_OFF. A
 * header of version 1 or 2 replaces the address that the connection comes from, for all
 * purposes: apus_server_trust_proxy() is asked about the new one. on_connect is called
 * when it is in; it has the time limit of a request's head; a connection without the
 * one that it needs, or with a malformed one, is closed and counted.
 * Errors: APUS_E_ARGUMENT, APUS_E_NOT_FOUND (no such listener). */
APUS_API int32_t apus_server_set_proxy_protocol(apus_server server, int32_t listener, int32_t mode);

/* ============================================================================
 * 19  TLS
 *
 * TLS 1.2 with forward secrecy and authenticated encryption, and TLS 1.3, by OpenSSL 3:
 * without renegotiation, compression and early data. Lists of ciphers, suites and groups
 * are as OpenSSL writes them, with colons between.
 * ========================================================================== */

/* ---- servers */

/* A listener on TCP whose connections speak TLS, as apus_server_listen() otherwise. A
 * request without TLS is answered there with a 400 that says so. A connection beyond
 * apus_server_set_max_connections() is reset; a handshake has the time of a head
 * (apus_server_set_header_timeout()).
 * Errors: as apus_server_listen; APUS_E_STATE (also: there is no certificate yet).
 * Thread: any. Since 0.1. */
APUS_API int32_t apus_server_listen_tls(apus_server server, const char *host, int32_t port);
/* Whether the connections of a listener, by its index, speak TLS (0 or 1): for those of
 * apus_server_listen_unix() and apus_server_adopt_listener(). While the server does not run.
 * Errors: APUS_E_ARGUMENT, APUS_E_NOT_FOUND (no such listener), APUS_E_STATE (started; or
 * there is no certificate yet). Thread: any. Since 0.1. */
APUS_API int32_t apus_server_set_listener_tls(apus_server server, int32_t listener, int32_t on);

/* Adds a certificate with its chain, the server's own first, and its private key, in PEM,
 * from two files, memory, or the files "server.crt" and "server.key" of a folder; all are
 * read before the call returns. name is the host that it is for, "*." and a host for all
 * names with one label more, or NULL for whatever no other is for (without such a one, the
 * first that was added is). Where there is one for the name already it takes its place,
 * also while the server runs: connections that stand go on with the old one.
 * Errors: APUS_E_TLS (not PEM; the key is another certificate's, or encrypted and without a
 * password; weak), with OpenSSL's reason; APUS_E_NOT_FOUND, APUS_E_PERMISSION, APUS_E_IO,
 * APUS_E_TOO_LARGE (the files; 1 MiB); APUS_E_ARGUMENT; APUS_E_STATE (another thread changed a
 * setting meanwhile); APUS_E_FULL (1024 names); APUS_E_MEMORY. Thread: any. Since 0.1. */
APUS_API int32_t apus_server_add_certificate(apus_server server, const char *name,
                                             const char *chain_path, const char *key_path);
APUS_API int32_t apus_server_add_certificate_memory(apus_server server, const char *name,
                                                    const void *chain, size_t chain_length,
                                                    const void *key, size_t key_length);
APUS_API int32_t apus_server_add_certificate_directory(apus_server server, const char *name,
                                                       const char *path);

/* The OCSP response, in DER, that goes with the certificate of a name to clients that ask
 * for one; NULL: none. A new certificate for the name begins without.
 * Errors: APUS_E_NOT_FOUND (no such certificate or file), APUS_E_PERMISSION, APUS_E_IO,
 * APUS_E_TOO_LARGE. Thread: any. Since 0.1. */
APUS_API int32_t apus_server_set_ocsp_file(apus_server server, const char *name, const char *path);

/* Writes the password of an encrypted key into buffer and returns its length, or -1. name
 * is the path of the key, or "" for one from memory. */
typedef int32_t (*apus_password_fn)(void *context, const char *name, char *buffer, size_t capacity);

/* Asks fn for passwords, in the thread of the call that adds a certificate; NULL ends it.
 * fn must not call functions of this section on the same server.
 * Errors: none. Thread: any. Since 0.1. */
APUS_API int32_t apus_server_set_tls_password(apus_server server, apus_password_fn fn,
                                              void *context, apus_drop_fn drop);

/* ---- settings of a server; each gives APUS_E_STATE once there is a certificate, and
 * ---- APUS_E_ARGUMENT, with OpenSSL's reason, for nonsense. Thread: any. Since 0.1. */

/* The lowest and the highest version: 12 and 13 stand for TLS 1.2 and 1.3. Default 12, 13. */
APUS_API int32_t apus_server_set_tls_versions(apus_server server, int32_t least, int32_t most);
/* The ciphers of TLS 1.2. Default: ECDHE with AES-GCM or ChaCha20-Poly1305. */
APUS_API int32_t apus_server_set_tls_ciphers(apus_server server, const char *list);
/* The cipher suites of TLS 1.3. Default: AES-128-GCM, AES-256-GCM, ChaCha20-Poly1305. */
APUS_API int32_t apus_server_set_tls_suites(apus_server server, const char *list);
/* The groups for key exchange. Default: "X25519:P-256:P-384". */
APUS_API int32_t apus_server_set_tls_groups(apus_server server, const char *list);
/* Whether the server's order of ciphers counts, and not the client's. Default 1. */
APUS_API int32_t apus_server_set_tls_preference(apus_server server, int32_t on);

/* Whether clients are asked for a certificate. Since 0.1. */
enum {
  APUS_CLIENT_CERTIFICATE_NONE = 0,
  APUS_CLIENT_CERTIFICATE_OPTIONAL = 1, /* apus_request_peer_is_verified() tells */
  APUS_CLIENT_CERTIFICATE_REQUIRED = 2  /* without a good one there is no connection */
};

/* Asks clients for certificates, which the certificates in a file or memory, in PEM, vouch
 * for (NULL: none, with NONE alone). Default APUS_CLIENT_CERTIFICATE_NONE.
 * Errors also: APUS_E_TLS (not PEM), and those of the file. */
APUS_API int32_t apus_server_set_client_certificates(apus_server server, int32_t policy,
                                                     const char *ca_path);
APUS_API int32_t apus_server_set_client_certificates_memory(apus_server server, int32_t policy,
                                                            const void *data, size_t length);

/* For how many seconds session tickets are made with one key; two older ones still open
 * theirs. 0 to 604800; 0: for ever. Default 43200. */
APUS_API int32_t apus_server_set_ticket_period(apus_server server, int32_t seconds);

/* Sets the keys of session tickets, 1 to 3 of 80 random bytes each, the one that is in use
 * first, for servers that stand in for each other; from then on they change by calls alone.
 * Also while the server runs.
 * Errors: APUS_E_ARGUMENT (another length). Thread: any. Since 0.1. */
APUS_API int32_t apus_server_set_ticket_keys(apus_server server, const void *keys, size_t length);

/* Makes a new key for session tickets now; also while the server runs.
 * Errors: APUS_E_IO (no random numbers). Thread: any. Since 0.1. */
APUS_API int32_t apus_server_rotate_ticket_keys(apus_server server);

/* ---- requests; text is borrowed as that of section 6. Without TLS each gives
 * ---- APUS_E_NOT_FOUND. Thread: the request's. Since 0.1. */

/* "TLSv1.2" or "TLSv1.3". */
APUS_API const char *apus_request_tls_version(apus_request request);
/* The cipher suite by OpenSSL's name. */
APUS_API const char *apus_request_tls_cipher(apus_request request);
/* The name that the client asked for (SNI), and the protocol agreed on (ALPN); or "". */
APUS_API const char *apus_request_tls_name(apus_request request);
APUS_API const char *apus_request_tls_alpn(apus_request request);
/* 1 where the connection took up an earlier session, else 0. */
APUS_API int32_t apus_request_tls_resumed(apus_request request);

/* What the client's certificate says: subject and issuer (RFC 4514), the names of its
 * subjectAltName, each with a newline behind it, its SHA-256 in small hexadecimal digits,
 * and what is wrong with it, or "".
 * Errors: APUS_E_NOT_FOUND (also: there is none); APUS_E_MEMORY. */
APUS_API const char *apus_request_peer_subject(apus_request request);
APUS_API const char *apus_request_peer_issuer(apus_request request);
APUS_API const char *apus_request_peer_names(apus_request request);
APUS_API const char *apus_request_peer_fingerprint(apus_request request);
APUS_API const char *apus_request_peer_problem(apus_request request);
/* 1 where the certificate is good, else 0.
 * Errors: APUS_E_NOT_FOUND (also: there is none). */
APUS_API int32_t apus_request_peer_is_verified(apus_request request);

/* ---- clients, or servers that make requests. Each counts for connections made later:
 * ---- fetches of https, channels of wss. A server's chain and name are verified against
 * ---- the system's store unless that is changed; names count as they stand in
 * ---- subjectAltName alone. Nothing of a request goes before that is done. What is wrong
 * ---- has a code of its own, APUS_E_CERTIFICATE to APUS_E_PIN, and a sentence that says
 * ---- with which certificate, and what to do. Thread: any. Since 0.1. */

/* Trusts the certificates in a file or memory, in PEM, or in a folder as "openssl rehash"
 * makes it, besides those that were added before; from the first on the system's are not
 * trusted, unless apus_client_trust_system() says so.
 * Errors: APUS_E_TLS (not PEM), APUS_E_NOT_FOUND, APUS_E_PERMISSION, APUS_E_IO,
 * APUS_E_TOO_LARGE (a file of 1 MiB, 16 MiB together), APUS_E_ARGUMENT, APUS_E_MEMORY. */
APUS_API int32_t apus_client_add_ca_file(apus_client client, const char *path);
APUS_API int32_t apus_client_add_ca_memory(apus_client client, const void *data, size_t length);
APUS_API int32_t apus_client_add_ca_directory(apus_client client, const char *path);
/* Whether the system's store is trusted. Errors: APUS_E_ARGUMENT (not 0 or 1). */
APUS_API int32_t apus_client_trust_system(apus_client client, int32_t on);
/* Lists of revoked certificates (CRL, in PEM): with one, each certificate of a server's chain
 * must be in none, and the issuer of each must have one; NULL: none.
 * Errors: as apus_client_add_ca_file. */
APUS_API int32_t apus_client_set_crl_file(apus_client client, const char *path);
/* Whether a server's chain, and its name, are verified. Default 1, 1. With 0 anybody on the
 * way can be the server. Errors: APUS_E_ARGUMENT (not 0 or 1). */
APUS_API int32_t apus_client_set_verify(apus_client client, int32_t peer, int32_t host);
/* Pins a public key: servers of that host must have it, or another one that is pinned for
 * the host, which is a name or an address as in a URL, without a port. The pin is "sha256//" and
 * the SHA-256 of its SubjectPublicKeyInfo in Base64, as curl takes it. Errors: APUS_E_ARGUMENT,
 * APUS_E_FULL (1024), APUS_E_MEMORY. */
APUS_API int32_t apus_client_add_pin(apus_client client, const char *host, const char *pin);

/* The certificate, with its chain, and the key that servers are shown which ask for one.
 * Errors: as apus_server_add_certificate. */
APUS_API int32_t apus_client_set_certificate(apus_client client, const char *chain_path,
                                             const char *key_path);
APUS_API int32_t apus_client_set_certificate_memory(apus_client client, const void *chain,
                                                    size_t chain_length, const void *key,
                                                    size_t key_length);
/* As apus_server_set_tls_password. Errors: none. */
APUS_API int32_t apus_client_set_tls_password(apus_client client, apus_password_fn fn,
                                              void *context, apus_drop_fn drop);

/* Whether hosts that say so over TLS are asked over TLS alone, for as long as they say and
 * no longer than the client lives (HSTS, RFC 6797): http URLs become https, those of
 * channels wss; not over a Unix socket. They count while certificates are checked.
 * Default 0, which also forgets them. Errors: APUS_E_ARGUMENT (not 0 or 1). */
APUS_API int32_t apus_client_set_hsts(apus_client client, int32_t on);

/* As those of a server, at any time. Errors: APUS_E_ARGUMENT. */
APUS_API int32_t apus_client_set_tls_versions(apus_client client, int32_t least, int32_t most);
APUS_API int32_t apus_client_set_tls_ciphers(apus_client client, const char *list);
APUS_API int32_t apus_client_set_tls_suites(apus_client client, const char *list);
APUS_API int32_t apus_client_set_tls_groups(apus_client client, const char *list);

#ifdef __cplusplus
}
#endif

#endif /* APUS_H */
