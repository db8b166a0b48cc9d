/* simd.h: a dozen vector operations, per ISA level and type. The only home of intrinsics.
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
 *   vmax(a, b)         a > b ? a : b, so b where either is NaN
 *   vmin(a, b)         a < b ? a : b, so b where either is NaN
 *   vgt(a, b) veq      mask of a > b, a == b; false where either is NaN
 *   vany(m) vall(m)    whether the mask holds anywhere, everywhere
 *   vselect(m, a, b)   a where m, else b
 *   vtranspose(r)      r[i][j] = r[j][i] of VL vectors
 *   vldexp(a, n)       a * 2^n for whole n, |n| <= 250 (f64: 2000), rounded once, but for an a or n
 *                      so small that a * 2^(n/2) is subnormal
 *   vload_bytes(p, n) vstore_bytes(p, v, n)        the first n (more count as VL) of bytes p[], as
 *                      numbers 0 to 255; what a load leaves out is 0
 *   sfma(a, b, c)      vfma for one element
 *   H, HL              half a vector, of HL elements, on avx512 alone: hzero() hset1(s) hload(p)
 *                      hstore(p, h) hstore_n(p, h, n) hfma(a, b, c)
 *   U, UL              vector of UL integers of 64 bits: uset1(s), uload(p), ustore(p, u),
 *                      uadd(a, b), uxor(a, b), uhigh(a) = a >> 32, umul(a, b), the product of the
 *                      lower halves
 *   vpick(v, u)        lanes of v, by number: upick(S) gives every S lanes the first of them, and
 *                      unext(u) the lane after each of u
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

/* 32 vector registers; else 16. */
#if defined(CVL_LEVEL_AVX512) || defined(CVL_LEVEL_NEON)
#define CVL_MANY_REGISTERS
#endif

