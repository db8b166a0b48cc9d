/* threads.h: parallel_for, the only way in which work runs on several threads. */
#ifndef CVL_THREADS_H
#define CVL_THREADS_H

#include <stddef.h>

/* Runs tasks [begin, end) in order, as worker `worker` of `cvl_team_size` workers. */
typedef void cvl_task(void *context, ptrdiff_t begin, ptrdiff_t end, int worker);

/* What a region does with subnormal numbers, in every worker; restored when it ends. */
typedef enum cvl_subnormals { CVL_FLUSH, CVL_GRADUAL } cvl_subnormals;

/* Workers of a region: at most `threads` and `tasks`, and no more than `work` (floating-point
 * operations, or bytes touched, whichever is more) is worth waking for. */
int cvl_team_size(int threads, ptrdiff_t tasks, double work);

/* Deals `tasks` to the team in contiguous ranges and returns when all are done. A task's result
 * must not depend on which worker runs it, nor on how the ranges fall. */
void cvl_parallel_for(int threads, ptrdiff_t tasks, double work, cvl_subnormals subnormals,
                      cvl_task *task, void *context);

/* The same for tasks that may run in any order: each worker goes through its share from the end that the
 * calling thread's last region ended with, of which caches hold what was touched last. */
void cvl_parallel_sweep(int threads, ptrdiff_t tasks, double work, cvl_subnormals subnormals,
                        cvl_task *task, void *context);

/* Calls `body`, whose regions share a team of at most `threads` that waits from each to the next: where a
 * team costs much to make, as a network of small operators has one for each. */
typedef void cvl_body(void *context);
void cvl_hold_team(int threads, cvl_body *body, void *context);

/* Sets whether the regions that this thread starts from now on may run serially for a while after one
 * in which that would have been faster. */
void cvl_set_adaptive(int adaptive);

/* How that is decided; times in seconds. */
typedef struct cvl_pace {
    double serial_until; /* by the clock */
    double pause;        /* of the last serial while; shrinks while regions are clean */
} cvl_pace;

/* What is known of a region: how long it took, how long the last worker worked after the first had
 * done, and how long one thread would have taken alone, by the fastest worker's pace. */
typedef struct cvl_region_times {
    double region, wait, alone;
} cvl_region_times;

/* Records a region that ended now. */
void cvl_pace_note(cvl_pace *pace, double now, cvl_region_times times);

#endif
