/*
 * options.c - command lines, and the help that is made of the same tables.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"

static const struct option help_option = {'h', "help", NULL, "show this help", OPT_HELP};

void wrong_usage(const struct command *command, const char *format, ...) {
  struct text text = {0};
  char line[512];
  va_list values;
  va_start(values, format);
  vsnprintf(line, sizeof line, format, values);
  va_end(values);
  text_print(&text, "apus%s%s --help", command ? " " : "", command ? command->name : "");
  complain("%s; '%s' explains", line, text.bytes);
  text_free(&text);
  exit(EXIT_USAGE);
}

struct arguments arguments_of(const struct command *command, int count, char **words) {
  struct arguments arguments = {.command = command, .count = count, .words = words};
  return arguments;
}

/* ---- one option */

/* The option at an index of both tables, the help's at the end; NULL behind it. */
static const struct option *option_at(const struct command *command, size_t index) {
  const struct option *tables[] = {command->options, command->more};
  for (int i = 0; i < 2; i++) {
    for (const struct option *o = tables[i]; o != NULL && o->name != NULL; o++) {
      if (index-- == 0) return o;
    }
  }
  return index == 0 ? &help_option : NULL;
}

static const struct option *by_letter(const struct command *command, int letter) {
  const struct option *o;
  for (size_t i = 0; (o = option_at(command, i)) != NULL; i++) {
    if (o->letter == letter) return o;
  }
  return NULL;
}

static const struct option *by_name(const struct command *command, const char *name, size_t size) {
  const struct option *o;
  for (size_t i = 0; (o = option_at(command, i)) != NULL; i++) {
    if (strlen(o->name) == size && memcmp(o->name, name, size) == 0) return o;
  }
  return NULL;
}

static int found(struct arguments *a, const struct option *option) {
  if (option->id == OPT_HELP) {
    print_help(a->command);
    exit(EXIT_FINE);
  }
  return option->id;
}

/* The value of an option is what stands behind it, or else the next word. */
static int with_value(struct arguments *a, const struct option *option, const char *rest) {
  a->value = rest;
  if (option->value != NULL && rest == NULL) {
    if (a->at == a->count) wrong_usage(a->command, "%s needs a value, %s", a->note, option->value);
    a->value = a->words[a->at++];
  }
  return found(a, option);
}

static int next_short(struct arguments *a) {
  snprintf(a->note, sizeof a->note, "-%c", *a->cluster);
  const struct option *option = by_letter(a->command, *a->cluster++);
  if (option == NULL) wrong_usage(a->command, "there is no option %s", a->note);
  if (option->value == NULL) return found(a, option);
  const char *rest = *a->cluster != 0 ? a->cluster : NULL;
  a->cluster = "";
  return with_value(a, option, rest);
}

static int next_long(struct arguments *a, const char *name) {
  const char *equals = strchr(name, '=');
  size_t size = equals != NULL ? (size_t)(equals - name) : strlen(name);
  snprintf(a->note, sizeof a->note, "--%.*s", (int)(size < 60 ? size : 60), name);
  const struct option *option = by_name(a->command, name, size);
  if (option == NULL) wrong_usage(a->command, "there is no option %s", a->note);
  if (option->value == NULL && equals != NULL) wrong_usage(a->command, "%s has no value", a->note);
  return with_value(a, option, equals != NULL ? equals + 1 : NULL);
}

int next_argument(struct arguments *a) {
  a->shown = a->note;
  if (a->cluster != NULL && *a->cluster != 0) return next_short(a);
  if (a->at == a->count) return ARG_END;
  const char *word = a->words[a->at++];
  if (!a->only_words && strcmp(word, "--") == 0) {
    a->only_words = 1;
    return next_argument(a);
  }
  if (a->only_words || word[0] != '-' || word[1] == 0) {
    a->value = word;
    return ARG_WORD;
  }
  if (word[1] == '-') return next_long(a, word + 2);
  a->cluster = word + 1;
  return next_short(a);
}

/* ---- values */

int32_t count_value(const struct arguments *a, int32_t least, int32_t most) {
  char *end;
  errno = 0;
  long value = strtol(a->value, &end, 10);
  if (errno != 0 || end == a->value || *end != 0 || value < least || value > most) {
    wrong_usage(a->command, "%s needs a number from %d to %d, not '%s'", a->note, (int)least,
                (int)most, a->value);
  }
  return (int32_t)value;
}

int32_t seconds_value(const struct arguments *a) {
  char *end;
  double value = strtod(a->value, &end);
  if (end == a->value || *end != 0 || !isfinite(value) || value < 0.001 || value > 86400) {
    wrong_usage(a->command, "%s needs seconds from 0.001 to 86400, not '%s'", a->note, a->value);
  }
  return (int32_t)(value * 1000 + 0.5);
}

int64_t size_value(const struct arguments *a) {
  static const char units[] = "KMGT";
  char *end;
  errno = 0;
  long long value = strtoll(a->value, &end, 10);
  int shift = 0;
  const char *unit = *end != 0 ? strchr(units, *end & ~32) : NULL;
  if (unit != NULL) {
    shift = 10 * (int)(unit - units + 1);
    end++;
  }
  if (errno != 0 || end == a->value || *end != 0 || value < 0 || value > (1LL << 53) >> shift) {
    wrong_usage(a->command, "%s needs a size such as 500K, 10M or 2G, not '%s'", a->note, a->value);
  }
  return (int64_t)value << shift;
}

void take_word(const struct arguments *a, const char **word, const char *what) {
  if (*word != NULL) {
    wrong_usage(a->command, "one %s is enough: '%s' is one too many", what, a->value);
  }
  *word = a->value;
}

/* ---- help */

static void print_options(const struct command *command) {
  const struct option *o;
  char left[64];
  printf("\n%sOptions%s\n", colour(stdout, "1"), colour(stdout, ""));
  for (size_t i = 0; (o = option_at(command, i)) != NULL; i++) {
    int letter = o->letter;
    snprintf(left, sizeof left, "%c%c%s--%s%s%s", letter ? '-' : ' ', letter ? letter : ' ',
             letter ? ", " : "  ", o->name, o->value ? " " : "", o->value ? o->value : "");
    printf("  %-29s %s%s\n", left, strlen(left) > 29 ? "\n                               " : "",
           o->help);
  }
}

void print_help(const struct command *command) {
  printf("%sapus %s%s %s\n\n%s\n", colour(stdout, "1"), command->name, colour(stdout, ""),
         command->arguments, command->about);
  print_options(command);
}