/* ------------------------------------------------------------------------------- avx512 */
#if defined(CVL_LEVEL_AVX512)
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
INLINE M vgt(V a, V b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ); }
INLINE M veq(V a, V b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
INLINE V even_lanes(V a, V b) { return _mm512_shuffle_f32x4(a, b, 0x88); }
INLINE V odd_lanes(V a, V b) { return _mm512_shuffle_f32x4(a, b, 0xdd); }
#else
INLINE M vgt(V a, V b) { return _mm512_cmp_pd_mask(a, b, _CMP_GT_OQ); }
INLINE M veq(V a, V b) { return _mm512_cmp_pd_mask(a, b, _CMP_EQ_OQ); }
INLINE V even_lanes(V a, V b) { return _mm512_shuffle_f64x2(a, b, 0x88); }
INLINE V odd_lanes(V a, V b) { return _mm512_shuffle_f64x2(a, b, 0xdd); }
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

/* --------------------------------------------------------------------------------- avx2 */
#elif defined(CVL_LEVEL_AVX2)
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
INLINE V vselect(M m, V a, V b) { return OP(blendv)(b, a, m); }
#define CVL_SFMA(a, b, c) SFMA(a, b, c)

/* --------------------------------------------------------------------------------- neon */
#elif defined(CVL_LEVEL_NEON)
#include <arm_neon.h>
#ifdef CVL_F32
typedef float32x4_t V;
typedef uint32x4_t M;
#define VL 4
#define NEON(name) name##q_f32
#define NEON_DUP vdupq_n_f32
#define NEON_SIGN vdupq_n_u32(1u << 31)
INLINE V vpick(V v, uint64x2_t u)
{
    return vreinterpretq_f32_u8(vqtbl1q_u8(vreinterpretq_u8_f32(v), vreinterpretq_u8_u64(u)));
}
INLINE int vany(M m) { return vmaxvq_u32(m) != 0; }
INLINE int vall(M m) { return vminvq_u32(m) != 0; }
INLINE V vpow2(V t)
{
    return vreinterpretq_f32_u32(vshlq_n_u32(vreinterpretq_u32_f32(t), CVL_MANTISSA));
}
#else
typedef float64x2_t V;
typedef uint64x2_t M;
#define VL 2
#define NEON(name) name##q_f64
#define NEON_DUP vdupq_n_f64
#define NEON_SIGN vdupq_n_u64(1ull << 63)
INLINE V vpick(V v, uint64x2_t u)
{
    return vreinterpretq_f64_u8(vqtbl1q_u8(vreinterpretq_u8_f64(v), vreinterpretq_u8_u64(u)));
}
INLINE int vany(M m) { return (vgetq_lane_u64(m, 0) | vgetq_lane_u64(m, 1)) != 0; }
INLINE int vall(M m) { return (vgetq_lane_u64(m, 0) & vgetq_lane_u64(m, 1)) != 0; }
INLINE V vpow2(V t)
{
    return vreinterpretq_f64_u64(vshlq_n_u64(vreinterpretq_u64_f64(t), CVL_MANTISSA));
}
#endif
typedef uint64x2_t U;
#define UL 2
#define CVL_PICK uint8_t
INLINE U uset1(uint64_t s) { return vdupq_n_u64(s); }
INLINE U uload(const uint64_t *p) { return vld1q_u64(p); }
INLINE void ustore(uint64_t *p, U u) { vst1q_u64(p, u); }
INLINE U uadd(U a, U b) { return vaddq_u64(a, b); }
INLINE U uxor(U a, U b) { return veorq_u64(a, b); }
INLINE U uhigh(U a) { return vshrq_n_u64(a, 32); }
INLINE U umul(U a, U b) { return vmull_u32(vmovn_u64(a), vmovn_u64(b)); }
INLINE M vgt(V a, V b) { return NEON(vcgt)(a, b); }
INLINE M veq(V a, V b) { return NEON(vceq)(a, b); }
INLINE V zip_low(V a, V b) { return NEON(vzip1)(a, b); }
INLINE V zip_high(V a, V b) { return NEON(vzip2)(a, b); }
INLINE V vzero(void) { return NEON_DUP(0); }
INLINE V vset1(T s) { return NEON_DUP(s); }
INLINE V vload(const T *p) { return NEON(vld1)(p); }
INLINE void vstore(T *p, V v) { NEON(vst1)(p, v); }
INLINE V vfma(V a, V b, V c) { return NEON(vfma)(c, a, b); }
INLINE V vselect(M m, V a, V b) { return NEON(vbsl)(m, a, b); }
INLINE V vadd(V a, V b) { return NEON(vadd)(a, b); }
INLINE V vsub(V a, V b) { return NEON(vsub)(a, b); }
INLINE V vmul(V a, V b) { return NEON(vmul)(a, b); }
INLINE V vdiv(V a, V b) { return NEON(vdiv)(a, b); }
INLINE V vsqrt(V a) { return NEON(vsqrt)(a); }
INLINE V vmax(V a, V b) { return vselect(vgt(a, b), a, b); }
INLINE V vmin(V a, V b) { return vselect(vgt(b, a), a, b); }
INLINE V vabs(V a) { return NEON(vabs)(a); }
INLINE V vcopysign(V a, V b) { return vselect(NEON_SIGN, b, a); }
#define CVL_SFMA(a, b, c) SFMA(a, b, c)

/* ------------------------------------------------------------------- baseline: SSE4.2 */
#elif defined(__SSE4_2__)
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
INLINE V vselect(M m, V a, V b) { return OP(blendv)(b, a, m); }
#define CVL_SFMA(a, b, c) ((a) * (b) + (c))

/* ------------------------------------------------------------------- baseline: plain C */
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

#if defined(CVL_LEVEL_AVX512) && defined(CVL_F32)
/* A guess within 2^-14, a step of Newton's for root and inverse, and the remainder's share, which
 * makes it the nearest number whatever the guess. In this range no remainder that counts is
 * subnormal. */
INLINE V vsqrt_beside(V a)
{
    const V half = vset1(0.5f);
    if (!vall(vgt(a, vset1(1e-30f))) || !vall(vgt(vset1(1e30f), a)))
        return vsqrt(a);
    const V guess = _mm512_rsqrt14_ps(a);
    const V near = vmul(a, guess), near_inverse = vmul(half, guess); /* of sqrt(a), 1/(2 sqrt(a)) */
    const V error = _mm512_fnmadd_ps(near_inverse, near, half);
    const V root = vfma(near, error, near), inverse = vfma(near_inverse, error, near_inverse);
    return vfma(_mm512_fnmadd_ps(root, root, a), inverse, root);
}
#else
INLINE V vsqrt_beside(V a) { return vsqrt(a); }
#endif

INLINE V vload_part(const T *p, ptrdiff_t n) { return n >= VL ? vload(p) : vload_n(p, (int)n); }
INLINE void vstore_part(T *p, V v, ptrdiff_t n)
{
    if (n >= VL)
        vstore(p, v);
    else
        vstore_n(p, v, (int)n);
}

/* A lane is picked by its number in units of CVL_PICK; S is a power of 2. */
INLINE U upick(int S)
{
    enum { UNITS = sizeof(T) / sizeof(CVL_PICK), COUNT = VL * UNITS };
    CVL_PICK number[COUNT];
    uint64_t words[UL];
#pragma GCC unroll 1
    for (int i = 0; i < COUNT; i++)
        number[i] = (CVL_PICK)(((i / UNITS) & -S) * UNITS + i % UNITS);
    memcpy(words, number, sizeof words);
    return uload(words);
}
INLINE U unext(U u)
{
    return uadd(u, uset1(~(uint64_t)0 / (CVL_PICK)-1 * (sizeof(T) / sizeof(CVL_PICK))));
}

#if !defined(CVL_LEVEL_AVX512)
/* Two factors, since 2^n alone may have no normal representation; the first product is exact.
 * vpow2(shift + n) is 2^n: the sum's low bits, bias + n, become the exponent field. */
INLINE V vldexp(V a, V n)
{
    const V shift = vset1((T)(1.5 * (double)(1ull << CVL_MANTISSA) + CVL_EXPONENT_BIAS));
    const V half = vfma(n, vset1((T)0.5), shift);
    const V rest = vadd(vsub(n, vsub(half, shift)), shift);
    return vmul(vmul(a, vpow2(half)), vpow2(rest));
}
#endif

/* Vectors are lanes of 128 bits, of LANE elements; zips stay within them. So squares of LANE rows are
 * turned first, by zipping the first half of their rows with the second once for each doubling of
 * LANE; then the square of lanes, by parting even lanes from odd. */
INLINE void vtranspose(V r[VL])
{
#if VL > 1
    enum { LANE = 16 / (int)sizeof(T), HALF = LANE / 2 };
    V t[VL];
#pragma GCC unroll 2
    for (int width = 1; width < LANE; width *= 2) {
#pragma GCC unroll 8
        for (int i = 0; i < VL / 2; i++) {
            const int square = i / HALF * LANE, row = i % HALF;
            t[square + 2 * row] = zip_low(r[square + row], r[square + row + HALF]);
            t[square + 2 * row + 1] = zip_high(r[square + row], r[square + row + HALF]);
        }
#pragma GCC unroll 16
        for (int i = 0; i < VL; i++)
            r[i] = t[i];
    }
#if defined(CVL_LEVEL_AVX512) || defined(CVL_LEVEL_AVX2)
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
#else
    (void)r;
#endif
}

INLINE T sfma(T a, T b, T c) { return CVL_SFMA(a, b, c); }

#endif
