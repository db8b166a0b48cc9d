/* packed.h: convolution with weights packed before, for the tests of its engines. */
#ifndef CVL_PACKED_H
#define CVL_PACKED_H

#include "check.h"

/* Weights that were packed before give the bits of weights that were not. */
static inline void check_packed(const cvl_conv2d *d, ptrdiff_t size_y, const T *want, const T *x,
                                const T *w, const T *b)
{
    const size_t bytes = NAME(conv2d_packed_size)(d);
    if (bytes == 0)
        return;
    void *packed = output_bytes(bytes);
    cvl_exec run = run_with(2, NAME(conv2d_forward_workspace_size)(d, 2));
    CHECK(NAME(conv2d_pack)(d, packed, w, &run) == CVL_OK);
    for (int threads = 1; threads <= 3; threads++) {
        T *y = output(size_y);
        run = run_with(threads, NAME(conv2d_forward_workspace_size)(d, threads));
        CHECK(NAME(conv2d_forward_packed)(d, y, x, packed, b, &run) == CVL_OK);
        check_same("y of packed weights", size_y, y, want);
    }
}

#endif
