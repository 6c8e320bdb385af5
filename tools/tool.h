/*
 * tool.h - what the files of the command-line tool share. The tool is an ordinary user
 * of the library: it knows nothing that apus.h does not say.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TOOL_H
#define TOOL_H

#include <apus.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* The exit codes, which apus(1) documents. */
enum {
  EXIT_FINE = 0,
  EXIT_USAGE = 1,    /* the command line makes no sense */
  EXIT_CONNECT = 2,  /* no address, no connection, or no address to listen on */
  EXIT_TLS = 3,      /* no handshake, or a certificate that is not good */
  EXIT_STATUS = 4,   /* a refusal: a status from 400 on with --fail, no WebSocket, no events */
  EXIT_TIME = 5,     /* a time limit passed */
  EXIT_LOCAL = 6,    /* a file cannot be read or written; no memory */
  EXIT_PROTOCOL = 7, /* the peer broke the protocol, or off */
  EXIT_INTERRUPTED = 130
};

/* ---- options.c: command lines */

struct option {
  int letter;        /* of the short form, or 0 */
  const char *name;  /* of the long form */
  const char *value; /* what its value is called in the help; NULL: a switch */
  const char *help;
  int id; /* what next_argument() returns */
};

struct command {
  const char *name, *arguments, *summary;
  const char *about; /* what it does, with examples */
  const struct option *options, *more;
  int (*run)(const struct command *command, int count, char **words);
};

struct arguments {
  const struct command *command;
  int count;
  char **words;
  int at, only_words;
  const char *cluster; /* what is left of "-abc" */
  const char *value;   /* of the option or the word that was returned */
  const char *shown;   /* the option as it was written */
  char note[64];
};

enum { ARG_END = -1, ARG_WORD = -2 };
/* Identifiers of options that several commands have; the commands' own start behind. */
enum { OPT_HELP = 1, OPT_CLIENT = 100, OPT_OWN = 200 };

struct arguments arguments_of(const struct command *command, int count, char **words);
/* The next option's id, ARG_WORD or ARG_END. Prints the help, or what is wrong, and
 * ends the program itself. */
