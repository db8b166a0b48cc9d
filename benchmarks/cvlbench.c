/* cvlbench: times the convolutions of convlet.h, beside the limits of the machine.
 *
 *     cvlbench [options] TABLE...        a TABLE has a shape a line: N H W C OC K S P G
 *
 *   --pass LIST       of forward,backward_data,backward_weights                   (all)
 *   --algorithm LIST  of auto,im2col,winograd,winograd2,im2col+gemm   (auto,im2col+gemm)
 *                     the last one writes the columns of the whole batch and multiplies them by
 *                     cvl_linear: the textbook's way, as a yardstick. What has no path for a shape
 *                     is left out
 *   --cache LIST      of warm,cold: cold sweeps the caches before each call       (warm)
 *   --only TEXT       the lines of the tables that hold TEXT
 *   --threads N       (as many as OpenMP offers)
 *   --isa LEVEL       baseline, avx2, avx512, neon                                (CONVLET_ISA)
 *   --dtype TYPE      f32, f64                                                    (f32)
 *   --rounds N        rounds in which everything timed takes turns                (15)
 *   --json            one JSON object in place of the table
 *
 * Without a TABLE it measures the machine alone. Peak and bandwidth are those of the chosen level
 * and type, measured first: the best of many short runs. Bytes are those that the loops name, a
 * write counting once. A round times calls that together last a millisecond, or one call after a
 * sweep; min and median are over rounds. GFLOP/s counts 2*N*OH*OW*OC*(C/G)*K*K, padding included,
 * against the minimum, whatever the algorithm did: skipped padding and Winograd pass 100 %. */
#define _POSIX_C_SOURCE 200809L

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef _OPENMP
#include <omp.h>
#endif

#include "convlet.h"
#include "machine.h"

#define MAX_ROUNDS 1000

/* ---------------------------------------------------------------- names of what is timed */

enum {
    FORWARD = CVL_CONV2D_FORWARD,
    BACKWARD_DATA = CVL_CONV2D_BACKWARD_DATA,
    BACKWARD_WEIGHTS = CVL_CONV2D_BACKWARD_WEIGHTS
};
static const char *const pass_names[] = {"forward", "backward_data", "backward_weights"};
#define PASSES COUNT(pass_names)

/* The values of cvl_conv2d_algorithm, and one more. */
enum { IM2COL_GEMM = CVL_CONV2D_WINOGRAD2 + 1 };
static const char *const algorithm_names[] = {"auto", "im2col", "winograd", "winograd2",
                                              "im2col+gemm"};
#define ALGORITHMS COUNT(algorithm_names)

enum { WARM, COLD };
static const char *const cache_names[] = {"warm", "cold"};
#define CACHES COUNT(cache_names)

typedef struct options {
    int pass[PASSES], algorithm[ALGORITHMS], cache[CACHES];
    const char *only;
    int threads, f64, rounds, json;
} options;

static void machine_print(const machine *m, const options *o)
{
    const char *format =
        o->json ? "{\"isa\": \"%s\", \"dtype\": \"%s\", \"threads\": %d, \"backend\": \"%s\",\n"
                : "%s, %s, %d threads by %s\n";
    printf(format, cvl_isa(), o->f64 ? "f64" : "f32", m->threads, cvl_thread_backend());
    const char *counts[] = {"one_thread", "all_threads"};
    for (int all = 0; all < 2; all++) {
        const double (*bytes)[3] = m->bandwidth[all];
        format = o->json ? " \"%s\": {\"peak_gflops\": %.2f, \"near_gbytes\": [%.1f, %.1f, %.1f], "
                           "\"far_gbytes\": [%.1f, %.1f, %.1f]},\n"
                         : "%-12s peak %.1f GFLOP/s; read, copy, triad: in L2 %.0f, %.0f, %.0f, "
                           "beyond L3 %.0f, %.0f, %.0f GB/s\n";
        printf(format, counts[all], m->peak[all] * 1e-9, bytes[0][0] * 1e-9, bytes[0][1] * 1e-9,
               bytes[0][2] * 1e-9, bytes[1][0] * 1e-9, bytes[1][1] * 1e-9, bytes[1][2] * 1e-9);
    }
}

/* ---------------------------------------------------------------- one convolution */

