/* simd_baseline.h: the vectors of simd.h in SSE4.2, else in plain C. */
#ifndef CVL_SIMD_BASELINE_H
#define CVL_SIMD_BASELINE_H

#if defined(__SSE4_2__)
#include <nmmintrin.h>
#ifdef CVL_F32
typedef __m128 V;
typedef __m128 M;
#define VL 4
#define OP(name) _mm_##name##_ps
INLINE V vpow2(V t) { return _mm_castsi128_ps(_mm_slli_epi32(_mm_castps_si128(t), CVL_MANTISSA)); }
#else
typedef __m128d V;
typedef __m128d M;
#define VL 2
#define OP(name) _mm_##name##_pd
INLINE V vpow2(V t) { return _mm_castsi128_pd(_mm_slli_epi64(_mm_castpd_si128(t), CVL_MANTISSA)); }
#endif
typedef __m128i U;
#define UL 2
INLINE U uset1(uint64_t s) { return _mm_set1_epi64x((long long)s); }
INLINE U uload(const uint64_t *p) { return _mm_loadu_si128((const __m128i *)p); }
INLINE void ustore(uint64_t *p, U u) { _mm_storeu_si128((__m128i *)p, u); }
INLINE U uadd(U a, U b) { return _mm_add_epi64(a, b); }
INLINE U uxor(U a, U b) { return _mm_xor_si128(a, b); }
INLINE U uhigh(U a) { return _mm_srli_epi64(a, 32); }
INLINE U umul(U a, U b) { return _mm_mul_epu32(a, b); }
#define CVL_PICK uint8_t
#ifdef CVL_F32
INLINE V vpick(V v, U u) { return _mm_castsi128_ps(_mm_shuffle_epi8(_mm_castps_si128(v), u)); }
#else
INLINE V vpick(V v, U u) { return _mm_castsi128_pd(_mm_shuffle_epi8(_mm_castpd_si128(v), u)); }
#endif
INLINE M vgt(V a, V b) { return OP(cmpgt)(a, b); }
INLINE M veq(V a, V b) { return OP(cmpeq)(a, b); }
INLINE int vany(M m) { return OP(movemask)(m) != 0; }
INLINE int vall(M m) { return OP(movemask)(m) == (1 << VL) - 1; }
INLINE V vzero(void) { return OP(setzero)(); }
INLINE V vset1(T s) { return OP(set1)(s); }
INLINE V vload(const T *p) { return OP(loadu)(p); }
INLINE void vstore(T *p, V v) { OP(storeu)(p, v); }
INLINE V vfma(V a, V b, V c) { return OP(add)(OP(mul)(a, b), c); }
INLINE V vfnma(V a, V b, V c) { return OP(sub)(c, OP(mul)(a, b)); }
INLINE V vselect(M m, V a, V b) { return OP(blendv)(b, a, m); }
#define CVL_SFMA(a, b, c) ((a) * (b) + (c))

/* ---------------------------------------------------------------------------- plain C */
#else
typedef T V;
typedef int M;
#define VL 1
typedef uint64_t U;
#define UL 1
INLINE U uset1(uint64_t s) { return s; }
INLINE U uload(const uint64_t *p) { return *p; }
INLINE void ustore(uint64_t *p, U u) { *p = u; }
INLINE U uadd(U a, U b) { return a + b; }
INLINE U uxor(U a, U b) { return a ^ b; }
INLINE U uhigh(U a) { return a >> 32; }
INLINE U umul(U a, U b) { return (uint64_t)(uint32_t)a * (uint32_t)b; }
#define CVL_PICK uint8_t
INLINE V vpick(V v, U u)
{
    (void)u;
    return v;
}
INLINE V vpow2(V t)
{
    CVL_BITS bits;
    memcpy(&bits, &t, sizeof bits);
    bits <<= CVL_MANTISSA;
    memcpy(&t, &bits, sizeof bits);
    return t;
}
INLINE M vgt(V a, V b) { return a > b; }
INLINE M veq(V a, V b) { return a == b; }
INLINE int vany(M m) { return m; }
INLINE int vall(M m) { return m; }
INLINE V vzero(void) { return 0; }
INLINE V vset1(T s) { return s; }
INLINE V vload(const T *p) { return *p; }
INLINE void vstore(T *p, V v) { *p = v; }
INLINE V vfma(V a, V b, V c) { return a * b + c; }
INLINE V vfnma(V a, V b, V c) { return c - a * b; }
INLINE V vselect(M m, V a, V b) { return m ? a : b; }
INLINE V vadd(V a, V b) { return a + b; }
INLINE V vsub(V a, V b) { return a - b; }
INLINE V vmul(V a, V b) { return a * b; }
INLINE V vdiv(V a, V b) { return a / b; }
INLINE V vsqrt(V a) { return sizeof(T) == sizeof(float) ? (T)sqrtf((float)a) : (T)sqrt(a); }
INLINE V vmax(V a, V b) { return a > b ? a : b; }
INLINE V vmin(V a, V b) { return a < b ? a : b; }
INLINE V vabs(V a) { return (T)fabs((double)a); }
INLINE V vcopysign(V a, V b) { return (T)copysign((double)a, (double)b); }
#define CVL_SFMA(a, b, c) ((a) * (b) + (c))
#endif

#endif
