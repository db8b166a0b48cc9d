/* dropout_reference.c: Philox4x32-10 one counter at a time, as its authors print it. */
#include "reference.h"

#include <math.h>

void cvl_reference_philox(uint32_t word[4], const uint32_t counter[4], const uint32_t key[2])
{
    uint32_t k[2] = {key[0], key[1]};
    for (int i = 0; i < 4; i++)
        word[i] = counter[i];
    for (int round = 0; round < 10; round++) {
        uint64_t a = 0xD2511F53u * (uint64_t)word[0], b = 0xCD9E8D57u * (uint64_t)word[2];
        uint32_t next[4] = {(uint32_t)(b >> 32) ^ word[1] ^ k[0], (uint32_t)b,
                            (uint32_t)(a >> 32) ^ word[3] ^ k[1], (uint32_t)a};
        for (int i = 0; i < 4; i++)
            word[i] = next[i];
        k[0] += 0x9E3779B9u;
        k[1] += 0xBB67AE85u;
    }
}

void cvl_reference_dropout(const cvl_dropout *d, double *y, const double *x)
{
    uint32_t key[2] = {(uint32_t)d->seed, (uint32_t)(d->seed >> 32)};
    for (ptrdiff_t i = 0; i < d->N * d->M * d->C; i++) {
        uint64_t at = (uint64_t)(d->per_channel ? i / (d->M * d->C) * d->C + i % d->C : i);
        uint32_t word[4], counter[4] = {(uint32_t)(at / 4), (uint32_t)(at / 4 >> 32),
                                        (uint32_t)d->counter, (uint32_t)(d->counter >> 32)};
        cvl_reference_philox(word, counter, key);
        y[i] = (double)word[at % 4] >= floor(d->p * 0x1p32 + 0.5) ? x[i] / (1 - d->p) : 0;
    }
}
