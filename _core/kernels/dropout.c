/* dropout.c: what a counter-based generator keeps, scaled: Philox4x32-10 (Salmon et al. 2011), whose
 * integers have the same bits at every level. */
#include "simd.h"

enum { COUNTERS = 16, WORDS = 4, ROUNDS = 10, STEP = COUNTERS * WORDS };
enum { GROUP = 2 }; /* vectors of counters at a time: their chains take turns */

/* A word of each counter. The upper halves of its lanes hold what products and XOR ignore. */
typedef uint64_t words[COUNTERS];

INLINE void rounds(words c[WORDS], uint64_t block, int first, const cvl_philox *from)
{
    static const uint64_t lane[] = {0, 1, 2, 3, 4, 5, 6, 7};
    const U a = uset1(0xD2511F53u), b = uset1(0xCD9E8D57u);
    uint32_t k0 = (uint32_t)from->seed, k1 = (uint32_t)(from->seed >> 32);
    U c0[GROUP], c1[GROUP], c2[GROUP], c3[GROUP];
#pragma GCC unroll 2
    for (int i = 0; i < GROUP; i++) {
        c0[i] = uadd(uload(lane), uset1(block + (uint64_t)(first + i * UL)));
        c1[i] = uhigh(c0[i]);
        c2[i] = uset1(from->counter);
        c3[i] = uhigh(c2[i]);
    }
#pragma GCC unroll 1
    for (int round = 0; round < ROUNDS; round++) {
#pragma GCC unroll 2
        for (int i = 0; i < GROUP; i++) {
            const U p0 = umul(c0[i], a), p2 = umul(c2[i], b);
            c0[i] = uxor(uxor(uhigh(p2), c1[i]), uset1(k0));
            c1[i] = p2;
            c2[i] = uxor(uxor(uhigh(p0), c3[i]), uset1(k1));
            c3[i] = p0;
        }
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
#pragma GCC unroll 2
    for (int i = 0; i < GROUP; i++) {
        ustore(c[0] + first + i * UL, c0[i]);
        ustore(c[1] + first + i * UL, c1[i]);
        ustore(c[2] + first + i * UL, c2[i]);
        ustore(c[3] + first + i * UL, c3[i]);
    }
}

/* word[4 * i + w] = word w of counter block + i. */
INLINE void philox(uint32_t word[STEP], uint64_t block, const cvl_philox *from)
{
    words c[WORDS];
    for (int first = 0; first < COUNTERS; first += GROUP * UL)
        rounds(c, block, first, from);
    for (int i = 0; i < COUNTERS; i++) {
        word[WORDS * i] = (uint32_t)c[0][i];
        word[WORDS * i + 1] = (uint32_t)c[1][i];
        word[WORDS * i + 2] = (uint32_t)c[2][i];
        word[WORDS * i + 3] = (uint32_t)c[3][i];
    }
}

void KERNEL(dropout)(ptrdiff_t n, T *y, const T *x, ptrdiff_t first, const cvl_philox *from,
                     uint64_t threshold, T scale)
{
    uint32_t word[STEP];
    T kept[STEP]; /* as numbers: gcc makes branches of a choice between floats */
    assert(first % WORDS == 0);
    if (threshold > UINT32_MAX) {
        memset(y, 0, (size_t)n * sizeof *y);
        return;
    }
    for (ptrdiff_t i = 0; i < n; i += STEP) {
        const ptrdiff_t count = n - i < STEP ? n - i : STEP;
        philox(word, (uint64_t)(first + i) / WORDS, from);
        for (int j = 0; j < STEP; j++)
            kept[j] = (T)(word[j] >= (uint32_t)threshold);
        for (ptrdiff_t j = 0; j < count; j += VL) {
            const V scaled =
                x ? vmul(vload_part(x + i + j, count - j), vset1(scale)) : vset1(scale);
            const M drop = veq(vload(kept + j), vzero());
            vstore_part(y + i + j, vselect(drop, vzero(), scaled), count - j);
        }
    }
}

void KERNEL(dropout_channels)(ptrdiff_t pixels, ptrdiff_t channels, T *y, const T *x,
                              const T *scales)
{
    for (ptrdiff_t p = 0; p < pixels; p++, x += channels, y += channels)
        for (ptrdiff_t c = 0; c < channels; c += VL) {
            const V scale = vload_part(scales + c, channels - c);
            const V kept = vmul(vload_part(x + c, channels - c), scale);
            vstore_part(y + c, vselect(veq(scale, vzero()), vzero(), kept), channels - c);
        }
}
