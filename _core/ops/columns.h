/* columns.h: how a tall (M,C) matrix is cut for sums over its pixels, and the plainest such sum.
 *
 * Pixels are laid side by side into rows of L = lcm(C, 64 or 16) elements where that is short, so
 * that a matrix of 3 channels fills whole vectors as one of 64 does. Every column of these rows is
 * its own chain of additions: a sum is a chain down at most `chain` rows, chains added over at
 * most CVL_ORDER_FOLD pieces, these folded into channels in double, and the blocks merged in
 * order. All of it follows from M and C. */
#ifndef CVL_COLUMNS_H
#define CVL_COLUMNS_H

#include "op.h"

/* A matrix cut into tasks: blocks of rows or, where there are few pixels of many channels, slabs
 * of columns, which need no merging. */
typedef struct cvl_columns {
    ptrdiff_t M, C;
    ptrdiff_t L;      /* elements of a row, a multiple of C */
    ptrdiff_t rows;   /* whole rows */
    ptrdiff_t tail;   /* elements after the last whole row; they belong to the last block */
    ptrdiff_t chain;  /* rows of a piece */
    ptrdiff_t blocks; /* 1 with slabs */
    ptrdiff_t slabs;  /* 0 with blocks; then L = C */
    ptrdiff_t tasks;
} cvl_columns;

/* What one task covers: some columns, which hold `channels` channels, of the rows of a block. */
typedef struct cvl_columns_span {
    ptrdiff_t block, pixels;
    ptrdiff_t column, width, channels;
    ptrdiff_t row, end, tail; /* what next_piece has still to give */
    ptrdiff_t pieces;         /* given since the last fold */
} cvl_columns_span;

/* A few rows of a span, small enough to stay in L1. */
typedef struct cvl_piece {
    ptrdiff_t offset;   /* of its first element in the matrix */
    ptrdiff_t shape[3]; /* rows, width, L: as the kernels take it */
    int fold;           /* after it, the sums are to be folded into double */
} cvl_piece;

cvl_columns NAME(columns_plan)(ptrdiff_t M, ptrdiff_t C);

/* The same without slabs, for what has no sums: cores that write parts of one row fetch those of each
 * other, too. */
cvl_columns NAME(columns_blocks)(ptrdiff_t M, ptrdiff_t C);

/* The matrix of a plan of slabs, of the same L, in blocks of rows. */
cvl_columns NAME(columns_rows)(const cvl_columns *slabs);

cvl_columns_span NAME(columns_span)(const cvl_columns *plan, ptrdiff_t task);

/* The next piece of a span, in order; 0 after the last. */
int NAME(next_piece)(cvl_piece *piece, cvl_columns_span *span, const cvl_columns *plan);

/* Where totals are merged: ranges of this many channels, of which there are `ranges`. */
enum { CVL_COLUMNS_RANGE = 64 };
static inline ptrdiff_t cvl_columns_ranges(const cvl_columns *plan)
{
    return cvl_ceil_div(plan->C, CVL_COLUMNS_RANGE);
}

/* sums[c] = sum_m x[m,c] for x (M,C); zeros where M is 0. The workspace is as large as the first
 * function says and aligned to 64 bytes. */
size_t NAME(column_sums_workspace)(ptrdiff_t M, ptrdiff_t C);
void NAME(column_sums)(T *sums, const T *x, ptrdiff_t M, ptrdiff_t C, void *workspace, int threads);

#endif
