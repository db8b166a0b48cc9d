/* threads_native.c: a pool of the system's own threads (Meson option `threads=native`), for programs
 * that should not share, or depend on, an OpenMP runtime.
 *
 * One pool serves the process. It grows to the largest team asked for and stays. A region that begins
 * while another thread's is running is run by its caller alone. */
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE /* pthread_sigmask and clock_gettime beside -std=c11 */
#endif
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "convlet.h"
#include "crew.h"
#include "threads.h"

enum {
    LARGEST_TEAM = 1024,
    STACK = 1 << 21 /* musl gives 128 KiB otherwise */
};

static struct {
    atomic_flag in_use;
    cvl_crew crew;
    int started; /* threads of the pool */
    int watches_forks, in_forked_child;
} pool = {ATOMIC_FLAG_INIT, CVL_CREW_INIT, 0, 0, 0};

SYS_THREAD work(void *number)
{
    cvl_crew_serve(&pool.crew, (int)(intptr_t)number);
    return (sys_result)0;
}

/* Written in the child, while it has one thread: the pool's threads are the parent's. */
static void mark_forked_child(void) { pool.in_forked_child = 1; }

/* Grows the pool as far as it can; returns the workers there are, with the caller. */
static int gather(int team)
{
    if (!pool.watches_forks)
        sys_at_fork(mark_forked_child);
    pool.watches_forks = 1;
    if (team > LARGEST_TEAM)
        team = LARGEST_TEAM;
    while (pool.started < team - 1 && sys_start(work, (void *)(intptr_t)(pool.started + 1), STACK))
        pool.started++;
    return pool.started < team - 1 ? pool.started + 1 : team;
}

const char *cvl_thread_backend(void) { return "native"; }
int cvl_openmp_cpus(void) { return 0; }

int cvl_run_team(int team, cvl_member *member, void *context)
{
    if (pool.in_forked_child || atomic_flag_test_and_set(&pool.in_use))
        return 0;
    const int workers = gather(team);
    if (workers > 1)
        cvl_crew_run(&pool.crew, workers, member, context);
    atomic_flag_clear(&pool.in_use);
    return workers > 1;
}

/* The pool stays anyway. */
void cvl_with_team(int team, cvl_body *body, void *context)
{
    (void)team;
    body(context);
}

double cvl_now(void) { return sys_now(); }
