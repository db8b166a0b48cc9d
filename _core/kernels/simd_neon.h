/* simd_neon.h: the vectors of simd.h in those of AArch64. */
#ifndef CVL_SIMD_NEON_H
#define CVL_SIMD_NEON_H

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
INLINE V vfnma(V a, V b, V c) { return NEON(vfms)(c, a, b); }
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

#endif
