/* machine.c: see machine.h. */
#define _POSIX_C_SOURCE 200809L

#include "machine.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "convlet.h"
#include "threads.h"

const char *const level_names[LEVELS] = {"L1", "L2", "L3", "memory"};
const char *const loop_names[LOOPS] = {"read", "fill"};

void fail(const char *what, const char *detail)
{
    fflush(stdout);
    fprintf(stderr, "cvlbench: %s%s\n", what, detail);
    exit(1);
}

double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void *pages(size_t bytes)
{
    void *memory = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096 + 4096);
    if (!memory)
        fail("out of memory", "");
    return memory;
}

static const loop_set *loops_of_level(const char *isa, int f64)
{
#ifdef CVL_HAVE_AVX2
    if (strcmp(isa, "avx2") == 0)
        return f64 ? &loops_f64__avx2 : &loops_f32__avx2;
#endif
#ifdef CVL_HAVE_AVX512
    if (strcmp(isa, "avx512") == 0)
        return f64 ? &loops_f64__avx512 : &loops_f32__avx512;
#endif
#ifdef CVL_HAVE_NEON
    if (strcmp(isa, "neon") == 0)
        return f64 ? &loops_f64__neon : &loops_f32__neon;
#endif
    (void)isa;
    return f64 ? &loops_f64__baseline : &loops_f32__baseline;
}

/* A loop, or multiply-adds where which = LOOPS. */
typedef struct work {
    const machine *m;
    int which, repetitions;
    ptrdiff_t n; /* elements of a thread's own, or multiply-adds */
} work;

static void work_task(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const work *w = context;
    (void)worker;
    for (ptrdiff_t thread = begin; thread < end; thread++) {
        void *memory = w->m->memory + (size_t)thread * w->m->share;
        for (int i = 0; i < w->repetitions; i++) {
            if (w->which == LOOPS)
                w->m->loops->multiply_add(w->n);
            if (w->which == READ)
                w->m->loops->read(w->n, memory);
            if (w->which == FILL)
                w->m->loops->fill(w->n, memory);
        }
    }
}

/* Does it on each of `threads` threads, of the library's own kind. Returns operations or bytes. */
static double machine_loop(const machine *m, int threads, int which, ptrdiff_t n, int repetitions)
{
    work w = {m, which, repetitions, n};
    cvl_parallel_for(threads, threads, INFINITY, CVL_GRADUAL, work_task, &w);
    double each = which == LOOPS ? m->loops->operations : (double)m->element;
    return each * (double)n * repetitions * threads;
}

static void team_task(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    int *workers = context;
    for (ptrdiff_t task = begin; task < end; task++)
        workers[task] = worker;
}

/* Ends the program where the library has fewer threads than it is asked for. */
static void check_team(int threads)
{
    int workers[MOST_THREADS], most = 0;
    cvl_parallel_for(threads, threads, INFINITY, CVL_GRADUAL, team_task, workers);
    for (int task = 0; task < threads; task++)
        most = workers[task] > most ? workers[task] : most;
    if (most + 1 < threads)
        fail("there are fewer threads than --threads says, by ", cvl_thread_backend());
}

/* How often a loop must be repeated to last so long on one thread: on a busy machine the start of a
 * team may take longer than all it does. */
static int repetitions_for(const machine *m, int which, ptrdiff_t n, double seconds)
{
    double quickest = INFINITY; /* of one repetition */
    int repetitions = 1;
    for (int run = 0; run < 3; run++) {
        double start = now();
        machine_loop(m, 1, which, n, repetitions);
        quickest = fmin(quickest, (now() - start) / repetitions);
        if (quickest > 10 * seconds)
            break; /* once is long enough */
        if (quickest * repetitions < seconds) {
            repetitions *= 2;
            run = 0;
        }
    }
    return repetitions;
}

/* The best rate of so many runs, each of which lasts about half of `seconds`. */
static double machine_rate(const machine *m, int threads, int which, ptrdiff_t n, int runs,
                           double seconds)
{
    int repetitions = repetitions_for(m, which, n, seconds / 2);
    double best = 0;
    for (int run = 0; run < runs; run++) {
        double start = now(), done = machine_loop(m, threads, which, n, repetitions);
        best = fmax(best, done / (now() - start));
    }
    return best;
}

/* The peak of the team. For seconds at a time virtual cores may share one real core: a team that is
 * no faster than one thread is tried again, for a while. */
