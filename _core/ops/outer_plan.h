/* outer_plan.h: how backward weights are cut into tasks, and what a worker of them has.
 *
 * Output rows are cut into pieces of at most CVL_ORDER_PIXELS columns, pieces are dealt to blocks of as
 * many outputs about, and blocks to `splits` sums. Of dw a task has `depth` rows of some taps and `width`
 * columns, of a set of groups. A tap is one of the kernel's or, where rows are taken whole, a kernel row,
 * or all of them. */
#ifndef CVL_OUTER_PLAN_H
#define CVL_OUTER_PLAN_H

#include "outer.h"

enum { OUTER_AHEAD = 1280 }; /* stretches of memory */

typedef struct plan {
    const cvl_conv2d_shape *shape;
    const NAME(kernels) *kernels;
    T *dw, *partial; /* partial (splits - 1, KH, KW, C, groups*OC) */
    const T *dy, *x;
    char *worker;
    size_t worker_bytes;

    /* How groups are taken: by turns at a block, but for these. */
    ptrdiff_t vector_groups; /* that a vector holds, side by side; or 0 */
    ptrdiff_t panel; /* channels of a panel of copies of x and dy, of a set side by side; or 0 */

    /* How the taps of a group are. */
    int whole_rows; /* kernel rows are taken whole, */
    int stacked;    /* and all of them at once */
    int aside;      /* dw of a task, or turned columns of it, are put in their place at the end */

    /* The work, and its parts. */
    ptrdiff_t C, OC;                                /* of a group */
    ptrdiff_t taps, tap_rows;                       /* KH*KW and C; KH and KW*C; or 1 and KH*KW*C */
    ptrdiff_t row_pieces, block_pieces, all_pieces; /* of a row; of a block at most; of the batch */
    ptrdiff_t depth, depths, width, widths;         /* of tap_rows and OC, and into how many */
    ptrdiff_t tap_parts, splits;                    /* of the taps; of the pieces */
    ptrdiff_t set_groups, sets;                     /* groups of a set; sets */
    ptrdiff_t slice;                                /* rows of dw that a tap computes at a time */
    ptrdiff_t turned; /* the last columns of a task: their outputs are rows, channels the columns */

    /* What kernels read: where they are or copies. */
    ptrdiff_t x_step, dy_step;       /* between pixels */
    int packed;                      /* x is copied for each tap */
    ptrdiff_t x_copies, x_copy_size; /* of a block's input: one for each panel or group; elements */
    ptrdiff_t x_copy_width;          /* elements of a row of one */
    ptrdiff_t images, image_rows;    /* of a block; rows of the copy of one image */
    ptrdiff_t dy_copies, dy_copy_size; /* of a block; elements, or 0 */
    int fetches_ahead;                 /* what comes next */
} plan;

/* A piece of output row oh of image n: columns [from, to), of which the first is output number `position`
 * of the block. */
typedef struct piece {
    ptrdiff_t n, oh, from, to, position;
} piece;

typedef struct tables {
    piece *piece;         /* (block_pieces) */
    cvl_outer_run *run;   /* (block_pieces) */
    T *packed;            /* (CVL_ORDER_PIXELS, x_step) */
    const T **source;     /* (block_pieces, KH): what rows of the copy are made of */
    T *copy;              /* (x_copies, images, image_rows, x_copy_width) */
    T *dy;                /* (dy_copies, dy_copy_size) */
    T *aside;             /* (set_groups, taps, turned, depth), or (width, depth): dw of a task */
    NAME(stretch) *ahead; /* (OUTER_AHEAD + 1) */
} tables;

/* Cuts the problem and lays out the workspace; with base NULL it only counts. Returns its bytes. */
size_t NAME(outer_plan)(plan *p, const cvl_conv2d_shape *shape, char *base, int threads);

/* The tables of a worker, at base. */
tables NAME(outer_tables)(const plan *p, char *base);

/* Elements of dw of one group, put aside. */
static inline ptrdiff_t aside_size(const plan *p)
{
    return p->taps * (p->stacked ? p->width : p->turned) * p->depth;
}

static inline ptrdiff_t all_tasks(const plan *p)
{
    return p->sets * p->depths * p->widths * p->tap_parts * p->splits;
}

#endif
