/* test_conv2d.c: the three passes of the direct engine against six loops. */
#include "conv2d_check.h"

#include <math.h>

#define CASE(...) {sizeof(cvl_conv2d), __VA_ARGS__, CVL_ACTIVATION_NONE, 0.01, CVL_CONV2D_IM2COL}

/* clang-format off */
static const cvl_conv2d cases[] = {
    /*   N  H   W   C   OC  KH KW SH SW DH DW PT PB PL PR groups */
    CASE(1, 1,  1,  1,  1,  1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1),
    CASE(0, 5,  4,  3,  2,  3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1),  /* empty batch */
    CASE(2, 5,  7,  3,  13, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1),  /* primes */
    CASE(1, 2,  3,  4,  5,  5, 5, 1, 1, 1, 1, 2, 2, 2, 2, 1),  /* kernel larger than the image */
    CASE(1, 9,  8,  2,  3,  2, 1, 3, 5, 1, 1, 0, 0, 0, 0, 1),  /* stride larger than the kernel */
    CASE(2, 8,  10, 6,  7,  3, 3, 2, 2, 1, 1, 0, 0, 0, 0, 1),  /* last row and column never read */
    CASE(1, 11, 9,  5,  4,  3, 2, 1, 2, 2, 3, 2, 1, 0, 3, 1),  /* dilation, lopsided padding */
    CASE(1, 7,  5,  3,  2,  2, 3, 2, 1, 3, 2, 5, 4, 6, 5, 1),  /* windows wholly in the padding */
    CASE(1, 3,  3,  1,  1,  1, 1, 2, 2, 1, 1, 4, 3, 2, 5, 1),  /* 1x1 with padding and stride */
    CASE(3, 6,  5,  17, 16, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1),  /* a plain matrix product */
    CASE(3, 7,  9,  37, 1,  1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1),  /* to one channel, */
    CASE(3, 7,  9,  12, 1,  1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1),
    CASE(5, 9,  11, 1,  21, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1),  /* and back to one */
    CASE(2, 13, 15, 400, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1),
    CASE(3, 7,  9,  37, 2,  1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1),  /* to a few, */
    CASE(5, 9,  11, 3,  21, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1),  /* and back to them */
    CASE(2, 13, 15, 400, 4, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1),
    CASE(7, 13, 9,  35, 20, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1),  /* many rows: a few columns left over, */
    CASE(5, 11, 17, 21, 29, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1),  /* most of a vector, */
    CASE(3, 17, 13, 391, 17, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1), /* and long sums, */
    CASE(2, 15, 19, 66, 43, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1),  /* panels of several vectors, */
    CASE(3, 11, 17, 62, 83, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1),
    CASE(1, 23, 24, 387, 84, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1), /* packed by all threads */
    /* A few rows of packed weights that are many: tiles of 8, 10 and 12, the last of which are partly empty. */
    CASE(1, 3, 5, 403, 333, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1),
    CASE(2, 5, 5, 262, 501, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1),
    CASE(5, 7, 1, 257, 513, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1),
    CASE(1, 1, 1, 67, 37, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1),    /* one row, of few channels */
    CASE(1, 1, 1, 165, 21, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1),
    CASE(1, 1, 1, 13, 70, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1),    /* or to few */
    CASE(1, 1, 1, 403, 333, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1),  /* or of many to many */
    CASE(3, 7,  9,  2,  1,  1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1),  /* from few to few */
    CASE(5, 9,  11, 3,  4,  1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1),
    CASE(2, 25, 23, 8,  5,  1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1),
    CASE(2, 7,  6,  8,  33, 1, 1, 2, 3, 1, 1, 0, 0, 0, 0, 1),
    CASE(2, 7,  6,  8,  33, 1, 1, 2, 3, 1, 1, 1, 0, 2, 1, 1),
    CASE(2, 6,  5,  12, 18, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 3),  /* groups */
    CASE(1, 8,  9,  23, 23, 3, 3, 2, 1, 1, 1, 1, 1, 1, 1, 23), /* depthwise */
    CASE(1, 7,  7,  5,  15, 5, 3, 1, 1, 1, 2, 2, 2, 2, 2, 5),  /* depthwise, three outputs each */
    CASE(2, 6,  6,  14, 14, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 7),
    CASE(2, 7,  7,  9,  10, 7, 7, 1, 1, 1, 1, 0, 0, 0, 0, 1),  /* one output pixel */
    CASE(1, 1,  40, 3,  17, 1, 9, 1, 1, 1, 1, 0, 0, 4, 4, 1),  /* one row */
    CASE(1, 40, 1,  3,  1,  9, 1, 1, 1, 1, 1, 4, 4, 0, 0, 1),  /* one column */
    /* Single rows, which few outputs cut into bands: two taps, strides, more padding than some bands have rows. */
    CASE(1, 1, 230, 20, 3, 1, 2, 1, 1, 1, 5, 0, 0, 3, 4, 1),
    CASE(2, 1, 97, 2, 18, 1, 5, 1, 3, 1, 2, 0, 0, 4, 3, 1),
    CASE(3, 1, 70, 33, 2, 1, 3, 1, 1, 1, 16, 0, 0, 32, 0, 1),
    CASE(7, 1, 40, 1, 64, 1, 3, 1, 1, 1, 1, 0, 0, 1, 1, 1),
    /* Long reductions: K = 657 and 769, cut at 384 inside a tap; enough work for three threads. */
    CASE(2, 9,  9,  73, 19, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1),
    CASE(9, 5,  5,  769, 6, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1),
    CASE(1, 6,  6,  19, 65, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1),
    CASE(1, 3,  3,  345, 6, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1),  /* 9 chains: their ends fill a line */
    /* Many pixels, so that backward weights has several blocks; few and many channels. */
    CASE(5, 17, 13, 8,  24, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1),
    CASE(3, 33, 31, 1,  9,  5, 5, 2, 2, 1, 1, 2, 2, 2, 2, 1),
    CASE(17, 9, 9,  16, 16, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 4),
    CASE(1, 13, 11, 66, 70, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1),
    /* Groups of a few channels, several to a vector: one vector of them and more, strides, dilation,
     * long reductions, too few for a vector. */
    CASE(2, 9,  7,  16, 16, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 4),
    CASE(3, 11, 13, 48, 48, 3, 3, 2, 1, 1, 2, 1, 1, 2, 1, 12),
    CASE(1, 10, 9,  32, 32, 3, 2, 2, 2, 1, 1, 0, 1, 1, 0, 16),
    CASE(2, 8,  9,  64, 64, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 8),
    CASE(5, 9,  9,  32, 32, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 4),
    CASE(1, 12, 9,  16, 16, 9, 7, 1, 1, 1, 1, 4, 4, 3, 3, 2),
    CASE(7, 7,  9,  64, 64, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 16),
    /* Wider groups, of many channels in all: panels of two and four vectors, side by side or not. */
    CASE(2, 11, 7,  256, 256, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 8),
    CASE(1, 9,  6,  288, 288, 2, 3, 1, 1, 1, 2, 1, 0, 2, 1, 9),
    CASE(1, 9,  8,  320, 320, 3, 2, 1, 2, 1, 1, 1, 1, 0, 1, 5),
    CASE(1, 6,  5,  256, 256, 5, 5, 1, 1, 1, 1, 2, 1, 2, 2, 4),
    /* Groups of a few channels that are no power of 2, in turns. */
    CASE(3, 15, 14, 20, 40, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 4),
    CASE(9, 9,  11, 24, 12, 5, 3, 1, 1, 1, 1, 2, 1, 0, 2, 4),
    CASE(2, 19, 31, 32, 32, 3, 3, 1, 1, 2, 1, 4, 2, 0, 5, 8),
    CASE(5, 9,  7,  64, 64, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 4),
    CASE(2, 7,  6,  12, 12, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 3),
    CASE(2, 7,  6,  16, 32, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 8),
    /* Groups that share vectors, which these do not divide: more inputs than outputs or fewer, a last
     * vector of some groups or of one, taps that no chain would hold whole. */
    CASE(3, 7,  6,  51, 34, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 17),
    CASE(2, 7,  6,  51, 34, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 17),
    CASE(2, 15, 14, 22, 44, 3, 2, 2, 1, 1, 1, 1, 1, 1, 0, 11),
    CASE(5, 9,  9,  33, 33, 1, 1, 2, 2, 1, 1, 0, 0, 0, 0, 11),
    CASE(7, 9,  11, 20, 80, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 20),
    CASE(1, 11, 9,  25, 25, 9, 9, 1, 1, 1, 1, 4, 4, 4, 4, 5),
    CASE(3, 9,  8,  40, 40, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 8),
    CASE(9, 11, 9,  42, 49, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 7),
    /* Backward data at stride 2 to vectors of 16, 8, 4 and 2 channels, by cells: all edges, odd sizes,
     * padding of every kind, inputs that no window reads. */
    CASE(3, 15, 14, 32, 24, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 2),
    CASE(2, 11, 22, 16, 40, 3, 3, 2, 2, 1, 1, 0, 3, 3, 0, 1),
    CASE(2, 9,  12, 24, 15, 3, 3, 2, 2, 1, 1, 1, 0, 2, 1, 3),
    CASE(1, 13, 10, 8,  11, 3, 3, 2, 2, 1, 1, 0, 0, 0, 1, 1),
    CASE(2, 5,  24, 8,  6,  3, 3, 2, 2, 1, 1, 5, 4, 6, 5, 2),
    CASE(1, 3,  2,  6,  9,  3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 3),
    CASE(2, 1,  1,  16, 9,  3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1),
    /* Outer products: rows taken whole and rows copied, rows longer than a block, many tiles. */
    CASE(1, 2,  700, 3, 10, 1, 3, 1, 1, 1, 1, 0, 0, 1, 1, 1),
    CASE(2, 12, 13, 70, 150, 1, 1, 2, 2, 1, 1, 0, 0, 0, 0, 1),
    CASE(1, 9,  8,  15, 40, 3, 3, 1, 1, 2, 1, 2, 2, 1, 1, 1),
    /* Rows of kernels side by side: pieces of a row, strides, dilation, as the rows and as the columns. */
    CASE(1, 9,  530, 1, 21, 5, 2, 1, 1, 2, 1, 5, 2, 0, 1, 1),
    CASE(3, 17, 20, 2,  19, 3, 2, 2, 3, 1, 1, 3, 1, 1, 0, 1),
    CASE(5, 15, 9,  1,  4,  4, 5, 3, 1, 1, 1, 2, 2, 4, 0, 1),
    /* Pixels of x whole pages apart, of dy, of both: by way of copies. */
    CASE(2, 7,  6,  512, 130, 2, 2, 2, 2, 1, 1, 0, 1, 1, 1, 1),
    CASE(1, 19, 16, 129, 1024, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1),
    CASE(1, 5,  6,  1024, 1024, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1),
    /* Few outputs, which are the rows then: of rows taken whole, of groups. */
    CASE(3, 21, 39, 9,  6,  5, 5, 2, 1, 1, 1, 2, 2, 2, 2, 1),
    CASE(2, 9,  8,  280, 6, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 2),
    /* Panels of three vectors: one, one after another width, three. */
    CASE(1, 7,  5,  5,  48, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1),
    CASE(2, 5,  5,  96, 112, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1),
    CASE(1, 5,  7,  9,  144, 1, 3, 1, 1, 1, 1, 0, 0, 1, 1, 1),
    /* Panels of a vector and a half: alone, after others, over a panel of w as it lies, long sums. */
    CASE(3, 15, 13, 20, 40, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1),
    CASE(2, 9,  7,  21, 12, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1),
    CASE(1, 7,  6,  60, 88, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1),
    /* Rows of 3 channels that the filters slide along: cut anywhere, edges of several columns and rows. */
    CASE(2, 9,  49, 3,  16, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1),
    CASE(3, 7,  18, 3,  13, 2, 3, 2, 1, 2, 1, 3, 4, 3, 0, 1),
    CASE(1, 5,  17, 3,  13, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1), /* one position too few */
    /* Strides, dilation, groups and long sums keep from it. */
    CASE(1, 7,  41, 3,  13, 3, 3, 1, 2, 1, 1, 1, 1, 1, 1, 1),
    CASE(1, 7,  29, 3,  13, 3, 3, 1, 1, 1, 2, 1, 1, 2, 2, 1),
    CASE(1, 7,  29, 3,  39, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 3),
    CASE(1, 44, 21, 3,  13, 43, 3, 1, 1, 1, 1, 0, 0, 1, 1, 1),
    /* Depthwise: lines of all lengths, phases, dilation, several outputs each, long filters. */
    CASE(2, 9,  21, 35, 35, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 35),
    CASE(2, 17, 15, 80, 80, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 80),
    CASE(1, 9,  11, 16, 16, 3, 3, 3, 2, 2, 2, 2, 1, 0, 2, 16),
    CASE(3, 8,  7,  20, 40, 3, 3, 1, 2, 1, 1, 1, 1, 1, 1, 20),
    CASE(1, 10, 11, 5,  15, 3, 3, 2, 2, 1, 1, 0, 1, 1, 0, 5),
    CASE(1, 22, 23, 3,  3,  21, 20, 1, 1, 1, 1, 10, 10, 9, 10, 3),
    CASE(1, 9,  8,  2,  8,  11, 10, 1, 1, 1, 1, 5, 5, 5, 5, 2),
    CASE(1, 14, 7,  5,  10, 5, 3, 3, 1, 1, 1, 2, 2, 1, 1, 5),
    CASE(1, 2,  1100, 17, 17, 1, 3, 1, 2, 1, 1, 0, 0, 1, 1, 17),
    CASE(2, 9,  7,  530, 530, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 530), /* by way of copied rows */
    CASE(1, 8,  6,  521, 521, 5, 3, 2, 2, 1, 1, 2, 2, 0, 1, 521),
    CASE(1, 5,  4,  1040, 1040, 3, 2, 2, 1, 1, 1, 1, 1, 0, 1, 1040), /* more than a task has */
    CASE(2, 9,  23, 70, 70, 5, 5, 1, 1, 1, 1, 2, 2, 2, 2, 70),   /* columns kept from tap to tap, */
    CASE(1, 8,  21, 129, 129, 7, 7, 1, 1, 1, 1, 3, 3, 3, 3, 129), /* and vectors at the edges at once */
    CASE(1, 7,  25, 20, 40, 5, 5, 1, 1, 1, 2, 2, 2, 4, 4, 20),
    CASE(1, 6,  37, 66, 66, 3, 5, 1, 2, 1, 1, 1, 1, 2, 2, 66),
    CASE(2, 9,  13, 20, 20, 3, 3, 1, 1, 1, 2, 1, 1, 2, 2, 20), /* dilation of one axis alone */
    CASE(2, 9,  13, 20, 20, 3, 3, 1, 1, 2, 1, 2, 2, 1, 1, 20),
    CASE(2, 1,  14, 33, 33, 1, 6, 1, 1, 1, 1, 0, 0, 1, 1, 33),  /* 6 and 9 taps in a row: */
    CASE(1, 2,  26, 16, 32, 1, 9, 1, 2, 1, 1, 0, 0, 4, 3, 16),  /* not 2 and 3 rows of 3 */
    CASE(1, 3,  9,  17, 17, 1, 7, 1, 1, 1, 1, 0, 0, 6, 0, 17),
    CASE(2, 9,  7,  32, 32, 2, 3, 1, 2, 1, 1, 1, 0, 1, 1, 32),
    /* Images in sets, the last of them smaller; every class of edges and corners. */
    CASE(5, 30, 31, 2,  5,  3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1),
    CASE(3, 6,  5,  9,  40, 5, 5, 1, 1, 1, 1, 2, 2, 2, 2, 1),
    CASE(1, 9,  12, 8,  20, 3, 3, 2, 3, 4, 2, 3, 5, 4, 2, 1),
    /* More weights than stay in cache beside few positions. */
    CASE(1, 5,  4,  173, 171, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1),
    CASE(1, 7,  5,  173, 171, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1),
    CASE(2, 3,  4,  520, 510, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1),
    CASE(1, 4,  5,  520, 510, 1, 1, 2, 2, 1, 1, 0, 0, 0, 0, 1),
    /* To few channels both passes have a way of their own: several images at a time and parts of one,
     * all taps in one chain and in several, as many channels as are read at a time and more. */
    CASE(9, 8,  9,  17, 5,  3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1),
    CASE(1, 70, 90, 9,  1,  5, 5, 1, 1, 1, 1, 2, 2, 2, 2, 1),
    CASE(2, 11, 13, 8,  8,  7, 7, 1, 1, 1, 1, 3, 3, 3, 3, 1),
    CASE(3, 10, 12, 40, 2,  5, 4, 1, 1, 2, 1, 4, 4, 1, 2, 1),
    CASE(4, 15, 14, 6,  23, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1),
    CASE(1, 9,  12, 7,  16, 3, 3, 1, 1, 1, 1, 0, 0, 1, 1, 1),
    CASE(2, 17, 19, 3,  16, 7, 7, 2, 2, 1, 1, 3, 3, 3, 3, 1),
    CASE(3, 12, 28, 1,  32, 5, 5, 1, 1, 1, 1, 2, 2, 2, 2, 1),
    CASE(2, 15, 17, 4,  8,  3, 2, 3, 2, 2, 3, 2, 1, 0, 3, 1),
    CASE(1, 23, 40, 2,  11, 2, 3, 4, 5, 3, 2, 0, 2, 7, 1, 1),
    CASE(1, 3,  300, 2, 9,  2, 3, 1, 1, 1, 1, 1, 0, 1, 1, 1),  /* long rows */
    /* Backward data to few channels from many, more than a chain among them, and at large strides. */
    CASE(1, 5,  12, 1,  390, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0, 1),
    CASE(2, 9,  11, 1,  40, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1),
    CASE(9, 6,  8,  3,  40, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1),  /* short rows */
    CASE(1, 13, 47, 3,  11, 2, 3, 5, 5, 3, 2, 0, 2, 7, 1, 1),
    CASE(2, 15, 40, 4,  9,  5, 4, 4, 5, 1, 1, 0, 1, 2, 0, 1),
    /* Taps that meet nothing but padding: all but one, all but a row of them, and some rows; the last
     * ones alone; those of a dilation wider than the map. */
    CASE(3, 1,  1,  9,  20, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1),
    CASE(2, 1,  1,  8,  8,  3, 5, 2, 2, 1, 1, 1, 1, 2, 2, 8),
    CASE(2, 1,  7,  6,  9,  5, 3, 1, 1, 1, 1, 2, 2, 1, 1, 1),
    CASE(2, 3,  2,  6,  9,  7, 3, 2, 2, 1, 1, 3, 3, 1, 1, 1),
    CASE(1, 1,  2,  3,  5,  4, 4, 1, 1, 1, 1, 0, 3, 0, 3, 1),
    CASE(2, 5,  4,  4,  6,  3, 3, 1, 1, 7, 9, 7, 7, 9, 9, 2),
    /* All taps of all windows; and those that lie so far out that the padding ends between them and the
     * next. */
    CASE(2, 1,  3,  4,  5,  1, 1, 3, 1, 1, 1, 1, 0, 0, 0, 1),
    CASE(2, 3,  2,  4,  5,  1, 2, 2, 5, 1, 1, 0, 0, 3, 0, 1),
    CASE(2, 4,  5,  4,  6,  3, 1, 1, 1, 5, 1, 7, 0, 0, 0, 1),
    CASE(2, 4,  5,  4,  6,  3, 1, 1, 1, 5, 1, 0, 7, 0, 0, 1),
    CASE(1, 1,  4,  6,  9,  1, 3, 1, 1, 1, 5, 0, 0, 7, 0, 1),
    CASE(1, 1,  4,  6,  9,  1, 3, 1, 1, 1, 5, 0, 0, 0, 7, 1),
    /* A kernel as large as the image, which is a matrix product over images, and one that dilation,
     * groups, padding on one side of the columns, or more rows or columns keep from that. */
    CASE(5, 3,  4,  7,  11, 3, 4, 2, 3, 1, 1, 0, 0, 0, 0, 1),
    CASE(3, 1,  4,  7,  11, 1, 4, 1, 1, 5, 1, 0, 0, 0, 0, 1),
    CASE(3, 5,  5,  4,  6,  3, 3, 1, 1, 2, 2, 0, 0, 0, 0, 1),
    CASE(4, 3,  2,  6,  10, 3, 2, 1, 1, 1, 1, 0, 0, 0, 0, 2),
    CASE(3, 3,  4,  7,  11, 3, 4, 1, 2, 1, 1, 0, 0, 1, 0, 1),
    CASE(2, 3,  5,  4,  6,  3, 4, 1, 2, 1, 1, 0, 0, 0, 0, 1),
    CASE(2, 5,  3,  4,  6,  4, 3, 2, 1, 1, 1, 0, 0, 0, 0, 1),
};

