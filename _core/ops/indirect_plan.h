/* indirect_plan.h: how convolution forward and backward data are cut into tasks, and what a worker of them
 * has. */
#ifndef CVL_INDIRECT_PLAN_H
#define CVL_INDIRECT_PLAN_H

#include "bands.h"
#include "indirect.h"

/* How B reaches the micro-kernel. */
typedef enum packing {
    PACK_SHARED, /* packed before all else, by all workers */
    PACK_OWN,    /* each worker packs the panels of its part, just before they are used */
    PACK_NONE,   /* w is read as it is */
    PACK_READY   /* packed before the call */
} packing;

/* A call in progress: the problem, and how it is cut. */
typedef struct plan {
    const NAME(conv2d_call) *call;
    const cvl_padding *padding;
    const NAME(kernels) *kernels;
    int transposed;                     /* B is w with C and OC exchanged: backward data */
    ptrdiff_t H, W, C;                  /* what is read; C channels per group */
    ptrdiff_t OH, OW, OC;               /* what is written; OC channels per group, or: */
    ptrdiff_t merged;                   /* so many groups, side by side, share a panel */
    ptrdiff_t groups, taps, K;          /* groups, or sets of these; K = taps * C */
    int vectors;                        /* a panel is a vector of outputs of a group or set */
    int narrow;                         /* panels are not as wide as they could be */
    ptrdiff_t x_pixel, y_pixel;         /* elements of what is read and written */
    int single;                         /* runs would be so short that they are cut to elements */
    int slides;                         /* the panel slides along rows whose taps are all inside */
    int ahead;                          /* tiles of one tap fetch what the next tile reads, */
    int gaps;                           /* and of all taps, where a group leaves gaps */
    ptrdiff_t runs_most, segments_most; /* of a class */
    cvl_bands bands;
    cvl_positions positions;
    packing packing;
    ptrdiff_t quantum; /* positions that are a whole tile of the first panel */
    ptrdiff_t block;   /* positions that pass under all panels together */
    ptrdiff_t panels;  /* of all groups */
    ptrdiff_t parts;   /* tasks are parts, a panel each or one of all, ... */
    ptrdiff_t pieces;  /* ... by pieces of the positions */
    int cells;         /* a position stands for a cell, all of which but itself is 0 */
    T *packed;         /* what PACK_SHARED writes */
    const T *ready;    /* B in panels */
    int far;           /* B comes from beyond L2 */
    char *worker_memory;
    size_t worker_bytes;
    int *not_finite; /* (threads): whether a worker wrote what is not, where there is padding */
} plan;

/* What one worker writes. */
typedef struct worker {
    cvl_gemm_run *run;      /* (runs_most) of the class at hand */
    ptrdiff_t *segment_end; /* (segments_most): first run past each segment */
    ptrdiff_t segments;
    int one_tap;
    int slides;    /* rows of the class are slid along */
    ptrdiff_t in0; /* where the first tap of a class reads, from the input of offset (0, 0) */
    const T **a;   /* (block + 2 MR) */
    T **c;         /* (block + MR) */
    T *packed;     /* the panels of a part */
    T *padded;     /* what is read, with its padding */
    int not_finite;
} worker;

/* Cuts the problem, whose B may be `ready`, and lays out the workspace; with base NULL it only counts. Returns
 * its bytes, 0 when the kernels cannot be had. */
size_t NAME(indirect_plan)(plan *p, const cvl_conv2d_shape *shape, cvl_conv2d_pass pass,
                           const cvl_padding *padding, int ready, char *base, int threads);

/* The memory of a worker, at base; with NULL it only counts its bytes. */
worker NAME(indirect_worker)(const plan *p, char *base, size_t *bytes);

/* Elements of all panels. */
static inline ptrdiff_t packed_size(const plan *p) { return p->groups * p->K * p->bands.columns; }

#endif
