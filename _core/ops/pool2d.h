/* pool2d.h: a pooling row by row, for operators that pool what they have just made. */
#ifndef CVL_POOL2D_H
#define CVL_POOL2D_H

#include "op.h"

typedef struct NAME(pool2d) NAME(pool2d);

/* Gives the kernel a run: x and y count elements from the beginning of their arrays. */
typedef void NAME(pool2d_runner)(const NAME(pool2d) *p, const ptrdiff_t extent[4],
                                 const ptrdiff_t step[4], ptrdiff_t x, ptrdiff_t y,
                                 ptrdiff_t divisor);

struct NAME(pool2d) {
    cvl_pool2d d;
    ptrdiff_t OH, OW, x_size, y_size;
    ptrdiff_t inside_end; /* end of the outputs of a row whose windows have all columns inside */
    ptrdiff_t origin;     /* the first row of x that is there, of those of all images */
    ptrdiff_t bands;      /* tasks of an image, before cutting by channels */
    ptrdiff_t blocks, channels; /* tasks of a band, and the channels of each but the last */
    const T *x, *dy;
    T *y, *dx;
    const uint8_t *winners; /* beside dy */
    uint8_t *winners_out;   /* beside y */
    const NAME(kernels) *k;
    NAME(pool2d_runner) *run;
    cvl_task *task;
    int average, complete; /* complete: no array is missing */
    int tiled;             /* every input is in exactly one window */
};

/* The largest values of x; winners may be NULL. */
NAME(pool2d) NAME(max_pool2d_of)(T *y, uint8_t *winners, const T *x);

/* Reads and checks the descriptor, and sets what follows from it alone. */
cvl_status NAME(pool2d_read)(NAME(pool2d) *p, const cvl_pool2d *from);

/* Does row `oh` of outputs of image n, channels [c, c + channels). */
void NAME(pool2d_row)(const NAME(pool2d) *p, ptrdiff_t n, ptrdiff_t oh, ptrdiff_t c,
                      ptrdiff_t channels);

#endif
