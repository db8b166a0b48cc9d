/* cpu.c: the choice of the ISA level, once, and the floating-point control word. */
#include "cpu.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "convlet.h"

#if defined(__x86_64__) || defined(_M_X64)
#include <cpuid.h>
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

#if defined(__x86_64__) || defined(_M_X64)

/* Registers that the system saves for its threads, as bits of XCR0; macOS turns those of AVX-512 on at
 * their first use. */
#define SAVES_AVX 0x06u
#if defined(__APPLE__)
#define SAVES_AVX512 SAVES_AVX
#else
#define SAVES_AVX512 0xe6u
#endif
#ifdef CVL_EMULATED
#define AVX512_IS_EMULATED 1
#else
#define AVX512_IS_EMULATED 0
#endif

static unsigned int saved_registers(void)
{
    unsigned int low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

/* By CPUID, as __builtin_cpu_supports does with the help of a library that not every linker brings. */
static int runs_here(const cvl_level *level)
{
    const unsigned int fma = 1u << 12, sse42 = 1u << 20, xgetbv = 1u << 27, avx = 1u << 28;
    const unsigned int avx2 = 1u << 5;
    const unsigned int avx512 = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31; /* F, DQ, BW, VL */
    unsigned int a, b, c1, b7 = 0, c, d;
    if (!__get_cpuid(1, &a, &b, &c1, &d))
        return 0;
    if (strcmp(level->name, "baseline") == 0)
        return (c1 & sse42) != 0;
    const unsigned int saved = c1 & xgetbv ? saved_registers() : 0;
    if (!__get_cpuid_count(7, 0, &a, &b7, &c, &d) || !(c1 & fma) || !(c1 & avx) || !(b7 & avx2))
        return 0;
    if (strcmp(level->name, "avx2") == 0 || AVX512_IS_EMULATED)
        return (saved & SAVES_AVX) == SAVES_AVX;
    return (b7 & avx512) == avx512 && (saved & SAVES_AVX512) == SAVES_AVX512;
}

static int reports_half_units(void)
{
    /* Where CPUs report the width of their units at all: those of AMD, at first of 256 bits. */
    const unsigned int widths = 0x8000001au, fp512 = 1u << 3;
    unsigned int a, b, c, d;
    return __get_cpuid(widths, &a, &b, &c, &d) && !(a & fp512);
}

#else

static int runs_here(const cvl_level *level)
{
    (void)level;
    return 1;
}

static int reports_half_units(void) { return 0; }

#endif

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

int cvl_has_half_units(void)
{
    /* Asked once: virtual machines take longer to answer than many a call. */
    static _Atomic int answer = -1;
    int half = atomic_load_explicit(&answer, memory_order_relaxed);
    if (half < 0) {
        half = reports_half_units();
        atomic_store_explicit(&answer, half, memory_order_relaxed);
    }
    return half;
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
