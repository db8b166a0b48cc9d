/* cpu.c: the choice of the ISA level, once, and the floating-point control word. */
#include "cpu.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "convlet.h"

#if defined(__x86_64__) || defined(_M_X64)
#include <xmmintrin.h>
#endif

#define LEVEL(isa) {#isa, &cvl_kernels_f32__##isa, &cvl_kernels_f64__##isa}

/* Worst first. The conditions name exactly the flags meson.build compiles each level with. */
static const cvl_level levels[] = {
    LEVEL(baseline),
#ifdef CVL_HAVE_AVX2
    LEVEL(avx2),
#endif
#ifdef CVL_HAVE_AVX512
    LEVEL(avx512),
#endif
#ifdef CVL_HAVE_NEON
    LEVEL(neon),
#endif
};
static const int level_count = (int)(sizeof levels / sizeof levels[0]);

static int runs_here(const cvl_level *level)
{
#ifdef CVL_HAVE_AVX2
    int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (strcmp(level->name, "avx2") == 0)
        return avx2;
    if (strcmp(level->name, "avx512") == 0)
        return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
#endif
#if defined(__x86_64__)
    if (strcmp(level->name, "baseline") == 0)
        return __builtin_cpu_supports("sse4.2");
#endif
    (void)level;
    return 1;
}

static const cvl_level *choose_level(void)
{
    const char *wanted = getenv("CONVLET_ISA");
    const cvl_level *best = NULL;
    for (int i = 0; i < level_count; i++)
        if (runs_here(&levels[i]) && (!wanted || !*wanted || strcmp(wanted, levels[i].name) == 0))
            best = &levels[i];
    return best;
}

const cvl_level *cvl_active_level(void)
{
    /* Two threads may choose at once; they choose the same. A refused level is looked up again. */
    static _Atomic(const cvl_level *) chosen = NULL;
    const cvl_level *level = atomic_load_explicit(&chosen, memory_order_acquire);
    if (!level) {
        level = choose_level();
        atomic_store_explicit(&chosen, level, memory_order_release);
    }
    return level;
}

const char *cvl_isa(void)
{
    const cvl_level *level = cvl_active_level();
    return level ? level->name : NULL;
}

const char *cvl_isa_available(int i)
{
    for (int level = 0; level < level_count; level++)
        if (runs_here(&levels[level]) && i-- == 0)
            return levels[level].name;
    return NULL;
}

#if defined(__x86_64__) || defined(_M_X64)

#define FLUSH_RESULTS 0x8000u
#define FLUSH_INPUTS 0x0040u

cvl_fp_state cvl_fp_flush_subnormals(void)
{
    unsigned int saved = _mm_getcsr();
    _mm_setcsr(saved | FLUSH_RESULTS | FLUSH_INPUTS);
    return saved;
}

void cvl_fp_restore(cvl_fp_state saved)
{
    /* Exception flags raised meanwhile stay raised, as they would without the excursion. */
    const unsigned int control = FLUSH_RESULTS | FLUSH_INPUTS;
    _mm_setcsr((_mm_getcsr() & ~control) | ((unsigned int)saved & control));
}

#elif defined(__aarch64__)

#define FLUSH (1ull << 24)

cvl_fp_state cvl_fp_flush_subnormals(void)
{
    cvl_fp_state saved;
    __asm__ volatile("mrs %0, fpcr" : "=r"(saved));
    __asm__ volatile("msr fpcr, %0" : : "r"(saved | FLUSH));
    return saved;
}

void cvl_fp_restore(cvl_fp_state saved) { __asm__ volatile("msr fpcr, %0" : : "r"(saved)); }

#else

cvl_fp_state cvl_fp_flush_subnormals(void) { return 0; }

void cvl_fp_restore(cvl_fp_state saved) { (void)saved; }

#endif