typedef struct problem {
    cvl_conv2d d;
    ptrdiff_t OH, OW;
    int f64;
    void *x, *w, *dy;       /* inputs */
    void *output[PASSES];   /* y, dx, dw */
    ptrdiff_t size[PASSES]; /* their elements */
    void *columns;          /* NULL with groups */
    cvl_exec run;
} problem;

static void *random_array(ptrdiff_t n, int f64)
{
    void *array = pages((size_t)n * (f64 ? sizeof(double) : sizeof(float)));
    uint64_t state = (uint64_t)n;
    for (ptrdiff_t i = 0; i < n; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        double value = (double)(state >> 40) * 0x1p-23 - 1;
        if (f64)
            ((double *)array)[i] = value;
        else
            ((float *)array)[i] = (float)value;
    }
    return array;
}

static cvl_linear as_linear(const problem *p)
{
    cvl_linear l = CVL_LINEAR_INIT;
    l.M = p->d.N * p->OH * p->OW;
    l.IN = p->d.KH * p->d.KW * p->d.C;
    l.OUT = p->d.OC;
    return l;
}

static cvl_conv2d with_algorithm(const problem *p, int algorithm)
{
    cvl_conv2d d = p->d;
    d.algorithm = (cvl_conv2d_algorithm)algorithm;
    return d;
}

/* What `auto` comes to, or CVL_CONV2D_AUTO where the algorithm has no path. */
static cvl_conv2d_algorithm chosen(const problem *p, int pass, int algorithm)
{
    cvl_conv2d d = with_algorithm(p, algorithm);
    cvl_conv2d_algorithm choice = CVL_CONV2D_AUTO;
    cvl_status status = p->f64 ? cvl_conv2d_choose_f64(&d, (cvl_conv2d_pass)pass, &choice, NULL)
                               : cvl_conv2d_choose_f32(&d, (cvl_conv2d_pass)pass, &choice, NULL);
    return status == CVL_OK ? choice : CVL_CONV2D_AUTO;
}

/* What all passes need at most, by convolution with this algorithm or by cvl_linear. */
static size_t workspace_size(const problem *p, int algorithm, int threads)
{
    cvl_conv2d with = with_algorithm(p, algorithm), *d = &with;
    cvl_linear l = as_linear(p);
    size_t needs[] = {
        p->f64 ? cvl_conv2d_forward_workspace_size_f64(d, threads)
               : cvl_conv2d_forward_workspace_size_f32(d, threads),
        p->f64 ? cvl_conv2d_backward_data_workspace_size_f64(d, threads)
               : cvl_conv2d_backward_data_workspace_size_f32(d, threads),
        p->f64 ? cvl_conv2d_backward_weights_workspace_size_f64(d, threads)
               : cvl_conv2d_backward_weights_workspace_size_f32(d, threads),
        p->f64 ? cvl_linear_forward_workspace_size_f64(&l, threads)
               : cvl_linear_forward_workspace_size_f32(&l, threads),
        p->f64 ? cvl_linear_backward_data_workspace_size_f64(&l, threads)
               : cvl_linear_backward_data_workspace_size_f32(&l, threads),
        p->f64 ? cvl_linear_backward_weights_workspace_size_f64(&l, threads)
               : cvl_linear_backward_weights_workspace_size_f32(&l, threads),
    };
    size_t most = 0;
    for (int i = 0; i < COUNT(needs); i++)
        most = needs[i] > most ? needs[i] : most;
    return most;
}

static void problem_make(problem *p, const cvl_conv2d *d, const options *o)
{
    *p = (problem){.d = *d, .f64 = o->f64, .run = CVL_EXEC_INIT};
    cvl_status status = cvl_conv2d_output_shape(d, &p->OH, &p->OW);
    if (status != CVL_OK)
        fail("a shape of the table: ", cvl_status_string(status));
    ptrdiff_t outputs = d->N * p->OH * p->OW;
    p->size[FORWARD] = outputs * d->OC;
    p->size[BACKWARD_DATA] = d->N * d->H * d->W * d->C;
    p->size[BACKWARD_WEIGHTS] = d->KH * d->KW * (d->C / d->groups) * d->OC;
    p->x = random_array(p->size[BACKWARD_DATA], o->f64);
    p->w = random_array(p->size[BACKWARD_WEIGHTS], o->f64);
    p->dy = random_array(p->size[FORWARD], o->f64);
    for (int pass = 0; pass < PASSES; pass++)
        p->output[pass] = random_array(p->size[pass], o->f64);
    if (d->groups == 1 && o->algorithm[IM2COL_GEMM])
        p->columns = random_array(outputs * d->KH * d->KW * d->C, o->f64);
    p->run.threads = o->threads;
    for (int algorithm = 0; algorithm < IM2COL_GEMM; algorithm++) {
        size_t bytes = workspace_size(p, algorithm, o->threads);
        if (bytes > p->run.workspace_bytes)
            p->run.workspace_bytes = bytes;
    }
    p->run.workspace = pages(p->run.workspace_bytes);
}

