/* cvlbench: times the operators of convlet.h, beside the limits of the machine.
 *
 *     cvlbench [options] TABLE...
 *
 * A TABLE has a line for each problem: the name of an operator, the passes of it (all of them unless
 * said), its numbers, a remark. --list prints the names, and what the numbers mean. A line of
 * numbers alone is a conv2d.
 *     conv2d:forward,backward_weights  32 32 32 3 16 3 1 1 1   # N H W C OC K S P G
 * Without a TABLE it measures the machine alone.
 *
 *   --isa LIST        levels of the library: baseline, avx2, avx512, neon, or all  (CONVLET_ISA)
 *   --dtype LIST      of f32,f64                                                   (f32)
 *   --threads LIST    numbers of threads                                          (all of them)
 *   --cache LIST      of warm,cold: cold sweeps the caches before each call        (warm)
 *   --operator LIST   of the operators of the tables                               (all)
 *   --pass LIST       of their passes                                              (all)
 *   --algorithm LIST  of convolution: auto,im2col,winograd,winograd2, packed (auto, weights packed
 *                     beforehand), im2col+gemm (the columns of the whole batch, written out, and
 *                     cvl_linear: the textbook's way, as a yardstick). What has no path for a shape
 *                     is left out                                        (auto,im2col+gemm)
 *   --only TEXT       the lines of the tables that hold TEXT
 *   --rounds N        rounds in which everything timed of a pass takes turns       (15)
 *   --short           every level, both types, one thread and all, warm and cold, but auto alone,
 *                     and 2 short rounds, 1 of what takes over 3 ms; memory is measured, and
 *                     swept, by 16 MB a thread, though caches may hold them; options that are
 *                     given stand
 *   --json            one JSON object in place of the tables
 *
 * The limits of each level, type and team are measured first: the best of many short runs of
 * multiply-adds in registers (the peak), and of reading and filling in L1, L2, L3 and beyond. A call
 * can take no less than the most of
 *     operations / peak,
 *     bytes fetched / bandwidth of reading at the nearest level that holds all its arrays,
 *     bytes written / bandwidth of filling there,
 *     when cold: bytes read for the first time / bandwidth of reading memory;
 * `limit` names what binds it, `of limit` is that time over the least time, and the rate is of the
 * operations or bytes that bind. Both are those of the definition in convlet.h, padding included,
 * whatever the algorithm did; machine.h and bench.h say how they are counted. What is above 1 skipped
 * some (padding, Winograd), or lies between two levels.
 *
 * A round times calls that together last a millisecond, or one call after a sweep; min and median
 * are over rounds.
 *
 * JSON: {"program": "cvlbench", "schema": 1, "backend": as cvl_thread_backend, "runs": [RUN...]}
 *   RUN: isa, dtype, threads; peak_gflops; cache_bytes {L1, L2, L3}; gbytes {L1, L2, L3, memory:
 *        {read, fill}}; results [ROW...]
 *   ROW: table, operator, numbers [...], remark, pass; algorithm, chosen (conv2d, else null);
 *        cache "warm" | "cold"; min_us, median_us; of one call: flop, read_bytes, written_bytes,
 *        held_bytes (of all its arrays), again_bytes (the part of read_bytes that was read or
 *        written before); gflops, gbytes (read and written), by min_us; level "L1" | "L2" | "L3" |
 *        "memory" (the nearest that holds all arrays); limit "peak" or a level; limit_us;
 *        of_limit (limit_us / min_us) */
#define _GNU_SOURCE /* _Fork */

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef _OPENMP
#include <omp.h>
#endif

#include "cvlbench/run.h"

const char *const cache_names[CACHES] = {"warm", "cold"};

static int positive(const char *text, int most)
{
    char *end;
    long value = strtol(text, &end, 10);
    if (end == text || value < 1 || value > most)
        fail("a number out of range: ", text);
    return (int)value;
}

static int most_threads(void)
{
    if (strcmp(cvl_thread_backend(), "none") == 0)
        return 1;
#ifdef _OPENMP
    return omp_get_max_threads();
#else
    return (int)sysconf(_SC_NPROCESSORS_ONLN);
#endif
}

static void read_threads(options *o, const char *list)
{
    o->teams = 0;
    for (const char *at = list; *at;) {
        if (o->teams == MOST_TEAMS)
            fail("too many numbers of threads: ", list);
        o->threads[o->teams++] = positive(at, MOST_THREADS);
        at += strcspn(at, ",");
        at += *at == ',';
    }
}

/* Ends the program where the list has a name that is not among the `count` names. */
static const char *checked(const char *list, const char *const *names, int count)
{
    int found = 0, words = 1;
    for (const char *at = list; *at; at++)
        words += *at == ',';
    for (int i = 0; i < count; i++)
        found += list_has(list, names[i]);
    if (found != words)
        fail("unknown name in ", list);
    return list;
}

