/* machine.h: what cvlbench needs of the machine: a clock, memory, and its limits in numbers. */
#ifndef CVLBENCH_MACHINE_H
#define CVLBENCH_MACHINE_H

#include <stddef.h>

#include "loops.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof(array)[0]))

/* Prints both to stderr and exits with status 1. */
void fail(const char *what, const char *detail);

/* Seconds of a clock that only goes forward. */
double now(void);

/* Memory that begins at a page; ends the program where there is none. */
void *pages(size_t bytes);

/* Where bytes lie, and the loops that say how fast they come and go. */
enum { L1, L2, L3, MEMORY, LEVELS };
enum { READ, FILL, LOOPS };
extern const char *const level_names[LEVELS], *const loop_names[LOOPS];

typedef struct machine {
    const loop_set *loops; /* of the library's level, and of one type */
    int threads;
    size_t element;
    size_t cache[MEMORY];            /* bytes: L1 and L2 of a core, L3 of all */
    size_t share;                    /* bytes that are a thread's own */
    char *memory;                    /* a share for each thread */
    double peak;                     /* flop/s */
    double bandwidth[LEVELS][LOOPS]; /* bytes/s */
} machine;

#define MOST_THREADS 1024

/* Measures the limits of a team: the best of many runs, each of which lasts so long, and of memory
 * over at most so many bytes a thread. */
void machine_measure(machine *m, int threads, int f64, double run_seconds, size_t most_bytes);
void machine_free(machine *m);

/* Leaves nothing of the caller's in the caches of any thread. */
void machine_sweep(const machine *m);

/* What one call costs: operations, and elements of its arrays. `held` are those of all its arrays;
 * `read` and `written` are those that must come and go where nothing stays in a nearer cache from one
 * pass of the call over its arrays to the next, and `again` the part of `read` that was read or
 * written before: batch norm reads x once for the moments and once more for y. */
typedef struct cost {
    double flop, read, written, held, again;
} cost;

/* What binds a call: the most of
 *   operations / peak,
 *   held and again / bandwidth of reading at the nearest level that holds all arrays: caches fetch
 *     the lines that are only written too,
 *   written / bandwidth of filling there,
 *   when cold: what is read for the first time / bandwidth of reading memory. */
typedef struct limit {
    const char *name; /* "peak", or that of a level */
    double seconds;   /* the least that it can take */
    double amount;    /* of the operations or bytes in the quotient that binds */
    int level;        /* that holds the arrays */
} limit;
limit machine_limit(const machine *m, const cost *c, int is_cold);

#endif
