/* loops.c: see loops.h. Vectors are GCC's, as wide as the level's registers. */
#include "loops.h"

#include <string.h>

#if defined(CVL_F32)
typedef float T;
#define DTYPE f32
#else
typedef double T;
#define DTYPE f64
#endif

#if defined(CVL_LEVEL_AVX512)
#define VECTOR_BYTES 64
#elif defined(CVL_LEVEL_AVX2)
#define VECTOR_BYTES 32
#else
#define VECTOR_BYTES 16
#endif

typedef T vector __attribute__((vector_size(VECTOR_BYTES), may_alias));
#define VL ((ptrdiff_t)(VECTOR_BYTES / sizeof(T)))

#define NAME__(dtype, isa) loops_##dtype##__##isa
#define NAME_(dtype, isa) NAME__(dtype, isa)
#define NAME NAME_(DTYPE, CVL_ISA)

/* Not a vector and a scalar added: where float is computed as double, that is a narrowing. */
static vector all_of(T value)
{
    vector all;
    for (ptrdiff_t lane = 0; lane < VL; lane++)
        all[lane] = value;
    return all;
}

/* Independent chains: two units of latency 5 are busy, and sixteen registers suffice. */
#define CHAINS 12

static void multiply_add(ptrdiff_t repetitions)
{
    volatile T half = (T)0.5; /* volatile, so that nothing is computed beforehand */
    vector a = all_of(half), c = a + a, chain[CHAINS];
    for (int i = 0; i < CHAINS; i++)
        chain[i] = a * all_of((T)i);
    for (ptrdiff_t r = 0; r < repetitions; r++)
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++)
            chain[i] = chain[i] * a + c; /* goes to c / (1 - a) = 2 */
    for (int i = 0; i < CHAINS; i++)
        half = chain[i][0];
}

/* What goes through memory goes through several places of it at once, which keeps more lines on
 * their way than one. */
static double read_all(ptrdiff_t n, const void *a)
{
    const vector *from = a;
    vector sum[4] = {{0}};
    ptrdiff_t quarter = n / VL / 4;
    for (ptrdiff_t i = 0; i < quarter; i++)
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++)
            sum[j] += from[j * quarter + i];
    vector all = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    double total = 0;
    for (ptrdiff_t lane = 0; lane < VL; lane++)
        total += (double)all[lane];
    return total;
}

static void fill(ptrdiff_t n, void *a)
{
    volatile T zero = (T)0; /* volatile, so that it is not taken for a memset */
    vector *to = a, value = all_of(zero);
    ptrdiff_t quarter = n / VL / 4;
    for (ptrdiff_t i = 0; i < quarter; i++)
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++)
            to[j * quarter + i] = value;
}

/* The part of the KW taps that lies inside a row of the input: columns [from, from + taps) of x are
 * taps [skipped, skipped + taps). */
typedef struct span {
    ptrdiff_t from, skipped, taps;
} span;

static span inside(const cvl_conv2d *d, ptrdiff_t ow)
{
    ptrdiff_t first = ow * d->SW - d->PL, last = first + d->KW;
    span s = {first < 0 ? 0 : first, first < 0 ? -first : 0, 0};
    s.taps = (last < d->W ? last : d->W) - s.from;
    if (s.taps < 0)
        s.taps = 0;
    return s;
}

static void im2col(const cvl_conv2d *d, ptrdiff_t OH, ptrdiff_t OW, ptrdiff_t begin, ptrdiff_t end,
                   void *columns, const void *x)
{
    ptrdiff_t C = d->C, row = d->KW * C;
    T *to = (T *)columns + begin * d->KH * row;
    for (ptrdiff_t m = begin; m < end; m++) {
        ptrdiff_t n = m / (OH * OW), oh = m / OW % OH;
        span s = inside(d, m % OW);
        for (ptrdiff_t kh = 0; kh < d->KH; kh++, to += row) {
            ptrdiff_t ih = oh * d->SH - d->PT + kh;
            if (ih < 0 || ih >= d->H || s.taps == 0) {
                memset(to, 0, sizeof(T) * (size_t)row);
                continue;
            }
            const T *from = (const T *)x + ((n * d->H + ih) * d->W + s.from) * C;
            ptrdiff_t zeros = s.skipped * C, copied = s.taps * C;
            memset(to, 0, sizeof(T) * (size_t)zeros);
            memcpy(to + zeros, from, sizeof(T) * (size_t)copied);
            memset(to + zeros + copied, 0, sizeof(T) * (size_t)(row - zeros - copied));
        }
    }
}

static void col2im(const cvl_conv2d *d, ptrdiff_t OH, ptrdiff_t OW, ptrdiff_t begin, ptrdiff_t end,
                   void *dx, const void *columns)
{
    ptrdiff_t C = d->C, row = d->KW * C, image = d->H * d->W * C;
    memset((T *)dx + begin * image, 0, sizeof(T) * (size_t)((end - begin) * image));
    const T *from = (const T *)columns + begin * OH * OW * d->KH * row;
    for (ptrdiff_t m = begin * OH * OW; m < end * OH * OW; m++) {
        ptrdiff_t n = m / (OH * OW), oh = m / OW % OH;
        span s = inside(d, m % OW);
        for (ptrdiff_t kh = 0; kh < d->KH; kh++, from += row) {
            ptrdiff_t ih = oh * d->SH - d->PT + kh;
            if (ih < 0 || ih >= d->H)
                continue;
            T *to = (T *)dx + ((n * d->H + ih) * d->W + s.from) * C;
            const T *addend = from + s.skipped * C;
            for (ptrdiff_t i = 0; i < s.taps * C; i++)
                to[i] += addend[i];
        }
    }
}

const loop_set NAME = {2 * CHAINS * VL, multiply_add, read_all, fill, im2col, col2im};
