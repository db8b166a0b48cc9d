/* simd.h: vector operations, per ISA level and type. Intrinsics live in simd_<level>.h alone.
 *
 * A kernel source is compiled once per level and type with CVL_LEVEL_<ISA>, CVL_ISA=<isa> and
 * CVL_F32 or CVL_F64 defined, and is written against these names:
 *
 *   T, V, VL           element, vector, elements per vector
 *   vzero() vset1(s)   vload(p) vstore(p, v)       unaligned
 *   vload_n(p, n)      the first n (0..VL) elements, the rest 0; nothing beyond n is read
 *   vstore_n(p, v, n)  the first n elements; nothing beyond is written
 *   vload_part(p, n) vstore_part(p, v, n)          the same where n may exceed VL
 *   vadd vsub vmul vdiv vsqrt vabs
 *   vsqrt_beside(a)    vsqrt to the bit, without the divider where there is a way: for some of the
 *                      roots of a loop that the divider holds up
 *   vcopysign(a, b)    |a| with the sign of b
 *   vfma(a, b, c)      a*b + c, rounded once (twice on baseline, which has no FMA)
 *   vfnma(a, b, c)     c - a*b, likewise
 *   vmax(a, b)         a > b ? a : b, so b where either is NaN
 *   vmin(a, b)         a < b ? a : b, so b where either is NaN
 *   vgt(a, b) veq      mask of a > b, a == b; false where either is NaN
 *   vany(m) vall(m)    whether the mask holds anywhere, everywhere
 *   vselect(m, a, b)   a where m, else b
 *   vtranspose(r)      r[i][j] = r[j][i] of VL vectors
 *   vload_turned(r, p, step, rows)                 r[i][j] = p[j*step + i] of LANE vectors, of which
 *                      j < rows count: nothing else is read
 *   vload_lanes(p)     a vector of VL / LANE lanes, from p[i] on each
 *   vldexp(a, n)       a * 2^n for whole n, |n| <= 250 (f64: 2000), rounded once, but for an a or n
 *                      so small that a * 2^(n/2) is subnormal
 *   vpow2(t)           2^n of t = 1.5 * 2^23 + 127 + n (f64: 1.5 * 2^52 + 1023 + n), whose low bits
 *                      become the exponent field
 *   vload_bytes(p, n) vstore_bytes(p, v, n)        the first n (more count as VL) of bytes p[], as
 *                      numbers 0 to 255; what a load leaves out is 0
 *   vkeep(a)           a, once it is in a register: compilers load again what has several uses
 *   sfma(a, b, c)      vfma for one element
 *   H, HL              half a vector, of HL elements, on avx512 alone: hzero() hset1(s) hload(p)
 *                      hstore(p, h) hstore_n(p, h, n) hfma(a, b, c)
 *   U, UL              vector of UL integers of 64 bits: uset1(s), uload(p), ustore(p, u),
 *                      uadd(a, b), uxor(a, b), uhigh(a) = a >> 32, umul(a, b), the product of the
 *                      lower halves
 *   vpick(v, u)        lanes of v, by number: ulanes(lane) gives lane i number lane[i], upick(S, step,
 *                      first) S lanes number `first`, the next S the one `step` lanes on, and so forth,
 *                      and unext(u) the lane after each of u
 *
 * Everything is static inline: a shared function compiled for AVX must not reach the baseline. */
#ifndef CVL_SIMD_H
#define CVL_SIMD_H

#include <assert.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels.h"

#if defined(CVL_F32)
#define T float
#define CVL_DTYPE f32
#define CVL_SINGLE 1
#define SFMA fmaf
#define CVL_MANTISSA 23
#define CVL_EXPONENT_BIAS 127
#define CVL_BITS uint32_t
#elif defined(CVL_F64)
#define T double
#define CVL_DTYPE f64
#define CVL_SINGLE 0
#define SFMA fma
#define CVL_MANTISSA 52
#define CVL_EXPONENT_BIAS 1023
#define CVL_BITS uint64_t
#else
#error "define CVL_F32 or CVL_F64"
#endif