static void problem_free(problem *p)
{
    void *arrays[] = {p->x,         p->w,         p->dy,      p->output[0],
                      p->output[1], p->output[2], p->columns, p->run.workspace};
    for (int i = 0; i < COUNT(arrays); i++)
        free(arrays[i]);
}

static cvl_status run_library(const problem *p, int pass, int algorithm)
{
    cvl_conv2d with = with_algorithm(p, algorithm), *d = &with;
    void *out = p->output[pass];
    if (pass == FORWARD)
        return p->f64 ? cvl_conv2d_forward_f64(d, out, p->x, p->w, NULL, &p->run)
                      : cvl_conv2d_forward_f32(d, out, p->x, p->w, NULL, &p->run);
    if (pass == BACKWARD_DATA)
        return p->f64 ? cvl_conv2d_backward_data_f64(d, out, p->dy, p->w, &p->run)
                      : cvl_conv2d_backward_data_f32(d, out, p->dy, p->w, &p->run);
    return p->f64 ? cvl_conv2d_backward_weights_f64(d, out, NULL, p->dy, p->x, &p->run)
                  : cvl_conv2d_backward_weights_f32(d, out, NULL, p->dy, p->x, &p->run);
}

static void make_columns(const problem *p, const loop_set *loops)
{
    ptrdiff_t rows = p->d.N * p->OH * p->OW, step = 64;
#ifdef _OPENMP
#pragma omp parallel for num_threads(p->run.threads)
#endif
    for (ptrdiff_t row = 0; row < rows; row += step) {
        ptrdiff_t end = row + step < rows ? row + step : rows;
        loops->im2col(&p->d, p->OH, p->OW, row, end, p->columns, p->x);
    }
}

static void add_columns(const problem *p, const loop_set *loops)
{
#ifdef _OPENMP
#pragma omp parallel for num_threads(p->run.threads)
#endif
    for (ptrdiff_t n = 0; n < p->d.N; n++)
        loops->col2im(&p->d, p->OH, p->OW, n, n + 1, p->output[BACKWARD_DATA], p->columns);
}

static cvl_status run_im2col_gemm(const problem *p, int pass, const loop_set *loops)
{
    cvl_linear l = as_linear(p);
    void *out = p->output[pass], *columns = p->columns;
    if (pass == BACKWARD_DATA) {
        cvl_status status = p->f64
                                ? cvl_linear_backward_data_f64(&l, columns, p->dy, p->w, &p->run)
                                : cvl_linear_backward_data_f32(&l, columns, p->dy, p->w, &p->run);
        add_columns(p, loops);
        return status;
    }
    make_columns(p, loops);
    if (pass == FORWARD)
        return p->f64 ? cvl_linear_forward_f64(&l, out, columns, p->w, NULL, &p->run)
                      : cvl_linear_forward_f32(&l, out, columns, p->w, NULL, &p->run);
    return p->f64 ? cvl_linear_backward_weights_f64(&l, out, NULL, p->dy, columns, &p->run)
                  : cvl_linear_backward_weights_f32(&l, out, NULL, p->dy, columns, &p->run);
}

static cvl_status run_once(const problem *p, int pass, int algorithm, const loop_set *loops)
{
    return algorithm == IM2COL_GEMM ? run_im2col_gemm(p, pass, loops)
                                    : run_library(p, pass, algorithm);
}

/* Whether this algorithm has a path for this problem. */
static int available(const problem *p, int pass, int algorithm, const loop_set *loops)
{
    if (algorithm == IM2COL_GEMM ? !p->columns : !chosen(p, pass, algorithm))
        return 0;
    cvl_status status = run_once(p, pass, algorithm, loops);
    if (status != CVL_OK)
        fail("a call failed: ", cvl_status_string(status));
    return 1;
}