static void measure_peak(machine *m, double run_seconds)
{
    double enough = 0.75 * m->threads, end = now() + 5000 * run_seconds, alone = 0;
    do {
        alone = fmax(alone, machine_rate(m, 1, LOOPS, 10000, 20, run_seconds));
        m->peak = fmax(m->peak, machine_rate(m, m->threads, LOOPS, 10000, 40, run_seconds));
    } while (m->peak < enough * alone && now() < end);
}

/* Bytes of a level of the first core's caches for data, or `otherwise` where Linux does not say.
 * (sysconf gives the L3 of the whole package, of which a virtual machine may have a small part.) */
static size_t cache_size(int level, size_t otherwise)
{
    for (int index = 0; index < 8; index++) {
        char text[3][32] = {"", "", ""};
        static const char *const files[] = {"level", "type", "size"};
        for (int i = 0; i < 3; i++) {
            char path[128];
            snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/%s", index,
                     files[i]);
            FILE *file = fopen(path, "r");
            if (!file)
                return otherwise;
            if (!fgets(text[i], sizeof text[i], file))
                text[i][0] = 0;
            fclose(file);
        }
        char *unit;
        size_t size = (size_t)strtoul(text[2], &unit, 10);
        if (atoi(text[0]) == level && text[1][0] != 'I' && size)
            return size << (*unit == 'K' ? 10 : *unit == 'M' ? 20 : 0);
    }
    return otherwise;
}

/* At most so many bytes, as elements: four parts of whole lines, whose beginnings do not fall on the
 * same set of a cache. */
static ptrdiff_t in_elements(const machine *m, size_t bytes)
{
    size_t part = bytes / 4096;
    return (ptrdiff_t)(4 * ((part % 4 ? part : part - 1) * 1024 - 64) / m->element);
}

void machine_measure(machine *m, int threads, int f64, double run_seconds, size_t most_bytes)
{
    *m = (machine){.loops = loops_of_level(cvl_isa(), f64), .threads = threads};
    m->element = f64 ? sizeof(double) : sizeof(float);
    m->cache[L1] = cache_size(1, (size_t)32 << 10);
    m->cache[L2] = cache_size(2, (size_t)1 << 20);
    m->cache[L3] = cache_size(3, (size_t)32 << 20);
    /* What a thread reads or fills. Beyond L2 not by far, as the arrays of a network are; of memory
     * four times L3, as lines outlive the reading of two. */
    size_t team = (size_t)threads, past_l2 = 3 * m->cache[L2], l3_share = m->cache[L3] / team;
    size_t held[LEVELS] = {m->cache[L1] / 4 * 3, m->cache[L2] / 2,
                           past_l2 < l3_share ? past_l2 : l3_share, 4 * l3_share};
    for (int level = 0; level < LEVELS; level++)
        held[level] = held[level] < most_bytes ? held[level] : most_bytes;
    m->share = held[MEMORY] / 4096 * 4096;
    m->memory = memset(pages(m->share * team), 0, m->share * team);
    check_team(threads);
    measure_peak(m, run_seconds);
    /* Several times over, so that what disturbs them for a while disturbs none for good. */
    for (int time = 0; time < 5; time++)
        for (int level = 0; level < LEVELS; level++)
            for (int which = 0; which < LOOPS; which++) {
                ptrdiff_t n = in_elements(m, held[level]);
                double rate = machine_rate(m, threads, which, n, level < L3 ? 8 : 2, run_seconds);
                m->bandwidth[level][which] = fmax(m->bandwidth[level][which], rate);
            }
}

void machine_free(machine *m) { free(m->memory); }

void machine_sweep(const machine *m)
{
    machine_loop(m, m->threads, READ, in_elements(m, m->share), 1);
}

static int level_of(const machine *m, double held)
{
    double team = (double)m->threads;
    if (held <= team * (double)m->cache[L1])
        return L1;
    if (held <= team * (double)m->cache[L2])
        return L2;
    return held <= (double)m->cache[L3] ? L3 : MEMORY;
}

/* The limit that transport of so many elements at a level sets. */
static limit transport(const machine *m, int level, int which, double elements, int holds)
{
    double bytes = elements * (double)m->element;
    return (limit){level_names[level], bytes / m->bandwidth[level][which], bytes, holds};
}

limit machine_limit(const machine *m, const cost *c, int is_cold)
{
    int level = level_of(m, c->held * (double)m->element);
    limit binding = {"peak", c->flop / m->peak, c->flop, level};
    limit others[] = {
        transport(m, level, READ, c->held + c->again, level),
        transport(m, level, FILL, c->written, level),
        transport(m, MEMORY, READ, is_cold ? c->read - c->again : 0, level),
    };
    for (int i = 0; i < COUNT(others); i++)
        if (others[i].seconds > binding.seconds)
            binding = others[i];
    return binding;
}
