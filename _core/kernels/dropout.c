/* dropout.c: what a counter-based generator keeps, scaled.
 *
 * Philox4x32-10 (Salmon et al. 2011) in plain C: the loops over counters become vectors at every
 * level, and integers have the same bits on all of them. */
#include "simd.h"

enum { COUNTERS = 16, WORDS = 4, ROUNDS = 10, STEP = COUNTERS * WORDS };

/* word[4 * i + w] = word w of counter block + i. */
INLINE void philox(uint32_t word[STEP], uint64_t block, const cvl_philox *from)
{
    uint32_t c0[COUNTERS], c1[COUNTERS], c2[COUNTERS], c3[COUNTERS];
    uint32_t k0 = (uint32_t)from->seed, k1 = (uint32_t)(from->seed >> 32);
    for (int i = 0; i < COUNTERS; i++) {
        c0[i] = (uint32_t)(block + (uint64_t)i);
        c1[i] = (uint32_t)((block + (uint64_t)i) >> 32);
        c2[i] = (uint32_t)from->counter;
        c3[i] = (uint32_t)(from->counter >> 32);
    }
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < COUNTERS; i++) {
            const uint64_t a = (uint64_t)0xD2511F53u * c0[i], b = (uint64_t)0xCD9E8D57u * c2[i];
            c0[i] = (uint32_t)(b >> 32) ^ c1[i] ^ k0;
            c1[i] = (uint32_t)b;
            c2[i] = (uint32_t)(a >> 32) ^ c3[i] ^ k1;
            c3[i] = (uint32_t)a;
        }
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    for (int i = 0; i < COUNTERS; i++) {
        word[WORDS * i] = c0[i];
        word[WORDS * i + 1] = c1[i];
        word[WORDS * i + 2] = c2[i];
        word[WORDS * i + 3] = c3[i];
    }
}

void KERNEL(dropout)(ptrdiff_t n, T *y, const T *x, ptrdiff_t first, const cvl_philox *from,
                     uint64_t threshold, T scale)
{
    uint32_t word[STEP];
    assert(first % WORDS == 0);
    for (ptrdiff_t i = 0; i < n; i += STEP) {
        const ptrdiff_t count = n - i < STEP ? n - i : STEP;
        philox(word, (uint64_t)(first + i) / WORDS, from);
        for (ptrdiff_t j = 0; j < count; j++) {
            const T kept = x ? x[i + j] * scale : scale;
            y[i + j] = word[j] >= threshold ? kept : 0;
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