/* Weight gradients alone: the other passes have no way of their own for these. */
static const cvl_conv2d weight_cases[] = {
    CASE(1, 34, 31, 64,   1030, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1), /* dy larger than caches */
    CASE(1, 9,  8,  1024, 130,  1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1), /* long copies of x */
};
/* More of them than caches hold, so that a few rows are written at a time. */
static const cvl_conv2d large_weights = CASE(1, 1, 3, 2049, 4097, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1);
/* clang-format on */

static void name_case(const char *what, const cvl_conv2d *d)
{
    check_case("%s N%td H%td W%td C%td OC%td K%tdx%td S%tdx%td D%tdx%td P%td,%td,%td,%td G%td",
               what, d->N, d->H, d->W, d->C, d->OC, d->KH, d->KW, d->SH, d->SW, d->DH, d->DW, d->PT,
               d->PB, d->PL, d->PR, d->groups);
}

static void test_output_shape(const cvl_conv2d *d)
{
    ptrdiff_t OH = -1, OW = -1;
    sizes s = sizes_of(d);
    CHECK(cvl_conv2d_output_shape(d, &OH, &OW) == CVL_OK);
    CHECK(OH == s.OH && OW == s.OW);
}

/* With each of the activations, which are bits by number, and a bias, but for none of them and, on small
 * integers, the leaky one. */
