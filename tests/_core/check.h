/* check.h: what the C tests share. Every test program is compiled once per type, with CVL_F32 or
 * CVL_F64 defined, and runs at the level that CONVLET_ISA names.
 *
 * Memory handed to the library lies between two pages that may not be touched: it ends at the
 * second or begins at the first, in turn, and the bytes between it and the other page must survive.
 * So an access outside an array is a failure wherever it falls. */
#ifndef CVL_CHECK_H
#define CVL_CHECK_H

#include <stddef.h>
#include <stdint.h>

#include "convlet.h"
#include "reference.h"

#if defined(CVL_F32)
#define T float
#define DTYPE f32
#define UNIT 0x1p-24      /* unit roundoff */
#define SMALLEST 0x1p-149 /* the least subnormal */
#define SMALLEST_NORMAL 0x1p-126
#elif defined(CVL_F64)
#define T double
#define DTYPE f64
#define UNIT 0x1p-53
#define SMALLEST 0x1p-1074
#define SMALLEST_NORMAL 0x1p-1022
#else
#error "define CVL_F32 or CVL_F64"
#endif

/* cvl_<name>_<dtype> */
#define NAME(name) NAME_(cvl_##name, DTYPE)
#define NAME_(name, dtype) NAME__(name, dtype)
#define NAME__(name, dtype) name##_##dtype

/* One more passed or failed; a failure prints the place and the case. Returns `ok`. */
int check(int ok, const char *what, const char *file, int line);
#define CHECK(condition) check(!!(condition), #condition, __FILE__, __LINE__)

/* What failures and crashes from here on belong to. */
void check_case(const char *format, ...);

/* Runs `all` twice, with memory at the page after it and then, each case once, at the one before, prints
 * "N passed, N failed" and returns the exit status: 77, for skipped, where this CPU lacks the level that
 * CONVLET_ISA names. With CONVLET_TEST_ONCE in the environment it runs but once, each array at either page
 * as random bits say: an emulator takes minutes for what a CPU does in seconds. */
int check_main(void (*all)(void));
/* Whether each case runs once. Then it still takes its way through the kernels, but with one number of
 * threads, and on real numbers or integers where either would do: the rest is for the other page to tell,
 * and for levels that a CPU runs. */
int check_once(void);
/* The numbers of threads that a result is computed with: 1, 3 and 7, or once any up to 7. 0 comes before
 * the first and after the last. */
int team_after(int threads);
/* The end of check_main alone, for a program that is not about a level. */
int check_report(void);

/* The same numbers on every machine, from integers alone; seeded anew by check_case. */
uint64_t random_bits(void);
T random_unit(void);                                  /* in [-1, 1], all digits used */
T random_integer(int limit);                          /* in [-limit, limit] */
ptrdiff_t random_size(ptrdiff_t low, ptrdiff_t high); /* small ones more often */

/* Guarded memory. Inputs are compared with a copy at the end, outputs start as NaN; what the
 * library both reads and writes is an output that the test fills. */
T *output(ptrdiff_t n);
T *input_random(ptrdiff_t n);
T *input_integers(ptrdiff_t n, int limit);
/* What sums of products are made of: REAL for random numbers, or integers of at most INTEGER, so that
 * every sum of the tests is below 2^24, and float32 must give it exactly. */
enum { REAL = 0, INTEGER = 8 };
T *input_operand(ptrdiff_t n, int limit);
void *output_bytes(size_t bytes);
void *input_bytes(const void *content, size_t bytes);
/* Whether nobody has written to an output. */
int untouched(const void *memory, size_t bytes);
/* `run` with that many threads and a workspace of exactly that many bytes, full of NaN. */
cvl_exec run_with(int threads, size_t workspace_bytes);

/* Memory for the reference, not guarded. */
double *doubles(ptrdiff_t n);
double *widened(const T *x, ptrdiff_t n);        /* x in double */
double *magnitude(const double *x, ptrdiff_t n); /* |x| */

/* Checks that every input and every byte around the arrays is as it was, and frees all of the
 * above. */
void check_memory(void);

/* |got - want| <= factor * scale[i] for every i, exactly `want` where that is 0, NaN where `want`
 * is. One check; a failure prints the worst element. */
void check_within(const char *what, ptrdiff_t n, const T *got, const double *want, double factor,
                  const double *scale);
/* The same bits as `want` rounded to T. */
void check_exact(const char *what, ptrdiff_t n, const T *got, const double *want);
/* Sums of so many products of such operands: exact where they are integers; else off by no more than
 * their rounding allows, where scale[i] is sum |a||b|. */
void check_sums(const char *what, ptrdiff_t n, const T *got, const double *want, ptrdiff_t terms,
                const double *scale, int limit);
/* The same bits, of two results of the library. */
void check_same(const char *what, ptrdiff_t n, const T *got, const T *first);

#endif
