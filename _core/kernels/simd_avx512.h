/* simd_avx512.h: the vectors of simd.h in AVX-512 F, VL, DQ and BW. */
#ifndef CVL_SIMD_AVX512_H
#define CVL_SIMD_AVX512_H

#include <immintrin.h>
#ifdef CVL_F32
typedef __m512 V;
typedef __mmask16 M;
#define VL 16
#define OP(name) _mm512_##name##_ps
#define FIRST(n) ((__mmask16)((1u << (n)) - 1u))
INLINE V load_bytes(const uint8_t *p, M m)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(m, p)));
}
INLINE void store_bytes(uint8_t *p, V v, M m)
{
    _mm512_mask_cvtepi32_storeu_epi8(p, m, _mm512_cvtps_epi32(v));
}
#else
typedef __m512d V;
typedef __mmask8 M;
#define VL 8
#define OP(name) _mm512_##name##_pd
#define FIRST(n) ((__mmask8)((1u << (n)) - 1u))
INLINE V load_bytes(const uint8_t *p, M m)
{
    return _mm512_cvtepi32_pd(_mm256_cvtepu8_epi32(_mm_maskz_loadu_epi8(m, p)));
}
INLINE void store_bytes(uint8_t *p, V v, M m)
{
    _mm256_mask_cvtepi32_storeu_epi8(p, m, _mm512_cvtpd_epi32(v));
}
#endif
INLINE V vload_bytes(const uint8_t *p, ptrdiff_t n)
{
    return load_bytes(p, FIRST(n < VL ? n : VL));
}
INLINE void vstore_bytes(uint8_t *p, V v, ptrdiff_t n)
{
    store_bytes(p, v, FIRST(n < VL ? n : VL));
}
#ifdef CVL_F32
INLINE V vpow2(V t)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(t), CVL_MANTISSA));
}
INLINE M vgt(V a, V b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ); }
INLINE M veq(V a, V b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
INLINE V even_lanes(V a, V b) { return _mm512_shuffle_f32x4(a, b, 0x88); }
INLINE V odd_lanes(V a, V b) { return _mm512_shuffle_f32x4(a, b, 0xdd); }
INLINE V vload_lanes(const T *const *p)
{
    V v = _mm512_castps128_ps512(_mm_loadu_ps(p[0]));
    v = _mm512_insertf32x4(v, _mm_loadu_ps(p[1]), 1);
    v = _mm512_insertf32x4(v, _mm_loadu_ps(p[2]), 2);
    return _mm512_insertf32x4(v, _mm_loadu_ps(p[3]), 3);
}
#else
INLINE V vpow2(V t)
{
    return _mm512_castsi512_pd(_mm512_slli_epi64(_mm512_castpd_si512(t), CVL_MANTISSA));
}
INLINE M vgt(V a, V b) { return _mm512_cmp_pd_mask(a, b, _CMP_GT_OQ); }
INLINE M veq(V a, V b) { return _mm512_cmp_pd_mask(a, b, _CMP_EQ_OQ); }
INLINE V even_lanes(V a, V b) { return _mm512_shuffle_f64x2(a, b, 0x88); }
INLINE V odd_lanes(V a, V b) { return _mm512_shuffle_f64x2(a, b, 0xdd); }
INLINE V vload_lanes(const T *const *p)
{
    V v = _mm512_castpd128_pd512(_mm_loadu_pd(p[0]));
    v = _mm512_insertf64x2(v, _mm_loadu_pd(p[1]), 1);
    v = _mm512_insertf64x2(v, _mm_loadu_pd(p[2]), 2);
    return _mm512_insertf64x2(v, _mm_loadu_pd(p[3]), 3);
}
#endif
typedef __m512i U;
#define UL 8
INLINE U uset1(uint64_t s) { return _mm512_set1_epi64((long long)s); }
INLINE U uload(const uint64_t *p) { return _mm512_loadu_si512(p); }
INLINE void ustore(uint64_t *p, U u) { _mm512_storeu_si512(p, u); }
INLINE U uadd(U a, U b) { return _mm512_add_epi64(a, b); }
INLINE U uxor(U a, U b) { return _mm512_xor_si512(a, b); }
INLINE U uhigh(U a) { return _mm512_srli_epi64(a, 32); }
INLINE U umul(U a, U b) { return _mm512_mul_epu32(a, b); }
#define CVL_PICK uint32_t
#ifdef CVL_F32
INLINE V vpick(V v, U u) { return _mm512_permutexvar_ps(u, v); }
#else
INLINE V vpick(V v, U u) { return _mm512_castps_pd(_mm512_permutexvar_ps(u, _mm512_castpd_ps(v))); }
#endif
INLINE int vany(M m) { return m != 0; }
INLINE int vall(M m) { return m == FIRST(VL); }
INLINE V vldexp(V a, V n) { return OP(scalef)(a, n); }
INLINE V vzero(void) { return OP(setzero)(); }
INLINE V vset1(T s) { return OP(set1)(s); }
INLINE V vload(const T *p) { return OP(loadu)(p); }
INLINE void vstore(T *p, V v) { OP(storeu)(p, v); }
INLINE V vload_n(const T *p, int n) { return OP(maskz_loadu)(FIRST(n), p); }
INLINE void vstore_n(T *p, V v, int n) { OP(mask_storeu)(p, FIRST(n), v); }
INLINE V vfma(V a, V b, V c) { return OP(fmadd)(a, b, c); }
INLINE V vfnma(V a, V b, V c) { return OP(fnmadd)(a, b, c); }
INLINE V vselect(M m, V a, V b) { return OP(mask_blend)(m, b, a); }
#define HL (VL / 2)
#ifdef CVL_F32
typedef __m256 H;
#define HOP(name) _mm256_##name##_ps
#else
typedef __m256d H;
#define HOP(name) _mm256_##name##_pd
#endif
INLINE H hzero(void) { return HOP(setzero)(); }
INLINE H hset1(T s) { return HOP(set1)(s); }
INLINE H hload(const T *p) { return HOP(loadu)(p); }
INLINE void hstore(T *p, H h) { HOP(storeu)(p, h); }
INLINE void hstore_n(T *p, H h, int n) { HOP(mask_storeu)(p, (__mmask8)FIRST(n), h); }
INLINE H hfma(H a, H b, H c) { return HOP(fmadd)(a, b, c); }
#define CVL_SFMA(a, b, c) SFMA(a, b, c)

#ifdef CVL_F32
/* A guess within 2^-14, a step of Newton's for root and inverse, and the remainder's share, which
 * makes it the nearest number whatever the guess. In this range no remainder that counts is
 * subnormal. */
INLINE V vsqrt_beside(V a)
{
    const V half = vset1(0.5f);
    if (!vall(vgt(a, vset1(1e-30f))) || !vall(vgt(vset1(1e30f), a)))
        return OP(sqrt)(a);
    const V guess = _mm512_rsqrt14_ps(a);
    const V near = OP(mul)(a, guess);            /* of sqrt(a) */
    const V near_inverse = OP(mul)(half, guess); /* of 1/(2 sqrt(a)) */
    const V error = vfnma(near_inverse, near, half);
    const V root = vfma(near, error, near), inverse = vfma(near_inverse, error, near_inverse);
    return vfma(vfnma(root, root, a), inverse, root);
}
#else
INLINE V vsqrt_beside(V a) { return OP(sqrt)(a); }
#endif

#endif