static void test_forward(cvl_conv2d d, int limit, unsigned activations)
{
    sizes s = sizes_of(&d);
    d.slope = 0.25; /* exact on integers */
    T *x = input_operand(s.x, limit), *w = input_operand(s.w, limit);
    T *b = input_operand(d.OC, limit);
    double *wide_x = widened(x, s.x), *wide_w = widened(w, s.w), *wide_b = widened(b, d.OC);
    double *sums = doubles(s.y), *magnitudes = doubles(s.y);
    double *want = doubles(s.y), *scale = doubles(s.y);
    cvl_reference_conv2d_sums(&d, sums, wide_x, wide_w);
    if (!limit)
        cvl_reference_conv2d_sums(&d, magnitudes, magnitude(wide_x, s.x), magnitude(wide_w, s.w));
    for (int a = CVL_ACTIVATION_NONE; a <= CVL_ACTIVATION_RELU6; a++) {
        if (!(activations >> a & 1))
            continue;
        name_case(limit ? "forward, integers" : "forward", &d);
        const int biased = a != CVL_ACTIVATION_NONE && !(a == CVL_ACTIVATION_LEAKY_RELU && limit);
        T *first = NULL, *bias = biased ? b : NULL;
        double *reference_bias = biased ? wide_b : NULL;
        d.activation = CVL_ACTIVATION_NONE;
        if (!limit) /* of the bound: clipping may bring a result nearer, never farther */
            cvl_reference_conv2d_activate(&d, scale, magnitudes,
                                          biased ? magnitude(wide_b, d.OC) : NULL);
        d.activation = (cvl_activation)a;
        cvl_reference_conv2d_activate(&d, want, sums, reference_bias);
        for (int i = 0; i < runs_of(limit); i++) {
            const int threads = threads_of(i, limit);
            T *y = output(s.y);
            cvl_exec run = run_with(threads, NAME(conv2d_forward_workspace_size)(&d, threads));
            CHECK(NAME(conv2d_forward)(&d, y, x, w, bias, &run) == CVL_OK);
            if (first)
                check_same("y", s.y, y, first);
            else
                check_sums("y", s.y, first = y, want, d.KH * d.KW * d.C / d.groups, scale, limit);
        }
        check_packed(&d, s.y, first, x, w, bias);
    }
    check_memory();
}

