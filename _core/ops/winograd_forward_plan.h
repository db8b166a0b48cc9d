/* winograd_forward_plan.h: how minimal filtering forward and for backward data is cut into tasks, and what a
 * worker of them has. */
#ifndef CVL_WINOGRAD_FORWARD_PLAN_H
#define CVL_WINOGRAD_FORWARD_PLAN_H

#include "bands.h"
#include "winograd.h"

/* What planning and running share. */
enum {
    U_ROWS = 16,   /* channels of a task that makes U */
    DATA_BLOCK = 8 /* tiles of one that makes V */
};

typedef struct plan {
    const NAME(winograd) *f;
    const NAME(kernels) *kernels;
    cvl_winograd_sizes sizes;
    cvl_bands bands;
    cvl_winograd_tiles x_tiles, y_tiles; /* with plane and ld of V and of the products */
    ptrdiff_t tiles, block;              /* of a task */
    ptrdiff_t side;                      /* groups side by side, the last perhaps fewer */
    int keeps_u, shares_u, shares_v;
    int has_u;        /* f->u is U */
    int u_streams;    /* from L3 or memory */
    int by_tiles;     /* a worker takes all panels of some tiles, and makes U of all for itself */
    int by_set;       /* a worker takes all blocks of some groups: it has made most of their U */
    ptrdiff_t u_rows; /* channels of U in one piece */
    ptrdiff_t span, span0; /* tiles of V at a time; the first of them */
    ptrdiff_t NR;          /* of the widest panel */
    T *u, *v, *zeros;      /* shared; v and u NULL where they are private */
    char *worker_scratch;
    size_t worker_bytes;
} plan;

/* What one worker writes. */
typedef struct scratch {
    T *v, *u, *products;
    T *taps; /* (taps, turned, NR): weights turned */
} scratch;

/* Cuts the problem, whose U or w may be `ready`, and lays out the workspace; with base NULL it only counts.
 * Returns its bytes, 0 when the kernels cannot be had. */
size_t NAME(winograd_forward_plan)(plan *p, const NAME(winograd) *f, int ready, char *base,
                                   int threads);

/* The memory of a worker, at base; with NULL it only counts its bytes. */
scratch NAME(winograd_forward_scratch)(const plan *p, char *base, size_t *bytes);

/* Shared V is cut into the channels of a chain, so that a panel reads it from end to end; and so is U
 * that is read once. */
static inline ptrdiff_t chunks(const plan *p)
{
    return p->keeps_u ? 1 : cvl_ceil_div(p->f->C, CVL_ORDER_WINOGRAD_C);
}

/* Panels of all groups, one group after the other. */
static inline ptrdiff_t all_panels(const plan *p) { return p->f->groups * p->bands.panels; }

/* Of a block: groups side by side are one task, with all their panels. */
static inline ptrdiff_t sets(const plan *p) { return cvl_ceil_div(p->f->groups, p->side); }
static inline ptrdiff_t tasks_of_block(const plan *p)
{
    return p->side > 1 ? sets(p) : all_panels(p);
}

/* U of a panel: what lies between its planes, a chunk of it, and all panels of it. */
static inline ptrdiff_t u_plane(const plan *p, ptrdiff_t NR)
{
    return NAME(winograd_plane)(p->u_rows * NR);
}
static inline ptrdiff_t panel_size(const plan *p) { return p->sizes.positions * u_plane(p, p->NR); }
static inline ptrdiff_t u_size(const plan *p) { return all_panels(p) * chunks(p) * panel_size(p); }

/* Where U of a panel begins, from channel c on. */
static inline ptrdiff_t u_place(const plan *p, ptrdiff_t panel, ptrdiff_t c, ptrdiff_t NR)
{
    return (panel * chunks(p) + c / p->u_rows) * panel_size(p) + c % p->u_rows * NR;
}
static inline ptrdiff_t chunk_size(const plan *p) { return p->sizes.positions * p->x_tiles.plane; }

/* Channels of which weights are turned at a time, lines that are neighbours: one of 64 bytes, which is a
 * vector, or the two that a CPU of narrower ones fetches together. */
static inline ptrdiff_t turned(const plan *p)
{
    return p->kernels->vector < 64 ? 2 * U_ROWS : U_ROWS;
}

/* A row of a tile that lies outside. */
static inline ptrdiff_t zeros_size(const plan *p)
{
    return p->sizes.n * NAME(winograd_x_pixel)(p->f);
}

#endif
