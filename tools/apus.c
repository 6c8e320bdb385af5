/*
 * apus.c - the command-line tool: a server for folders, a client for HTTP, WebSocket and
 * event streams, something to test clients against, and a load generator. This file
 * finds the command; each has a file of its own.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "tool.h"

static const struct command *const commands[] = {
    &serve_command, &get_command, &ws_command, &sse_command, &echo_command, &bench_command,
};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

static const char examples[] =
    "Examples\n"
    "  apus serve .                            this folder, at http://127.0.0.1:8080/\n"
    "  apus get -O https://example.org/a.iso   a download, with a progress bar\n"
    "  apus ws ws://localhost:8080/chat        talk to a WebSocket, line by line\n"
    "  apus sse http://localhost:8080/news     watch a stream of events\n"
    "  apus echo                               a server that says what it was asked\n"
    "  apus bench http://localhost:8080/       how many requests a second, how soon\n";

static const char exit_codes[] =
    "Exit codes\n"
    "  0 fine            1 wrong usage         2 no connection     3 TLS\n"
    "  4 refused (a status from 400 on with --fail, or no WebSocket or event stream)\n"
    "  5 timed out       6 a local file        7 the peer broke off, or the protocol\n"
    "  130 interrupted\n";

static int print_usage(void) {
  printf(
      "%sapus%s COMMAND [OPTION...]: HTTP, WebSocket and event streams, as a server and as\n"
      "a client.\n\nCommands\n",
      colour(stdout, "1"), colour(stdout, ""));
  for (int i = 0; i < COMMANDS; i++) {
    printf("  %-9s %s\n", commands[i]->name, commands[i]->summary);
  }
  printf("  %-9s %s\n\n%s\n%s\n", "version", "say which version this is", examples, exit_codes);
  printf("'apus COMMAND --help' explains a command; so does the manual, 'man apus'.\n");
  return EXIT_FINE;
}

static int print_version(void) {
  printf("apus %s (library %s, ABI %d)\n", APUS_VERSION_STRING, apus_version(),
         (int)apus_abi_version());
  return EXIT_FINE;
}

static const struct command *find(const char *name) {
  for (int i = 0; i < COMMANDS; i++) {
    if (strcmp(commands[i]->name, name) == 0) return commands[i];
  }
  complain("there is no command '%s'; 'apus --help' lists them", name);
  exit(EXIT_USAGE);
}

static int is_one_of(const char *word, const char *a, const char *b, const char *c) {
  return strcmp(word, a) == 0 || strcmp(word, b) == 0 || strcmp(word, c) == 0;
}

int main(int argc, char **argv) {
  if (argc < 2) {
    complain("a command is missing; 'apus --help' lists them");
    return EXIT_USAGE;
  }
  int result;
  if (is_one_of(argv[1], "version", "--version", "-V")) {
    result = print_version();
  } else if (is_one_of(argv[1], "help", "--help", "-h")) {
    result = EXIT_FINE;
    if (argc > 2 && argv[1][0] == 'h') {
      print_help(find(argv[2]));
    } else {
      print_usage();
    }
  } else {
    const struct command *command = find(argv[1]);
    complaint_name = command->name;
    result = command->run(command, argc - 2, argv + 2);
  }
  if ((fflush(stdout) != 0 || ferror(stdout)) && result == EXIT_FINE) {
    complain("not all of the output could be written; is the disk full?");
    result = EXIT_LOCAL;
  }
  return result;
}