static void test_backward_data(cvl_conv2d d, int limit)
{
    name_case(limit ? "backward data, integers" : "backward data", &d);
    sizes s = sizes_of(&d);
    T *dy = input_operand(s.y, limit), *w = input_operand(s.w, limit), *first = NULL;
    double *wide_dy = widened(dy, s.y), *wide_w = widened(w, s.w);
    double *want = doubles(s.x), *scale = doubles(s.x);
    cvl_reference_conv2d_backward_data(&d, want, wide_dy, wide_w);
    if (!limit)
        cvl_reference_conv2d_backward_data(&d, scale, magnitude(wide_dy, s.y),
                                           magnitude(wide_w, s.w));
    for (int i = 0; i < runs_of(limit); i++) {
        const int threads = threads_of(i, limit);
        T *dx = output(s.x);
        cvl_exec run = run_with(threads, NAME(conv2d_backward_data_workspace_size)(&d, threads));
        CHECK(NAME(conv2d_backward_data)(&d, dx, dy, w, &run) == CVL_OK);
        if (first)
            check_same("dx", s.x, dx, first);
        else
            check_sums("dx", s.x, first = dx, want, d.KH * d.KW * d.OC / d.groups, scale, limit);
    }
    check_memory();
}

static void test_backward_weights(cvl_conv2d d, int limit)
{
    name_case(limit ? "backward weights, integers" : "backward weights", &d);
    sizes s = sizes_of(&d);
    ptrdiff_t pixels = d.N * s.OH * s.OW;
    T *dy = input_operand(s.y, limit), *x = input_operand(s.x, limit);
    T *first = NULL, *first_db = NULL;
    double *wide_dy = widened(dy, s.y), *wide_x = widened(x, s.x);
    double *want = doubles(s.w), *scale = doubles(s.w);
    double *want_db = doubles(d.OC), *scale_db = doubles(d.OC);
    cvl_reference_conv2d_backward_weights(&d, want, want_db, wide_dy, wide_x);
    if (!limit)
        cvl_reference_conv2d_backward_weights(&d, scale, scale_db, magnitude(wide_dy, s.y),
                                              magnitude(wide_x, s.x));
    for (int i = 0; i < runs_of(limit); i++) {
        const int threads = threads_of(i, limit);
        T *dw = output(s.w), *db = output(d.OC), *dw_alone = output(s.w), *db_alone = output(d.OC);
        cvl_exec run = run_with(threads, NAME(conv2d_backward_weights_workspace_size)(&d, threads));
        CHECK(NAME(conv2d_backward_weights)(&d, dw, db, dy, x, &run) == CVL_OK);
        CHECK(NAME(conv2d_backward_weights)(&d, dw_alone, NULL, dy, x, &run) == CVL_OK);
        CHECK(NAME(conv2d_backward_weights)(&d, NULL, db_alone, dy, x, &run) == CVL_OK);
        if (run.workspace_bytes > 0) { /* for dw or for db, whichever takes more */
            run.workspace_bytes--;
            CHECK(NAME(conv2d_backward_weights)(&d, dw, db, dy, x, &run) == CVL_ERR_WORKSPACE);
        }
        check_same("dw without db", s.w, dw_alone, dw);
        check_same("db without dw", d.OC, db_alone, db);
        if (first) {
            check_same("dw", s.w, dw, first);
            check_same("db", d.OC, db, first_db);
        } else {
            check_sums("dw", s.w, first = dw, want, pixels, scale, limit);
            check_sums("db", d.OC, first_db = db, want_db, pixels, scale_db, limit);
        }
    }
    check_memory();
}

