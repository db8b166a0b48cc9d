/* threads.h: the one way to run work on several threads. */
#ifndef CVL_THREADS_H
#define CVL_THREADS_H

#include <stddef.h>

/* Runs tasks [begin, end) in order, as worker `worker` of `cvl_team_size` workers. */
typedef void cvl_task(void *context, ptrdiff_t begin, ptrdiff_t end, int worker);

/* What a region does with subnormal numbers, in every worker; restored when it ends. */
typedef enum cvl_subnormals { CVL_FLUSH, CVL_GRADUAL } cvl_subnormals;

/* Workers a region gets: at most `threads` and `tasks`, and one where `work` (floating-point
 * operations, or bytes touched, whichever is more) is too small to pay for waking a second. */
int cvl_team_size(int threads, ptrdiff_t tasks, double work);

/* Deals `tasks` to the team in contiguous ranges and returns when all are done. A task's result
 * must not depend on which worker runs it, nor on how the ranges fall. */
void cvl_parallel_for(int threads, ptrdiff_t tasks, double work, cvl_subnormals subnormals,
                      cvl_task *task, void *context);

#endif
