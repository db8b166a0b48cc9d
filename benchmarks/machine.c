/* machine.c: see machine.h. */
#define _POSIX_C_SOURCE 200809L

#include "machine.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifdef _OPENMP
#include <omp.h>
#endif

#include "convlet.h"

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

/* One loop of the machine on each of `threads` threads: which = -1 multiplies and adds, 0 reads,
 * 1 copies, 2 is the triad, over n elements a thread. Returns operations or bytes. */
static double machine_loop(const machine *m, int threads, int which, ptrdiff_t n)
{
    double done = 0;
    (void)threads; /* where there is no OpenMP */
#ifdef _OPENMP
#pragma omp parallel num_threads(threads) reduction(+ : done)
#endif
    {
#ifdef _OPENMP
        size_t begin = (size_t)omp_get_thread_num() * (size_t)m->far * m->element;
#else
        size_t begin = 0;
#endif
        if (which < 0) {
            done += m->loops->multiply_add(n);
        } else {
            done += (which + 1.0) * (double)n * (double)m->element;
            if (which == 0 && isnan(m->loops->read(n, m->b + begin)))
                done = NAN;
            if (which == 1)
                m->loops->copy(n, m->a + begin, m->b + begin);
            if (which == 2)
                m->loops->triad(n, m->a + begin, m->b + begin, m->c + begin);
        }
    }
    return done;
}

/* The best rate of `runs` runs, each of so many repetitions that it lasts half a round. */
static double machine_rate(const machine *m, int threads, int which, ptrdiff_t n, int runs)
{
    double best = 0, quickest = INFINITY; /* of one repetition */
    int repetitions = 1;
    for (int run = 0; run < runs;) {
        double done = 0, start = now();
        for (int i = 0; i < repetitions; i++)
            done += machine_loop(m, threads, which, n);
        double seconds = now() - start;
        best = fmax(best, done / seconds);
        quickest = fmin(quickest, seconds / repetitions);
        if (quickest * repetitions < ROUND_SECONDS / 2)
            repetitions *= 2;
        else
            run++;
    }
    return best;
}

static size_t last_level_cache(void)
{
#ifdef _SC_LEVEL3_CACHE_SIZE
    long bytes = sysconf(_SC_LEVEL3_CACHE_SIZE);
    if (bytes > 0)
        return (size_t)bytes;
#endif
    return (size_t)32 << 20;
}

/* The peak of one thread and of all. For seconds at a time virtual cores may share one real core: a
 * team that is no faster than one thread is tried again, up to 5 seconds. */
static void measure_peak(machine *m)
{
    double enough = 0.75 * m->threads, end = now() + 5;
    do {
        m->peak[0] = fmax(m->peak[0], machine_rate(m, 1, -1, 100000, 40));
        m->peak[1] = fmax(m->peak[1], machine_rate(m, m->threads, -1, 100000, 40));
    } while (m->peak[1] < enough * m->peak[0] && now() < end);
}

void machine_measure(machine *m, int threads, int f64)
{
    m->loops = loops_of_level(cvl_isa(), f64);
    m->threads = threads;
    m->element = f64 ? sizeof(double) : sizeof(float);
    m->near = (ptrdiff_t)(((size_t)128 << 10) / m->element);
    size_t share = (2 * last_level_cache() / (size_t)m->threads + 4095) / 4096 * 4096;
    m->far = (ptrdiff_t)(share / m->element);
    char **arrays[] = {&m->a, &m->b, &m->c};
    for (int i = 0; i < COUNT(arrays); i++) {
        *arrays[i] = pages(share * (size_t)m->threads);
        memset(*arrays[i], 0, share * (size_t)m->threads);
    }
    measure_peak(m);
    for (int all = 0; all < 2; all++) {
        int team = all ? m->threads : 1;
        for (int which = 0; which < 3; which++) {
            m->bandwidth[all][0][which] = machine_rate(m, team, which, m->near, 40);
            m->bandwidth[all][1][which] = machine_rate(m, team, which, m->far, 5);
        }
    }
}

void machine_free(machine *m)
{
    free(m->a);
    free(m->b);
    free(m->c);
}

void machine_sweep(const machine *m) { machine_loop(m, m->threads, 0, m->far); }