/* A tap that lies outside is left out: an infinite weight must not meet a zero of the padding. */
static void test_infinite_tap(cvl_conv2d d, ptrdiff_t tap)
{
    name_case("infinite weights", &d);
    const sizes s = sizes_of(&d);
    const ptrdiff_t tap_size = s.w / (d.KH * d.KW);
    T *x = output(s.x), *w = output(s.w), *dy = output(s.y), *y = output(s.y), *dx = output(s.x);
    double *want = doubles(s.y), *want_dx = doubles(s.x);
    for (ptrdiff_t i = 0; i < s.x; i++)
        x[i] = 1;
    for (ptrdiff_t i = 0; i < s.w; i++)
        w[i] = i / tap_size == tap ? (T)INFINITY : 1;
    for (ptrdiff_t i = 0; i < s.y; i++)
        dy[i] = 1;
    d.algorithm = CVL_CONV2D_IM2COL;
    cvl_reference_conv2d_forward(&d, want, widened(x, s.x), widened(w, s.w), NULL);
    cvl_exec run = run_with(2, NAME(conv2d_forward_workspace_size)(&d, 2));
    CHECK(NAME(conv2d_forward)(&d, y, x, w, NULL, &run) == CVL_OK);
    check_exact("y", s.y, y, want);
    cvl_reference_conv2d_backward_data(&d, want_dx, widened(dy, s.y), widened(w, s.w));
    run = run_with(2, NAME(conv2d_backward_data_workspace_size)(&d, 2));
    CHECK(NAME(conv2d_backward_data)(&d, dx, dy, w, &run) == CVL_OK);
    check_exact("dx", s.x, dx, want_dx);
    check_memory();
}