/* KERNEL(name) is cvl_<name>_<dtype>__<isa>; TYPE(name) is cvl_<name>_<dtype>. */
#define CVL_JOIN5_(a, b, c, d, e) a##b##c##d##e
#define CVL_JOIN5(a, b, c, d, e) CVL_JOIN5_(a, b, c, d, e)
#define KERNEL(name) CVL_JOIN5(cvl_##name, _, CVL_DTYPE, __, CVL_ISA)
#define TYPE(name) CVL_DTYPE_NAME(cvl_##name)

#define INLINE static inline __attribute__((always_inline))

/* Elements of a cache line. */
enum { LINE = CVL_LINE / (int)sizeof(T) };

#if defined(CVL_LEVEL_AVX512) || defined(CVL_LEVEL_AVX2) || defined(CVL_LEVEL_NEON)
#define CVL_FUSED /* vfma and vfnma round once */
#endif

/* 32 vector registers; else 16. */
#if defined(CVL_LEVEL_AVX512) || defined(CVL_LEVEL_NEON)
#define CVL_MANY_REGISTERS
#endif

#if defined(CVL_EMULATED)
#include "simd_avx512_emulated.h"
#elif defined(CVL_LEVEL_AVX512)
#include "simd_avx512.h"
#elif defined(CVL_LEVEL_AVX2)
#include "simd_avx2.h"
#elif defined(CVL_LEVEL_NEON)
#include "simd_neon.h"
#else
#include "simd_baseline.h"
#endif

/* ------------------------------------------------------------ what the levels have in common */
#ifdef OP
INLINE V vadd(V a, V b) { return OP(add)(a, b); }
INLINE V vsub(V a, V b) { return OP(sub)(a, b); }
INLINE V vmul(V a, V b) { return OP(mul)(a, b); }
INLINE V vdiv(V a, V b) { return OP(div)(a, b); }
INLINE V vsqrt(V a) { return OP(sqrt)(a); }
INLINE V vmax(V a, V b) { return OP(max)(a, b); }
INLINE V vmin(V a, V b) { return OP(min)(a, b); }
INLINE V vabs(V a) { return OP(andnot)(vset1((T)-0.0), a); }
INLINE V vcopysign(V a, V b) { return OP(or)(vabs(a), OP (and)(vset1((T)-0.0), b)); }
INLINE V zip_low(V a, V b) { return OP(unpacklo)(a, b); }
INLINE V zip_high(V a, V b) { return OP(unpackhi)(a, b); }
#endif

#if !defined(CVL_LEVEL_AVX512) && !defined(CVL_LEVEL_AVX2)
/* A vector is one lane. */
INLINE V vload_lanes(const T *const *p) { return vload(*p); }

/* Levels without masked memory access go through a copy. */
INLINE V vload_n(const T *p, int n)
{
    T copy[VL] = {0};
    for (int i = 0; i < n; i++)
        copy[i] = p[i];
    return vload(copy);
}
INLINE void vstore_n(T *p, V v, int n)
{
    T copy[VL];
    vstore(copy, v);
    for (int i = 0; i < n; i++)
        p[i] = copy[i];
}
INLINE V vload_bytes(const uint8_t *p, ptrdiff_t n)
{
    T copy[VL] = {0};
    for (ptrdiff_t i = 0; i < VL && i < n; i++)
        copy[i] = (T)p[i];
    return vload(copy);
}
INLINE void vstore_bytes(uint8_t *p, V v, ptrdiff_t n)
{
    T copy[VL];
    vstore(copy, v);
    for (ptrdiff_t i = 0; i < VL && i < n; i++)
        p[i] = (uint8_t)copy[i];
}
#endif

INLINE V vkeep(V a)
{
#if defined(CVL_EMULATED)
    __asm__("" : "+m"(a));
#elif defined(CVL_LEVEL_AVX512)
    __asm__("" : "+v"(a));
#elif defined(CVL_LEVEL_AVX2)
    __asm__("" : "+x"(a));
#elif defined(CVL_LEVEL_NEON)
    __asm__("" : "+w"(a));
#endif
    return a;
}
INLINE V vload_part(const T *p, ptrdiff_t n) { return n >= VL ? vload(p) : vload_n(p, (int)n); }
INLINE void vstore_part(T *p, V v, ptrdiff_t n)
{
    if (n >= VL)
        vstore(p, v);
    else
        vstore_n(p, v, (int)n);
}