static double element(const problem *p, int pass, ptrdiff_t i)
{
    const void *out = p->output[pass];
    return p->f64 ? ((const double *)out)[i] : (double)((const float *)out)[i];
}

/* Root of the mean square of a projection of the result, to tell different results apart. */
static double fingerprint(const problem *p, int pass)
{
    double sum = 0;
    for (ptrdiff_t i = 0; i < p->size[pass]; i++)
        sum += element(p, pass, i) * element(p, pass, i) * (double)(1 + i % 7);
    return sqrt(sum / (double)p->size[pass]);
}

/* ---------------------------------------------------------------- timing */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Seconds of `calls` calls, each; of one call after a sweep if cold. */
static double time_round(const problem *p, int pass, int algorithm, int cache, int calls,
                         const machine *m)
{
    if (cache == COLD)
        machine_sweep(m);
    double start = now();
    for (int i = 0; i < calls; i++)
        run_once(p, pass, algorithm, m->loops);
    return (now() - start) / calls;
}

static void report(const problem *p, int pass, int algorithm, int cache, double *seconds,
                   const options *o, const machine *m)
{
    static int reported = 0;
    const cvl_conv2d *d = &p->d;
    qsort(seconds, (size_t)o->rounds, sizeof(double), by_value);
    double least = seconds[0], median = (seconds[(o->rounds - 1) / 2] + seconds[o->rounds / 2]) / 2;
    double flop = 2.0 * (double)p->size[FORWARD] * (double)(d->C / d->groups * d->KH * d->KW);
    const char *format =
        o->json ? "  {\"shape\": [%td, %td, %td, %td, %td, %td, %td, %td, %td], \"pass\": \"%s\", "
                  "\"algorithm\": \"%s\", \"chosen\": \"%s\", \"cache\": \"%s\", "
                  "\"min_us\": %.2f, "
                  "\"median_us\": %.2f, \"gflops\": %.2f, \"of_peak\": %.4f}"
                : "%4td %4td %4td %5td %5td %2td %2td %2td %5td  %-17s%-12s%-12s%-5s%10.1f%10.1f"
                  "%9.1f%8.3f\n";
    if (o->json && reported++)
        printf(",\n");
    printf(format, d->N, d->H, d->W, d->C, d->OC, d->KH, d->SH, d->PT, d->groups, pass_names[pass],
           algorithm_names[algorithm],
           algorithm_names[algorithm == IM2COL_GEMM ? IM2COL_GEMM : chosen(p, pass, algorithm)],
           cache_names[cache], least * 1e6, median * 1e6, flop / least * 1e-9,
           flop / least / m->peak[1]);
    fflush(stdout);
}

/* All algorithms and cache states of a pass, in turn. */
static void time_pass(const problem *p, int pass, const options *o, const machine *m)
{
    static double seconds[ALGORITHMS][CACHES][MAX_ROUNDS];
    int calls[ALGORITHMS] = {0}; /* 0: not timed */
    double first = NAN;
    for (int algorithm = 0; algorithm < ALGORITHMS; algorithm++) {
        if (!o->algorithm[algorithm] || !available(p, pass, algorithm, m->loops))
            continue;
        double result = fingerprint(p, pass);
        if (fabs(result - first) > 1e-4 * first)
            fail("another result: ", algorithm_names[algorithm]);
        first = isnan(first) ? result : first;
        double once = time_round(p, pass, algorithm, WARM, 1, m);
        calls[algorithm] = once < ROUND_SECONDS ? (int)(ROUND_SECONDS / once) : 1;
    }
    for (int round = 0; round < o->rounds; round++)
        for (int algorithm = 0; algorithm < ALGORITHMS; algorithm++)
            for (int cache = 0; cache < CACHES; cache++) {
                if (!calls[algorithm] || !o->cache[cache])
                    continue;
                if (cache == WARM) /* what the others left in the caches is not ours */
                    run_once(p, pass, algorithm, m->loops);
                seconds[algorithm][cache][round] =
                    time_round(p, pass, algorithm, cache, cache == COLD ? 1 : calls[algorithm], m);
            }
    for (int algorithm = 0; algorithm < ALGORITHMS; algorithm++)
        for (int cache = 0; cache < CACHES; cache++)
            if (calls[algorithm] && o->cache[cache])
                report(p, pass, algorithm, cache, seconds[algorithm][cache], o, m);
}

