/* elementwise.h: functions of n elements: a task is a chunk of them. */
#ifndef CVL_OPS_ELEMENTWISE_H
#define CVL_OPS_ELEMENTWISE_H

#include "op.h"

/* Elements of a chunk: few enough to share evenly, enough for a task to cost nothing. */
enum { CVL_CHUNK = 4096 };

/* Checks the arguments of a function of n elements, and reads `run`. */
cvl_status NAME(read_elements)(ptrdiff_t n, const T *out, const T *a, const T *b,
                               const cvl_exec *run, cvl_exec *exec);

#endif