/* An empty batch gives nothing, or gradients of 0, whatever the engine. */
static void test_empty_batch(cvl_conv2d d)
{
    d.N = 0;
    const cvl_conv2d_algorithm algorithms[] = {CVL_CONV2D_IM2COL, CVL_CONV2D_AUTO};
    for (int i = 0; i < 2; i++) {
        d.algorithm = algorithms[i];
        test_forward(d, REAL, 1u << CVL_ACTIVATION_RELU);
        test_backward_data(d, REAL);
        test_backward_weights(d, REAL);
    }
}

/* A problem of few products, of any kind. */
static cvl_conv2d drawn_problem(void)
{
    enum { PRODUCTS = 200000 };
    static const ptrdiff_t groups[] = {1, 1, 1, 1, 2, 5, 8, 23};
    cvl_conv2d d = {.size = sizeof d, .algorithm = CVL_CONV2D_IM2COL};
    double products;
    do {
        d.groups = groups[random_bits() % 8];
        const int depthwise = d.groups > 5 && random_bits() % 2;
        d.N = random_size(1, 90);
        d.H = random_size(1, 20);
        d.W = random_size(1, 40);
        d.C = d.groups * (depthwise ? 1 : random_size(1, 70));
        d.OC = d.groups * (depthwise ? 1 : random_size(1, 70));
        d.KH = random_size(1, 6);
        d.KW = random_size(1, 6);
        d.SH = random_size(1, 4);
        d.SW = random_size(1, 4);
        d.DH = random_size(1, 4);
        d.DW = random_size(1, 4);
        d.PT = random_size(0, d.KH * d.DH);
        d.PB = random_size(0, d.KH * d.DH);
        d.PL = random_size(0, d.KW * d.DW);
        d.PR = random_size(0, d.KW * d.DW);
        const sizes s = sizes_of(&d);
        products = s.OH < 1 || s.OW < 1 ? INFINITY : (double)s.y * (double)(s.w / d.OC);
    } while (products > PRODUCTS);
    return d;
}