static void time_table(const char *path, const options *o, const machine *m)
{
    FILE *table = fopen(path, "r");
    if (!table)
        fail("cannot read ", path);
    char line[512];
    while (fgets(line, sizeof line, table)) {
        ptrdiff_t K, S, P;
        cvl_conv2d d = CVL_CONV2D_INIT;
        int fields = sscanf(line, "%td %td %td %td %td %td %td %td %td", &d.N, &d.H, &d.W, &d.C,
                            &d.OC, &K, &S, &P, &d.groups);
        if (fields <= 0 || (o->only && !strstr(line, o->only)))
            continue;
        if (fields != 9)
            fail("expected N H W C OC K S P G, got ", line);
        d.KH = d.KW = K;
        d.SH = d.SW = S;
        d.PT = d.PB = d.PL = d.PR = P;
        problem p;
        problem_make(&p, &d, o);
        for (int pass = 0; pass < PASSES; pass++)
            if (o->pass[pass])
                time_pass(&p, pass, o, m);
        problem_free(&p);
    }
    fclose(table);
}

/* ---------------------------------------------------------------- the command line */

/* Sets the flags whose names the comma-separated list has. */
static void choose(const char *list, const char *const *names, int count, int *flags)
{
    memset(flags, 0, sizeof(int) * (size_t)count);
    for (const char *name = list; *name;) {
        size_t length = strcspn(name, ",");
        int found = 0;
        for (int i = 0; i < count; i++)
            if (strlen(names[i]) == length && strncmp(name, names[i], length) == 0)
                flags[i] = found = 1;
        if (!found)
            fail("unknown name in ", list);
        name += length + (name[length] == ',');
    }
}

static int positive(const char *text, int most)
{
    long value = strtol(text, NULL, 10);
    if (value < 1 || value > most)
        fail("a number out of range: ", text);
    return (int)value;
}

/* Reads the options and returns the index of the first table. */
static int read_options(int argc, char **argv, options *o)
{
    choose("forward,backward_data,backward_weights", pass_names, PASSES, o->pass);
    choose("auto,im2col+gemm", algorithm_names, ALGORITHMS, o->algorithm);
    choose("warm", cache_names, CACHES, o->cache);
    o->rounds = 15;
    o->threads = 1;
#ifdef _OPENMP
    o->threads = omp_get_max_threads();
#endif
    int i = 1;
    for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
        const char *name = argv[i] + 2;
        if (strcmp(name, "json") == 0) {
            o->json = 1;
            continue;
        }
        const char *value = argv[++i];
        if (!value)
            fail("no value, or an unknown option: --", name);
        if (strcmp(name, "pass") == 0)
            choose(value, pass_names, PASSES, o->pass);
        else if (strcmp(name, "algorithm") == 0)
            choose(value, algorithm_names, ALGORITHMS, o->algorithm);
        else if (strcmp(name, "cache") == 0)
            choose(value, cache_names, CACHES, o->cache);
        else if (strcmp(name, "only") == 0)
            o->only = value;
        else if (strcmp(name, "threads") == 0)
            o->threads = positive(value, 1024);
        else if (strcmp(name, "rounds") == 0)
            o->rounds = positive(value, MAX_ROUNDS);
        else if (strcmp(name, "isa") == 0)
            setenv("CONVLET_ISA", value, 1);
        else if (strcmp(name, "dtype") == 0 && (!strcmp(value, "f32") || !strcmp(value, "f64")))
            o->f64 = strcmp(value, "f64") == 0;
        else
            fail("unknown option or value: --", name);
    }
    return i;
}

int main(int argc, char **argv)
{
    options o = {.only = NULL};
    int tables = read_options(argc, argv, &o);
    if (!cvl_isa())
        fail("this CPU lacks the level ", getenv("CONVLET_ISA"));
    if (strcmp(cvl_thread_backend(), "none") == 0)
        o.threads = 1;
    machine m = {.threads = 1};
    machine_measure(&m, o.threads, o.f64);
    machine_print(&m, &o);
    if (o.json)
        printf(" \"results\": [\n");
    else if (tables < argc)
        printf("   N    H    W     C    OC  K  S  P     G  pass             algorithm   chosen     "
               " cache"
               "    min us median us  GFLOP/s of peak\n");
    for (int i = tables; i < argc; i++)
        time_table(argv[i], &o, &m);
    if (o.json)
        printf("]}\n");
    machine_free(&m);
    return 0;
}
