/* conv2d_check.h: what the tests of the convolution's engines share. */
#ifndef CVL_CONV2D_CHECK_H
#define CVL_CONV2D_CHECK_H

#include "check.h"

/* Elements of the arrays of a convolution, and the size of its output. */
typedef struct sizes {
    ptrdiff_t x, y, w, OH, OW;
} sizes;

static inline sizes sizes_of(const cvl_conv2d *d)
{
    sizes s;
    cvl_reference_conv2d_output_shape(d, &s.OH, &s.OW);
    s.x = d->N * d->H * d->W * d->C;
    s.y = d->N * s.OH * s.OW * d->OC;
    s.w = d->KH * d->KW * (d->C / d->groups) * d->OC;
    return s;
}

/* Real results are of one and of seven threads, to the bit, exact ones of two; once, of any number up to
 * seven. */
static inline int runs_of(int integers) { return integers || check_once() ? 1 : 2; }

static inline int threads_of(int run, int integers)
{
    enum { MOST = 7 };
    if (check_once())
        return 1 + (int)(random_bits() % MOST);
    return integers ? 2 : run ? MOST : 1;
}

/* Packed weights give the same bits as weights that are not. */
static inline void check_packed(const cvl_conv2d *d, ptrdiff_t size_y, const T *want, const T *x,
                                const T *w, const T *b)
{
    const size_t bytes = NAME(conv2d_packed_size)(d);
    if (bytes == 0)
        return;
    void *packed = output_bytes(bytes);
    cvl_exec run = run_with(2, NAME(conv2d_forward_workspace_size)(d, 2));
    CHECK(NAME(conv2d_pack)(d, packed, w, &run) == CVL_OK);
    for (int threads = check_once() ? 3 : 2; threads <= 3; threads++) {
        T *y = output(size_y);
        run = run_with(threads, NAME(conv2d_forward_workspace_size)(d, threads));
        CHECK(NAME(conv2d_forward_packed)(d, y, x, packed, b, &run) == CVL_OK);
        check_same("y of packed weights", size_y, y, want);
    }
}

#endif
