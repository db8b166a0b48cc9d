/* simd_avx2.h: the vectors of simd.h in AVX2 and FMA. */
#ifndef CVL_SIMD_AVX2_H
#define CVL_SIMD_AVX2_H

#include <immintrin.h>
#ifdef CVL_F32
typedef __m256 V;
typedef __m256 M;
#define VL 8
#define OP(name) _mm256_##name##_ps
INLINE __m256i first(int n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
INLINE V vpow2(V t)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(t), CVL_MANTISSA));
}
INLINE V even_lanes(V a, V b) { return _mm256_permute2f128_ps(a, b, 0x20); }
INLINE V odd_lanes(V a, V b) { return _mm256_permute2f128_ps(a, b, 0x31); }
INLINE V vload_lanes(const T *const *p)
{
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p[0])), _mm_loadu_ps(p[1]), 1);
}
INLINE V widen_bytes(__m128i bytes) { return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes)); }
INLINE __m128i narrow_to_words(V v)
{
    const __m256i i = _mm256_cvtps_epi32(v);
    return _mm_packus_epi32(_mm256_castsi256_si128(i), _mm256_extracti128_si256(i, 1));
}
#else
typedef __m256d V;
typedef __m256d M;
#define VL 4
#define OP(name) _mm256_##name##_pd
INLINE __m256i first(int n)
{
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
}
INLINE V vpow2(V t)
{
    return _mm256_castsi256_pd(_mm256_slli_epi64(_mm256_castpd_si256(t), CVL_MANTISSA));
}
INLINE V even_lanes(V a, V b) { return _mm256_permute2f128_pd(a, b, 0x20); }
INLINE V odd_lanes(V a, V b) { return _mm256_permute2f128_pd(a, b, 0x31); }
INLINE V vload_lanes(const T *const *p)
{
    return _mm256_insertf128_pd(_mm256_castpd128_pd256(_mm_loadu_pd(p[0])), _mm_loadu_pd(p[1]), 1);
}
INLINE V widen_bytes(__m128i bytes) { return _mm256_cvtepi32_pd(_mm_cvtepu8_epi32(bytes)); }
INLINE __m128i narrow_to_words(V v)
{
    const __m128i i = _mm256_cvtpd_epi32(v);
    return _mm_packus_epi32(i, i);
}
#endif
typedef __m256i U;
#define UL 4
INLINE U uset1(uint64_t s) { return _mm256_set1_epi64x((long long)s); }
INLINE U uload(const uint64_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
INLINE void ustore(uint64_t *p, U u) { _mm256_storeu_si256((__m256i *)p, u); }
INLINE U uadd(U a, U b) { return _mm256_add_epi64(a, b); }
INLINE U uxor(U a, U b) { return _mm256_xor_si256(a, b); }
INLINE U uhigh(U a) { return _mm256_srli_epi64(a, 32); }
INLINE U umul(U a, U b) { return _mm256_mul_epu32(a, b); }
#define CVL_PICK uint32_t
#ifdef CVL_F32
INLINE V vpick(V v, U u) { return _mm256_permutevar8x32_ps(v, u); }
#else
INLINE V vpick(V v, U u)
{
    return _mm256_castps_pd(_mm256_permutevar8x32_ps(_mm256_castpd_ps(v), u));
}
#endif
INLINE V vload_bytes(const uint8_t *p, ptrdiff_t n)
{
    uint64_t bytes = 0;
    memcpy(&bytes, p, n < VL ? (size_t)n : VL);
    return widen_bytes(_mm_set1_epi64x((int64_t)bytes));
}
INLINE void vstore_bytes(uint8_t *p, V v, ptrdiff_t n)
{
    const __m128i words = narrow_to_words(v);
    const int64_t bytes = _mm_cvtsi128_si64(_mm_packus_epi16(words, words));
    memcpy(p, &bytes, n < VL ? (size_t)n : VL);
}
INLINE M vgt(V a, V b) { return OP(cmp)(a, b, _CMP_GT_OQ); }
INLINE M veq(V a, V b) { return OP(cmp)(a, b, _CMP_EQ_OQ); }
INLINE int vany(M m) { return OP(movemask)(m) != 0; }
INLINE int vall(M m) { return OP(movemask)(m) == (1 << VL) - 1; }
INLINE V vzero(void) { return OP(setzero)(); }
INLINE V vset1(T s) { return OP(set1)(s); }
INLINE V vload(const T *p) { return OP(loadu)(p); }
INLINE void vstore(T *p, V v) { OP(storeu)(p, v); }
INLINE V vload_n(const T *p, int n) { return OP(maskload)(p, first(n)); }
/* By halves: a masked store is microcode on AMD's CPUs, some 40 operations. */
INLINE void vstore_n(T *p, V v, int n)
{
    if (n >= VL) {
        vstore(p, v);
        return;
    }
#ifdef CVL_F32
    __m128 part = _mm256_castps256_ps128(v);
    if (n & 4) {
        _mm_storeu_ps(p, part);
        part = _mm256_extractf128_ps(v, 1);
        p += 4;
    }
    if (n & 2) {
        _mm_storel_pi((__m64 *)p, part);
        part = _mm_movehl_ps(part, part);
        p += 2;
    }
    if (n & 1)
        _mm_store_ss(p, part);
#else
    __m128d part = _mm256_castpd256_pd128(v);
    if (n & 2) {
        _mm_storeu_pd(p, part);
        part = _mm256_extractf128_pd(v, 1);
        p += 2;
    }
    if (n & 1)
        _mm_store_sd(p, part);
#endif
}
INLINE V vfma(V a, V b, V c) { return OP(fmadd)(a, b, c); }
INLINE V vfnma(V a, V b, V c) { return OP(fnmadd)(a, b, c); }
INLINE V vselect(M m, V a, V b) { return OP(blendv)(b, a, m); }
#define CVL_SFMA(a, b, c) SFMA(a, b, c)

#endif