/* A lane is picked by its number in units of CVL_PICK. */
INLINE U ulanes(const int lane[VL])
{
    enum { UNITS = sizeof(T) / sizeof(CVL_PICK), COUNT = VL * UNITS };
    CVL_PICK number[COUNT];
    uint64_t words[UL];
#pragma GCC unroll 1
    for (int i = 0; i < COUNT; i++)
        number[i] = (CVL_PICK)(lane[i / UNITS] * UNITS + i % UNITS);
    memcpy(words, number, sizeof words);
    return uload(words);
}
INLINE U upick(int lanes, int step, int first)
{
    int lane[VL];
    int left = lanes;
#pragma GCC unroll 1
    for (int i = 0; i < VL; i++) {
        lane[i] = first;
        if (--left == 0) {
            first += step;
            left = lanes;
        }
    }
    return ulanes(lane);
}
INLINE U unext(U u)
{
    return uadd(u, uset1(~(uint64_t)0 / (CVL_PICK)-1 * (sizeof(T) / sizeof(CVL_PICK))));
}

#if !defined(CVL_LEVEL_AVX512)
INLINE V vsqrt_beside(V a) { return vsqrt(a); }
/* Two factors, since 2^n alone may have no normal representation; the first product is exact. */
INLINE V vldexp(V a, V n)
{
    const V shift = vset1((T)(1.5 * (double)(1ull << CVL_MANTISSA) + CVL_EXPONENT_BIAS));
    const V half = vfma(n, vset1((T)0.5), shift);
    const V rest = vadd(vsub(n, vsub(half, shift)), shift);
    return vmul(vmul(a, vpow2(half)), vpow2(rest));
}
#endif

/* Vectors are lanes of 128 bits, of LANE elements; zips stay within them. LANE vectors have a square of
 * LANE rows in each lane, which is turned by zipping the first half of the rows with the second once for
 * each doubling of LANE. */
enum { LANE = VL * sizeof(T) < 16 ? VL : 16 / (int)sizeof(T) };
INLINE void turn_lanes(V r[LANE])
{
#if VL > 1
    V t[LANE];
#pragma GCC unroll 2
    for (int width = 1; width < LANE; width *= 2) {
#pragma GCC unroll 2
        for (int i = 0; i < LANE / 2; i++) {
            t[2 * i] = zip_low(r[i], r[i + LANE / 2]);
            t[2 * i + 1] = zip_high(r[i], r[i + LANE / 2]);
        }
#pragma GCC unroll 4
        for (int i = 0; i < LANE; i++)
            r[i] = t[i];
    }
#else
    (void)r;
#endif
}

/* Of squares that are turned the lanes themselves are, by parting even ones from odd. */
INLINE void vtranspose(V r[VL])
{
#pragma GCC unroll 4
    for (int i = 0; i < VL; i += LANE)
        turn_lanes(r + i);
#if defined(CVL_LEVEL_AVX512) || defined(CVL_LEVEL_AVX2)
    V t[VL];
#pragma GCC unroll 2
    for (int width = LANE; width < VL; width *= 2) {
#pragma GCC unroll 8
        for (int i = 0; i < VL / 2; i++) {
            const V a = r[i / LANE * 2 * LANE + i % LANE];
            const V b = r[i / LANE * 2 * LANE + LANE + i % LANE];
            t[i] = even_lanes(a, b);
            t[VL / 2 + i] = odd_lanes(a, b);
        }
#pragma GCC unroll 16
        for (int i = 0; i < VL; i++)
            r[i] = t[i];
    }
#endif
}

/* Loads put lanes where they belong, so that half the shuffles are left. The compiler would keep a list of
 * all rows in memory, were their pointers known to it beforehand. */
INLINE void vload_turned(V r[LANE], const T *p, ptrdiff_t step, ptrdiff_t rows)
{
    const T *row = p;
#pragma GCC unroll 4
    for (int i = 0; i < LANE; i++, row += step) {
        const T *lane[VL / LANE];
        __asm__("" : "+r"(row));
#pragma GCC unroll 4
        for (int j = 0; j < VL / LANE; j++)
            lane[j] = i + j * LANE < rows ? row + j * LANE * step : p;
        r[i] = vload_lanes(lane);
    }
    turn_lanes(r);
}

INLINE T sfma(T a, T b, T c) { return CVL_SFMA(a, b, c); }

#endif
