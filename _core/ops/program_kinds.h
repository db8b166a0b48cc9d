/* program_kinds.h: what a program knows of each kind of operator: a table. */
#ifndef CVL_PROGRAM_KINDS_H
#define CVL_PROGRAM_KINDS_H

#include "conv2d.h"

/* Where the values of a program lie. */
typedef struct NAME(program_memory) {
    const cvl_value *value;
    T *y, *arena;
    const T *x;
} NAME(program_memory);

/* The array of a value that is read; NULL for -1. */
static inline const T *NAME(program_array)(const NAME(program_memory) *m, ptrdiff_t value)
{
    return value < 0 ? NULL : value == 0 ? m->x : m->arena + m->value[value].place;
}

/* An operator, and what is known of it before it runs. */
typedef struct NAME(program_step) {
    cvl_op op;
    const struct NAME(op_kind) *kind;
    ptrdiff_t elements;         /* of y */
    NAME(conv2d_ready) product; /* of kinds that make one ready */
} NAME(program_step);

/* What a step reads and writes. */
typedef struct NAME(program_arrays) {
    T *y;
    const T *x, *z;
    const NAME(program_memory) *all;
} NAME(program_arrays);

/* Whether there is a z. */
typedef enum op_z { Z_NEVER, Z_OR_NOT, Z_ALWAYS } op_z;

/* Which inputs y may lie in the place of, read element by element as y is written. */
typedef enum op_in_place { IN_PLACE_OF_NONE, IN_PLACE_OF_Z, IN_PLACE_OF_ANY } op_in_place;

typedef struct NAME(op_kind) {
    op_z z;
    op_in_place in_place;
    int joins; /* it reads its `parts` */
    /* Elements of x and y that the descriptor speaks of; where there is none, y holds them before. */
    cvl_status (*sizes)(const cvl_op *op, ptrdiff_t *x, ptrdiff_t *y);
    /* Operations, and bytes of weights, with so many elements of y; NULL: it moves bytes alone. */
    double (*work)(const cvl_op *op, double elements);
    /* Bytes of workspace; NULL: none. */
    size_t (*scratch)(const cvl_op *op, int threads);
    /* Makes the product of a step ready; NULL: there is none. */
    cvl_status (*ready)(NAME(program_step) *s);
    cvl_status (*run)(const NAME(program_step) *s, const NAME(program_arrays) *a,
                      const cvl_exec *run);
    /* y = f(x), of the functions that `run` calls through the table. */
    cvl_status (*map)(ptrdiff_t n, T *y, const T *x, const cvl_exec *run);
} NAME(op_kind);

/* NULL where it is unknown. */
const NAME(op_kind) *NAME(op_kind_of)(const cvl_op *op);

#endif
