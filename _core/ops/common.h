/* common.h: what every operator does first: read the descriptor, check sizes, carve scratch. */
#ifndef CVL_COMMON_H
#define CVL_COMMON_H

#include <stddef.h>
#include <string.h>

#include "convlet.h"
#include "cpu.h"
#include "order.h"
#include "threads.h"

/* Copies the fields that the caller's version of `from` has over `into`, which holds the defaults;
 * both begin with their size. Returns 0 if `from` is NULL or was never initialised. */
int cvl_read(void *into, const void *from);

/* The product of `count` sizes; 0 where one is below 0 or the product times 8 bytes overflows.
 * Sizes of 0 give a product of 0 and success. */
int cvl_product(ptrdiff_t *product, const ptrdiff_t *sizes, int count);
#define CVL_PRODUCT(product, ...)                          \
    cvl_product(product, (const ptrdiff_t[]){__VA_ARGS__}, \
                (int)(sizeof((const ptrdiff_t[]){__VA_ARGS__}) / sizeof(ptrdiff_t)))

/* Sizes up to here may be multiplied in pairs, and added, without overflow. */
#define CVL_SIZE_LIMIT ((ptrdiff_t)1 << (sizeof(ptrdiff_t) * 4 - 2))
#define CVL_COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

/* CVL_ERR_SHAPE where one of `positive` is below 1 or one of `others` below 0; CVL_ERR_OVERFLOW where
 * one of either is above CVL_SIZE_LIMIT. */
cvl_status cvl_check_sizes(const ptrdiff_t *positive, int positives, const ptrdiff_t *others,
                           int count);

/* floor(a / b) and ceil(a / b) for b > 0. */
static inline ptrdiff_t cvl_floor_div(ptrdiff_t a, ptrdiff_t b) { return a / b - (a % b < 0); }
static inline ptrdiff_t cvl_ceil_div(ptrdiff_t a, ptrdiff_t b) { return a / b + (a % b > 0); }
static inline ptrdiff_t cvl_min(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }
static inline ptrdiff_t cvl_max(ptrdiff_t a, ptrdiff_t b) { return a > b ? a : b; }

/* Scratch is carved into pieces of whole cache lines. One layout function gives both the size and the
 * pointers: with base NULL it only counts. */
typedef struct cvl_scratch {
    char *base;
    size_t used;
} cvl_scratch;
void *cvl_carve(cvl_scratch *scratch, size_t bytes);

/* Reads `run`, checks that its workspace holds `needed` bytes, and sets whether the regions that
 * follow are adaptive. */
cvl_status cvl_read_exec(cvl_exec *into, const cvl_exec *run, size_t needed);

#endif
