/* machine.h: what cvlbench needs of the machine: a clock, memory, and its limits in numbers. */
#ifndef CVLBENCH_MACHINE_H
#define CVLBENCH_MACHINE_H

#include <stddef.h>

#include "loops.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof(array)[0]))

/* The least time worth measuring at once. */
#define ROUND_SECONDS 1e-3

/* Prints both to stderr and exits with status 1. */
void fail(const char *what, const char *detail);

/* Seconds of a clock that only goes forward. */
double now(void);

/* Memory that begins at a page; ends the program where there is none. */
void *pages(size_t bytes);

typedef struct machine {
    const loop_set *loops; /* of the library's level, and of one type */
    int threads;
    ptrdiff_t near, far; /* elements a thread: arrays that fit its L2, and a share beyond L3 */
    char *a, *b, *c;     /* `far` elements for each thread */
    size_t element;
    double peak[2];            /* flop/s of one thread and of all */
    double bandwidth[2][2][3]; /* bytes/s: of one thread, all; near, far; read, copy, triad */
} machine;

/* Measures the limits: the best of many short runs. */
void machine_measure(machine *m, int threads, int f64);
void machine_free(machine *m);

/* Leaves nothing of the caller's in the caches of any thread. */
void machine_sweep(const machine *m);

#endif
