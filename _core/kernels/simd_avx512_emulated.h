/* simd_avx512_emulated.h: the vectors of simd_avx512.h for tests on CPUs without them: those of GNU C, which
 * the compiler splits, with the multiply-adds of AVX2. */
#ifndef CVL_SIMD_AVX512_EMULATED_H
#define CVL_SIMD_AVX512_EMULATED_H

#include <immintrin.h>
#define CVL_WIDE __attribute__((vector_size(64)))
typedef T V CVL_WIDE;
typedef uint64_t U CVL_WIDE;
#ifdef CVL_F32
#define VL 16
typedef int32_t M CVL_WIDE; /* of all bits or none */
typedef __m256 H;
#define HOP(name) _mm256_##name##_ps
#else
#define VL 8
typedef int64_t M CVL_WIDE;
typedef __m256d H;
#define HOP(name) _mm256_##name##_pd
#endif
#define HL (VL / 2)
#define UL 8
#define CVL_PICK uint32_t
#define CVL_SFMA(a, b, c) SFMA(a, b, c)
#define LANES for (int i = 0; i < VL; i++)

INLINE H hzero(void) { return HOP(setzero)(); }
INLINE H hset1(T s) { return HOP(set1)(s); }
INLINE H hload(const T *p) { return HOP(loadu)(p); }
INLINE void hstore(T *p, H h) { HOP(storeu)(p, h); }
INLINE void hstore_n(T *p, H h, int n) { memcpy(p, &h, (size_t)n * sizeof(T)); }
INLINE H hfma(H a, H b, H c) { return HOP(fmadd)(a, b, c); }

INLINE V vzero(void) { return (V){0}; }
INLINE V vset1(T s) { return s - (V){0}; }
INLINE V vload_n(const T *p, int n)
{
    V v = {0};
    memcpy(&v, p, (size_t)n * sizeof(T));
    return v;
}
INLINE V vload(const T *p) { return vload_n(p, VL); }
INLINE void vstore_n(T *p, V v, int n) { memcpy(p, &v, (size_t)n * sizeof(T)); }
INLINE void vstore(T *p, V v) { vstore_n(p, v, VL); }
INLINE V vload_bytes(const uint8_t *p, ptrdiff_t n)
{
    V v = {0};
    for (int i = 0; i < VL && i < n; i++)
        v[i] = (T)p[i];
    return v;
}
INLINE void vstore_bytes(uint8_t *p, V v, ptrdiff_t n)
{
    for (int i = 0; i < VL && i < n; i++)
        p[i] = (uint8_t)rint((double)v[i]);
}

INLINE V vpow2(V t)
{
    CVL_BITS bits[VL];
    memcpy(bits, &t, sizeof bits);
    LANES bits[i] <<= CVL_MANTISSA;
    memcpy(&t, bits, sizeof bits);
    return t;
}
INLINE V vadd(V a, V b) { return a + b; }
INLINE V vsub(V a, V b) { return a - b; }
INLINE V vmul(V a, V b) { return a * b; }
INLINE V vdiv(V a, V b) { return a / b; }
/* By halves; a NaN keeps its sign, which to negate an operand would change. */
#define FUSED(name, of_halves)                                                  \
    INLINE V name(V a, V b, V c)                                                \
    {                                                                           \
        T x[VL], y[VL], z[VL];                                                  \
        vstore(x, a);                                                           \
        vstore(y, b);                                                           \
        vstore(z, c);                                                           \
        hstore(z, of_halves(hload(x), hload(y), hload(z)));                     \
        hstore(z + HL, of_halves(hload(x + HL), hload(y + HL), hload(z + HL))); \
        return vload(z);                                                        \
    }
FUSED(vfma, hfma)
FUSED(vfnma, HOP(fnmadd))
INLINE V vsqrt(V a)
{
    T x[VL];
    vstore(x, a);
    hstore(x, HOP(sqrt)(hload(x)));
    hstore(x + HL, HOP(sqrt)(hload(x + HL)));
    return vload(x);
}
INLINE V vsqrt_beside(V a) { return vsqrt(a); }
INLINE V vldexp(V a, V n)
{
    LANES a[i] = (T)ldexp((double)a[i], (int)n[i]);
    return a;
}

INLINE M vgt(V a, V b) { return a > b; }
INLINE M veq(V a, V b) { return a == b; }
INLINE int vany(M m)
{
    int any = 0;
    LANES any |= m[i] != 0;
    return any;
}
INLINE int vall(M m) { return !vany(~m); }
INLINE V vselect(M m, V a, V b) { return (V)(((M)a & m) | ((M)b & ~m)); }
INLINE V vmax(V a, V b) { return vselect(a > b, a, b); }
INLINE V vmin(V a, V b) { return vselect(a < b, a, b); }
INLINE V vcopysign(V a, V b) { return vselect((M)vset1((T)-0.0), b, a); }
INLINE V vabs(V a) { return vcopysign(a, vzero()); }

/* Of 128 bits each: their low or high halves zipped, and those of even or odd number. */
enum { QUAD = 16 / (int)sizeof(T) };
INLINE V zip(V a, V b, int half)
{
    V r;
    LANES
    {
        const int from = i / QUAD * QUAD + half * QUAD / 2 + i % QUAD / 2;
        r[i] = i % 2 ? b[from] : a[from];
    }
    return r;
}
INLINE V zip_low(V a, V b) { return zip(a, b, 0); }
INLINE V zip_high(V a, V b) { return zip(a, b, 1); }
INLINE V alternate(V a, V b, int odd)
{
    V r;
    LANES
    {
        const int from = (i / QUAD * 2 + odd) * QUAD % VL + i % QUAD;
        r[i] = i < VL / 2 ? a[from] : b[from];
    }
    return r;
}
INLINE V even_lanes(V a, V b) { return alternate(a, b, 0); }
INLINE V odd_lanes(V a, V b) { return alternate(a, b, 1); }
INLINE V vload_lanes(const T *const *p)
{
    V v;
    for (int i = 0; i < VL / QUAD; i++)
        memcpy((char *)&v + 16 * i, p[i], 16);
    return v;
}

INLINE U uset1(uint64_t s) { return s - (U){0}; }
INLINE U uload(const uint64_t *p)
{
    U u;
    memcpy(&u, p, sizeof u);
    return u;
}
INLINE void ustore(uint64_t *p, U u) { memcpy(p, &u, sizeof u); }
INLINE U uadd(U a, U b) { return a + b; }
INLINE U uxor(U a, U b) { return a ^ b; }
INLINE U uhigh(U a) { return a >> 32; }
INLINE U umul(U a, U b) { return (a & 0xffffffffu) * (b & 0xffffffffu); }
/* Numbers count in 32 bits, and modulo 16. */
INLINE V vpick(V v, U u)
{
    uint32_t from[16], to[16], number[16];
    memcpy(from, &v, sizeof from);
    memcpy(number, &u, sizeof number);
    for (int i = 0; i < 16; i++)
        to[i] = from[number[i] % 16];
    memcpy(&v, to, sizeof v);
    return v;
}

#undef LANES
#undef FUSED
#endif
