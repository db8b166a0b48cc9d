/* timing.c: problems, and how their contenders take turns. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "run.h"

/* ---------------------------------------------------------------- problems */

int wants(const options *o, const char *algorithm) { return list_has(o->algorithms, algorithm); }

void *problem_memory(problem *p, size_t bytes)
{
    if (p->block_count == MOST_BLOCKS)
        fail("a problem of too many arrays", "");
    void *memory = p->blocks[p->block_count++] = pages(bytes);
    return memset(memory, 0, bytes);
}

void *problem_range(problem *p, ptrdiff_t n, double low, double high)
{
    void *array = problem_memory(p, (size_t)n * p->element);
    uint64_t state = (uint64_t)(n + p->block_count);
    for (ptrdiff_t i = 0; i < n; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        double value = low + (high - low) * (double)(state >> 40) * 0x1p-24;
        if (p->element == sizeof(double))
            ((double *)array)[i] = value;
        else
            ((float *)array)[i] = (float)value;
    }
    return array;
}

void *problem_array(problem *p, ptrdiff_t n) { return problem_range(p, n, -1, 1); }

void problem_workspace(problem *p, size_t bytes)
{
    if (bytes > p->run.workspace_bytes)
        p->run.workspace_bytes = bytes;
}

void problem_time(problem *p, contender c)
{
    if (p->count == MOST_CONTENDERS)
        fail("a problem of too many contenders: ", c.pass);
    p->contenders[p->count++] = c;
}

void problem_check(cvl_status status)
{
    if (status != CVL_OK)
        fail("a shape of the table: ", cvl_status_string(status));
}

/* ---------------------------------------------------------------- results */

/* Root of the mean square of a projection of the result, to tell different results apart. */
static double fingerprint(const problem *p, const contender *c)
{
    double sum = 0;
    for (ptrdiff_t i = 0; i < c->results; i++) {
        double value = p->element == sizeof(double) ? ((const double *)c->result)[i]
                                                    : (double)((const float *)c->result)[i];
        sum += value * value * (double)(1 + i % 7);
    }
    return sqrt(sum / (double)c->results);
}

static void call(const problem *p, const contender *c)
{
    cvl_status status = c->call(p, c->which);
    if (status != CVL_OK)
        fail(c->pass, cvl_status_string(status));
}

/* ---------------------------------------------------------------- time */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Seconds of `calls` calls, each; of one call after a sweep if cold. */
static double time_round(const problem *p, const contender *c, int cache, int calls,
                         const machine *m)
{
    if (cache == COLD)
        machine_sweep(m);
    double start = now();
    for (int i = 0; i < calls; i++)
        call(p, c);
    return (now() - start) / calls;
}

/* All algorithms of a pass, in all states of the caches, in turn. */
static void time_pass(const row *r, const problem *p, const contender *c, int count,
                      const options *o, const machine *m)
{
    static double seconds[MOST_CONTENDERS][CACHES][MOST_ROUNDS];
    int calls[MOST_CONTENDERS], rounds = o->rounds;
    double first = NAN, least = INFINITY; /* of a call */
    for (int i = 0; i < count; i++) {
        double once = time_round(p, &c[i], WARM, 1, m);
        if (count > 1) {
            double result = fingerprint(p, &c[i]);
            if (fabs(result - first) > 1e-4 * first)
                fail("another result: ", c[i].algorithm);
            first = isnan(first) ? result : first;
        }
        if (once < 10 * o->round_seconds) /* the first call may have been slow */
            once = time_round(p, &c[i], WARM, 1, m);
        calls[i] = once < o->round_seconds ? (int)(o->round_seconds / once) : 1;
        least = fmin(least, once);
    }
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < count; i++) {
            if (list_has(o->caches, cache_names[COLD]))
                seconds[i][COLD][round] = time_round(p, &c[i], COLD, 1, m);
            else
                call(p, &c[i]); /* what the others left in the caches is not ours */
            if (list_has(o->caches, cache_names[WARM])) {
                seconds[i][WARM][round] = time_round(p, &c[i], WARM, calls[i], m);
                least = fmin(least, seconds[i][WARM][round]);
            }
        }
        if (least > o->long_seconds)
            rounds = round + 1;
    }
    for (int i = 0; i < count; i++)
        for (int cache = 0; cache < CACHES; cache++) {
            if (!list_has(o->caches, cache_names[cache]))
                continue;
            double *all = seconds[i][cache];
            qsort(all, (size_t)rounds, sizeof(double), by_value);
            double median = (all[(rounds - 1) / 2] + all[rounds / 2]) / 2;
            report_row(r, &c[i], cache, all[0], median, o, m);
        }
}

void time_row(const row *r, const operation *op, const options *o, const machine *m)
{
    problem p = {.kind = op->kind,
                 .element = m->element,
                 .options = o,
                 .loops = m->loops,
                 .run = CVL_EXEC_INIT};
    memcpy(p.n, r->n, sizeof p.n);
    p.run.threads = m->threads;
    op->make(&p);
    p.run.workspace = pages(p.run.workspace_bytes);
    for (int i = 0, next; i < p.count; i = next) {
        const contender *c = &p.contenders[i];
        for (next = i + 1; next < p.count && strcmp(p.contenders[next].pass, c->pass) == 0;)
            next++;
        if (list_has(o->passes, c->pass) && (!*r->passes || list_has(r->passes, c->pass)))
            time_pass(r, &p, c, next - i, o, m);
    }
    free(p.run.workspace);
    for (int i = 0; i < p.block_count; i++)
        free(p.blocks[i]);
}