static void list_operators(void)
{
    const operation *op;
    for (int i = 0; (op = operator_at(0, i)); i++)
        printf("%-24s%s\n", op->name, op->numbers);
    exit(0);
}

static void read_short(options *o)
{
    o->levels = "all";
    o->dtypes = "f32,f64";
    o->caches = "warm,cold";
    o->algorithms = "auto";
    o->rounds = 2;
    o->round_seconds = 3e-4;
    o->long_seconds = 3e-3;
    o->most_bytes = (size_t)16 << 20;
    o->threads[0] = 1;
    o->threads[1] = most_threads();
    o->teams = o->threads[1] > 1 ? 2 : 1;
}

static void read_option(options *o, const char *name, const char *value)
{
    static const char *const dtypes[] = {"f32", "f64"};
    static const char *const levels[] = {"all", "baseline", "avx2", "avx512", "neon"};
    static const char *const algorithms[] = {"auto",      "im2col", "winograd",
                                             "winograd2", "packed", "im2col+gemm"};
    if (strcmp(name, "isa") == 0)
        o->levels = checked(value, levels, COUNT(levels));
    else if (strcmp(name, "dtype") == 0)
        o->dtypes = checked(value, dtypes, COUNT(dtypes));
    else if (strcmp(name, "threads") == 0)
        read_threads(o, value);
    else if (strcmp(name, "cache") == 0)
        o->caches = checked(value, cache_names, CACHES);
    else if (strcmp(name, "operator") == 0)
        o->operators = value;
    else if (strcmp(name, "pass") == 0)
        o->passes = value;
    else if (strcmp(name, "algorithm") == 0)
        o->algorithms = checked(value, algorithms, COUNT(algorithms));
    else if (strcmp(name, "only") == 0)
        o->only = value;
    else if (strcmp(name, "rounds") == 0)
        o->rounds = positive(value, MOST_ROUNDS);
    else
        fail("unknown option: --", name);
}

/* Reads the options and returns the index of the first table. */
static int read_options(int argc, char **argv, options *o)
{
    *o = (options){.dtypes = "f32",
                   .caches = "warm",
                   .algorithms = "auto,im2col+gemm",
                   .threads = {most_threads()},
                   .teams = 1,
                   .rounds = 15,
                   .round_seconds = 1e-3,
                   .long_seconds = INFINITY,
                   .most_bytes = SIZE_MAX};
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--short") == 0)
            read_short(o);
    int i = 1;
    for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
        const char *name = argv[i] + 2;
        if (strcmp(name, "short") == 0)
            continue;
        if (strcmp(name, "list") == 0)
            list_operators();
        if (strcmp(name, "json") == 0)
            o->is_json = 1;
        else if (!argv[i + 1])
            fail("no value, or an unknown option: --", name);
        else
            read_option(o, name, argv[++i]);
    }
    return i;
}

/* Every type and team at the level in use. */
static void run_level(const options *o, char **tables, int is_first)
{
    if (!cvl_isa())
        fail("this CPU lacks the level ", getenv("CONVLET_ISA"));
    for (int f64 = 0; f64 < 2; f64++)
        for (int team = 0; list_has(o->dtypes, f64 ? "f64" : "f32") && team < o->teams; team++) {
            machine m;
            machine_measure(&m, o->threads[team], f64, o->round_seconds, o->most_bytes);
            report_run(o, &m, is_first);
            is_first = 0;
            for (char **table = tables; *table; table++)
                table_read(*table, f64, o, time_row, &m);
            report_run_end(o);
            machine_free(&m);
        }
}

/* A process that is not taken for the child of a fork, in which the library would stay on one
 * thread: this one has had no team yet. */
static pid_t start_child(void)
{
#ifdef HAVE__FORK
    return _Fork();
#else
    return fork();
#endif
}

/* Each level in a process of its own: the library chooses once. */
static void run_levels(const options *o, char **tables)
{
    int is_first = 1;
    const char *level;
    for (int i = 0; (level = cvl_isa_available(i)); i++) {
        if (!list_has(o->levels, "all") && !list_has(o->levels, level))
            continue;
        pid_t child = start_child();
        if (child < 0)
            fail("cannot start a process for ", level);
        if (child == 0) {
            setenv("CONVLET_ISA", level, 1);
            run_level(o, tables, is_first);
            exit(0);
        }
        int status;
        if (waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status))
            exit(1);
        is_first = 0;
    }
    if (is_first)
        fail("this CPU lacks ", o->levels);
}

int main(int argc, char **argv)
{
    options o;
    char **tables = argv + read_options(argc, argv, &o);
    report_begin(&o);
    if (o.levels)
        run_levels(&o, tables);
    else
        run_level(&o, tables, 1);
    report_end(&o);
    return 0;
}
