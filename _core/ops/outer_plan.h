/* outer_plan.h: how backward weights are cut into tasks, and what a worker of them has. */
#ifndef CVL_OUTER_PLAN_H
#define CVL_OUTER_PLAN_H

#include "outer.h"

enum { OUTER_AHEAD = 1280 }; /* stretches of memory */

typedef struct plan {
    const cvl_conv2d_shape *shape;
    const NAME(kernels) *kernels;
    int whole;              /* kernel rows are taken whole, */
    int stacked;            /* and all of them at once */
    ptrdiff_t shared;       /* groups of a vector, side by side; or 0 */
    ptrdiff_t merged;       /* channels of a panel of copies of x and dy; or 0 */
    int turned;             /* outputs are the rows and channels the columns, */
    int aside;              /* dw of a task is put in its place at the end */
    ptrdiff_t C, OC;        /* per group */
    ptrdiff_t taps, C_tap;  /* KH*KW and C, or KH and KW*C, or 1 and KH*KW*C */
    ptrdiff_t pieces, rows; /* pieces of a row; most of them in a block */
    int far;                /* what comes next is fetched ahead */
    ptrdiff_t all_rows;     /* pieces of all rows of the batch */
    ptrdiff_t groups;       /* sets of groups, of which a task has one */
    ptrdiff_t side;         /* groups that are side by side or take turns at each block */
    ptrdiff_t depth, depths, width, widths, splits;
    ptrdiff_t slice;               /* rows of dw that a tap computes at a time */
    ptrdiff_t cuts;                /* parts of the taps */
    ptrdiff_t copy_width;          /* elements of a row of the copy of a block's input */
    ptrdiff_t images, image_rows;  /* of a block; rows of the copy of one image */
    ptrdiff_t copies, copy_size;   /* panels of the copy, or groups of it; elements of one */
    ptrdiff_t b_step;              /* between pixels of dy, where it is or of the copy */
    ptrdiff_t dy_panel, dy_panels; /* elements of a panel of the copy of dy, or 0; panels */
    ptrdiff_t packed;              /* elements of a pixel of the copies of x for each tap; or 0 */
    T *dw, *partial;               /* partial (splits - 1, KH, KW, C, groups*OC) */
    const T *dy, *x;
    char *worker;
    size_t worker_bytes;
} plan;

/* A row of a block: output row oh of image n, columns [from, to), of which the first is output number
 * `position` of the block. */
typedef struct row {
    ptrdiff_t n, oh, from, to, position;
} row;

typedef struct tables {
    row *row;             /* (rows) */
    cvl_outer_run *run;   /* (rows) */
    T *packed;            /* (CVL_ORDER_PIXELS, packed) */
    const T **source;     /* (rows, KH): what rows of the copy are made of */
    T *copy;              /* (copies, images, image_rows, copy_width) */
    T *dy;                /* (dy_panels, dy_panel) */
    T *aside;             /* (side, taps, width, depth), or (depth, width): dw of a task */
    NAME(stretch) *ahead; /* (OUTER_AHEAD + 1) */
} tables;

/* Cuts the problem and lays out the workspace; with base NULL it only counts. Returns its bytes. */
size_t NAME(outer_plan)(plan *p, const cvl_conv2d_shape *shape, char *base, int threads);

/* The tables of a worker, at base. */
tables NAME(outer_tables)(const plan *p, char *base);

/* Elements of dw of one group, put aside. */
static inline ptrdiff_t aside_size(const plan *p) { return p->taps * p->width * p->depth; }

static inline ptrdiff_t all_tasks(const plan *p)
{
    return p->groups * p->depths * p->widths * p->cuts * p->splits;
}

#endif