/* Shapes that are in no table. */
static void test_drawn(void)
{
    enum { COUNT = 300 };
    cvl_conv2d problems[COUNT];
    check_case("problems are drawn");
    for (int i = 0; i < COUNT; i++)
        problems[i] = drawn_problem();
    for (int i = 0; i < COUNT; i++) {
        if (problems[i].KH * problems[i].KW > 1)
            test_infinite_tap(problems[i], i % (problems[i].KH * problems[i].KW));
        test_forward(problems[i], INTEGER, 1u | 2u << i % CVL_ACTIVATION_RELU6);
        test_backward_data(problems[i], INTEGER);
        test_backward_weights(problems[i], INTEGER);
    }
}

static void test_all(void)
{
    for (const cvl_conv2d *d = cases; d < cases + sizeof cases / sizeof cases[0]; d++) {
        name_case("output shape", d);
        test_output_shape(d);
        test_empty_batch(*d);
        /* A product of matrices has no outside. */
        if (d->KH * d->KW > 1 || d->PT + d->PB + d->PL + d->PR > 0)
            test_infinite_tap(*d, (d - cases) % 2 * (d->KH * d->KW - 1));
        for (int limit = REAL; limit <= INTEGER; limit += INTEGER) {
            /* Once, on either in turn. */
            if (check_once() && (limit == REAL) == (d - cases) % 2)
                continue;
            /* All activations on integers, and on real numbers or once in turn. */
            const unsigned all = (2u << CVL_ACTIVATION_RELU6) - 1;
            const unsigned turn = 1u | 2u << (d - cases) % CVL_ACTIVATION_RELU6;
            test_forward(*d, limit, limit && !check_once() ? all : turn);
            test_backward_data(*d, limit);
            test_backward_weights(*d, limit);
        }
    }
    test_drawn();
    for (int i = 0; i < 2; i++)
        test_backward_weights(weight_cases[i], INTEGER);
    if (!check_once()) {
        test_backward_weights(weight_cases[0], REAL);
        test_backward_weights(large_weights, INTEGER);
    }
}

int main(void) { return check_main(test_all); }
