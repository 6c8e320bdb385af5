/*
 * figures.h - where tests of reliability write what they measured, for a report to be
 * made of: build/reliability/NAME.json below the top of the sources.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef APUS_CTESTS_FIGURES_H
#define APUS_CTESTS_FIGURES_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* A file to be written, and closed by the caller; NULL outside of ctest. */
static inline FILE *figures_open(const char *name) {
  char path[4096];
  const char *source = getenv("APUS_SOURCE");
  if (source == NULL) return NULL;
  snprintf(path, sizeof path, "%s/build", source);
  mkdir(path, 0777);
  snprintf(path, sizeof path, "%s/build/reliability", source);
  mkdir(path, 0777);
  snprintf(path, sizeof path, "%s/build/reliability/%s.json", source, name);
  return fopen(path, "w");
}

#endif /* APUS_CTESTS_FIGURES_H */
