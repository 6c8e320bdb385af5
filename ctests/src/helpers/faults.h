/*
 * faults.h - what the preloaded faults_shim.c offers to the program that it is in.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef APUS_CTESTS_FAULTS_H
#define APUS_CTESTS_FAULTS_H

#include <stddef.h>

/* In place of an error: one byte is read or written, and that succeeds. */
#define FAULT_SHORT (-4242)

/* Whose calls count. */
enum { FAULTS_OF_APUS = 1, FAULTS_OF_OPENSSL = 2, FAULTS_OF_ZLIB = 4 };

/* Has the number-th call of a function from now on fail, and those behind it up to so
 * many; "memory" stands for every function that gives some. NULL: nothing fails. Returns
 * how many pieces of code are watched: 0 is wrong. */
int faults_arm(const char *name, long number, long times, int failure);
/* The sizes of memory that count; to 0: any above. */
void faults_sizes(size_t from, size_t to);
/* FAULTS_OF_*, added up; 0: the library's own. */
void faults_scope(int which);
/* How many calls failed since faults_arm(). */
long faults_hits(void);
/* How often what is no descriptor was closed: it may have been another thread's by then. */
long faults_bad_closes(void);

#endif /* APUS_CTESTS_FAULTS_H */
