/* run.h: how cvlbench runs: its options, the rows of its tables, what it measures and prints. */
#ifndef CVLBENCH_RUN_H
#define CVLBENCH_RUN_H

#include "bench.h"

enum { WARM, COLD, CACHES };
extern const char *const cache_names[CACHES];

#define MOST_ROUNDS 1000
#define MOST_TEAMS 16

struct options {
    const char *levels, *dtypes, *caches;        /* lists; levels NULL: the library's choice */
    const char *passes, *algorithms, *operators; /* lists; NULL: all of them */
    const char *only;                            /* NULL: every row */
    int threads[MOST_TEAMS], teams, rounds, is_json;
    double round_seconds; /* the least time worth measuring at once */
    double long_seconds;  /* a pass with a call that takes longer has one round */
    size_t most_bytes;    /* of a thread's memory whose bandwidth is measured */
};

/* Whether a comma-separated list has the name; NULL has every name. */
int list_has(const char *list, const char *name);

/* One line of a table. */
#define MOST_TEXT 128
typedef struct row {
    char table[MOST_TEXT], name[MOST_TEXT], remark[MOST_TEXT];
    char passes[MOST_TEXT]; /* a list, or nothing for all of them */
    ptrdiff_t n[MOST_NUMBERS];
    int count; /* of numbers */
} row;

/* The i-th operator for a type, or NULL past the last. */
const operation *operator_at(int f64, int i);

/* Calls `visit` with each row of a table that the options let pass, and the operator it names. */
void table_read(const char *path, int f64, const options *o,
                void (*visit)(const row *r, const operation *op, const options *o,
                              const machine *m),
                const machine *m);

/* Makes the problem of a row and times it. */
void time_row(const row *r, const operation *op, const options *o, const machine *m);

/* The output, in this order: a run is a level, a type and a team. */
void report_begin(const options *o);
void report_run(const options *o, const machine *m, int is_first);
void report_row(const row *r, const contender *c, int cache, double least, double median,
                const options *o, const machine *m);
void report_run_end(const options *o);
void report_end(const options *o);

#endif
