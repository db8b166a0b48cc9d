/* team.h: the interface of a thread backend, for threads.c: threads_openmp.c, threads_native.c or
 * threads_none.c. Each also defines cvl_thread_backend() and cvl_openmp_cpus(). */
#ifndef CVL_TEAM_H
#define CVL_TEAM_H

#include "threads.h"

/* What worker `worker` of `workers` does; 0 is the calling thread. */
typedef void cvl_member(void *context, int worker, int workers);

/* Runs `member` once on each of 2 to `team` workers and returns when all are done; returns 0, with
 * nothing run, where the caller has no team now: in the child of a fork, or where a pool is in use. */
int cvl_run_team(int team, cvl_member *member, void *context);

/* Calls `body`; the teams that its thread runs meanwhile are taken from one of at most `team`. */
void cvl_with_team(int team, cvl_body *body, void *context);

/* Seconds by a monotonic clock. */
double cvl_now(void);

#endif
