/* bench.h: what an operator of cvlbench is.
 *
 * A family of operators is a file of its own, which meson.build lists, and a line of families.inc.
 * It is compiled once per type, with CVL_F32 or CVL_F64, and defines
 *     const operation OPERATORS(<family>)[]     which ends with an entry without a name.
 * An entry names the operator and the numbers of its line in a table of shapes, and has a function
 * that makes the problem of such a line: arrays, descriptors, and what is to be timed, each with
 * what it costs. Tables, turns, caches, limits and output know no operator. */
#ifndef CVLBENCH_BENCH_H
#define CVLBENCH_BENCH_H

#include <stddef.h>

#include "convlet.h"
#include "machine.h"

typedef struct problem problem;
typedef struct options options;

/* One pass of an operator, by one of the algorithms for it. */
typedef struct contender {
    const char *pass;      /* as in the function's name: "forward" */
    const char *algorithm; /* as options name it: "auto"; NULL where there is no choice */
    const char *chosen;    /* what it came to: "winograd"; NULL likewise */
    int which;             /* for the call alone */
    cvl_status (*call)(const problem *p, int which);
    cost cost;
    const void *result; /* what the algorithms for a pass must agree on; NULL where there is one */
    ptrdiff_t results;
} contender;

#define MOST_NUMBERS 9
#define MOST_CONTENDERS 24
#define MOST_BLOCKS 24

struct problem {
    ptrdiff_t n[MOST_NUMBERS]; /* the numbers of the line */
    int kind;                  /* of the operator's entry */
    size_t element;            /* sizeof(T) */
    const options *options;
    const loop_set *loops;
    cvl_exec run; /* its workspace is made after the problem, as large as any contender needs */
    void *state;  /* the family's own */
    contender contenders[MOST_CONTENDERS];
    int count;
    void *blocks[MOST_BLOCKS]; /* freed with the problem */
    int block_count;
};

typedef struct operation {
    const char *name;    /* as in the function's name, and perhaps more: "batch_norm_relu" */
    const char *numbers; /* of a line, by their names: "M C" */
    void (*make)(problem *p);
    int kind; /* for the family alone */
} operation;

/* Whether an algorithm of convolution is to be timed. */
int wants(const options *o, const char *algorithm);

/* Memory of the problem: zeros; elements in [-1, 1); elements in [low, high). */
void *problem_memory(problem *p, size_t bytes);
void *problem_array(problem *p, ptrdiff_t n);
void *problem_range(problem *p, ptrdiff_t n, double low, double high);

/* Some contender needs so much workspace. */
void problem_workspace(problem *p, size_t bytes);

/* One more contender; those for a pass come one after the other. */
void problem_time(problem *p, contender c);

/* Ends the program where a shape is refused. */
void problem_check(cvl_status status);

#if defined(CVL_F32) || defined(CVL_F64)

#if defined(CVL_F32)
typedef float T;
#define DTYPE f32
#else
typedef double T;
#define DTYPE f64
#endif

/* cvl_<name>_<dtype>, and the array of a family */
#define NAME(name) NAME_(cvl_##name, DTYPE)
#define OPERATORS(family) NAME_(operators_##family, DTYPE)
#define NAME_(name, dtype) NAME__(name, dtype)
#define NAME__(name, dtype) name##_##dtype

/* Operations of an exponential, a logarithm or an error function: about those of a polynomial that
 * is good to the last digits. Everything else counts as one, a fused multiply-add as two. */
#define ELEMENTARY (sizeof(T) == sizeof(float) ? 20.0 : 30.0)

/* So many bytes, in elements. */
#define BYTES(n) ((double)(n) / (double)sizeof(T))

#endif
#endif