int next_argument(struct arguments *arguments);
_Noreturn void wrong_usage(const struct command *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The value of the latest option as a number; what is none ends the program. */
int32_t count_value(const struct arguments *arguments, int32_t least, int32_t most);
int32_t seconds_value(const struct arguments *arguments); /* in milliseconds */
int64_t size_value(const struct arguments *arguments);    /* 10, 10K, 10M, 10G */
void print_help(const struct command *command);
/* The one word that a command takes; more or fewer end the program. */
void take_word(const struct arguments *arguments, const char **word, const char *what);

extern const struct command get_command, serve_command, ws_command, sse_command, echo_command,
    bench_command;

/* ---- terminal.c: what goes to a terminal */

/* 1 where a stream is a terminal; 1 where it may also have colours. */
int is_terminal(FILE *stream);
int has_colours(FILE *stream);
/* The sequence that begins a colour, such as "1;31", or "" without colours; "" ends one. */
const char *colour(FILE *stream, const char *code);

/* Text on its way to a terminal, in pieces: controls, direction marks and what is not
 * UTF-8 are shown as escapes and not obeyed. Other streams get the bytes as they are. */
struct filter {
  FILE *out;
  int active, lines; /* lines: newlines and tabs stay */
  int held_count, carriage;
  unsigned char held[4];
};
struct filter filter_to(FILE *out, int lines);
void filter_write(struct filter *filter, const void *data, size_t length);
void filter_end(struct filter *filter);
/* The same for text that is whole; a line has its newlines escaped as well. */
void show_text(FILE *out, const void *data, size_t length);
void show_line(FILE *out, const void *data, size_t length);

/* One line to standard error, "apus COMMAND: ...", without controls. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same in a quieter colour, for what is no error. */
void remark(const char *format, ...) __attribute__((format(printf, 1, 2)));
extern const char *complaint_name; /* the command that complains */

/* ---- progress.c: how far a transfer is, on a terminal alone */

struct progress {
  int active, drawn;
  int64_t total, start, done; /* total: -1 where it is not known */
  int64_t began_us, drawn_us;
};
int64_t now_us(void);
void progress_begin(struct progress *progress, int wanted);
void progress_draw(struct progress *progress);
void progress_end(struct progress *progress);
/* "1.5 MiB" */
const char *in_bytes(char *buffer, size_t capacity, double bytes);

/* ---- signals.c: Ctrl-C */

/* Has stop called, on a thread of its own, at the first of the signals that end a program;
 * the second one ends it at once. For the start of a program: threads that are made later
 * must not see the signals. */
void watch_signals(void (*stop)(void *context), void *context);
/* The signal that came, or 0. */
int signal_seen(void);

/* ---- text.c: text that grows, JSON, Base64 */

struct text {
  char *bytes;
  size_t length, capacity;
};
void text_add(struct text *text, const void *data, size_t length);
void text_print(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_json(struct text *text, const void *data, size_t length); /* with its quotes */
void text_html(struct text *text, const char *data);
void text_base64(struct text *text, const void *data, size_t length);
void text_free(struct text *text);
/* A whole file, or standard input for "-". Ends the program where it cannot be read. */
void text_read_file(struct text *text, const char *path);
_Noreturn void out_of_memory(void);

/* ---- listening.c: what the two servers have in common */

struct listening {
  const char *addresses[16];
  int count;
  const char *certificate, *key;
};
/* Listens where --listen says, or at the one address that is given. Returns an exit code. */
int listen_all(apus_server server, const struct listening *listening, const char *otherwise);
void add_address(const struct arguments *arguments, struct listening *listening);
/* Prints one line for each listener: what it is, and its URL. */
void print_addresses(apus_server server, const struct listening *listening, const char *what);
/* Prints a line of the access log. */
void log_access(void *context, apus_server server, const char *line, size_t length);
/* Stops a server, once it has started. */
void stop_server(apus_server server);
/* Serves until a signal or until the server is stopped. Returns an exit code. */
int serve_on(apus_server server);

/* ---- connection.c: options of get, ws, sse and bench */

enum {
  OPT_HEADER = OPT_CLIENT,
  OPT_INSECURE,
  OPT_CACERT,
  OPT_CERT,
  OPT_KEY,
  OPT_USER,
  OPT_UNIX,
  OPT_CONNECT_TIMEOUT,
  OPT_PROXY
};
extern const struct option connection_options[];

struct connection {
  const char *headers[64];
  int header_count, insecure;
  const char *ca, *certificate, *key, *unix_socket, *proxy;
  char *user, *password;
  int32_t connect_ms; /* -1: as the library has it */
};
void connection_init(struct connection *connection);
/* Takes an option; 0 where it is none of these. */
int connection_option(struct connection *connection, const struct arguments *arguments, int id);
/* Sets a client up; what it refuses is told, and its exit code returned. */
int connection_apply(const struct connection *connection, apus_client client);
/* Calls add for each header; 0, or an exit code with a complaint. */
typedef int32_t (*add_header_fn)(uint64_t handle, const char *name, const char *value);
int connection_headers(const struct connection *connection, uint64_t handle, add_header_fn add);
/* Makes one field of those of a name, for what takes one of each. */
void connection_join_headers(struct connection *connection);
/* Adds --user as a field of its own, for what has no function for it. */
int connection_basic(const struct connection *connection, uint64_t handle, add_header_fn add);
int connection_has_header(const struct connection *connection, const char *name);
/* A URL as the library wants it: with a scheme, the one given where there is none. */
char *whole_url(const char *url, const char *scheme);
/* Says why the latest call, or a code of its own, failed; returns the exit code. */
int complain_network(const char *url, int32_t code, const char *sentence);
int exit_of(int32_t code);
/* What a code of a connection says, where the library has told no sentence. */
const char *sentence_of(int32_t code);

#endif /* TOOL_H */
