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
#include "system.h"
#include "team.h"

enum {
    LARGEST_TEAM = 1024,
    STACK = 1 << 21, /* musl gives 128 KiB otherwise */
    SPINS = 64       /* between two looks at the clock */
};

/* How long a thread watches before it sleeps: longer than it takes to be woken (5 to 50 us), and than
 * the gap between two kernels of a training step. */
#define WATCH 100e-6

/* What is waited for: `word` changes, and who sleeps until it does is woken. A cache line of its own:
 * some write one while others watch the other. */
typedef struct event {
    _Alignas(64) _Atomic uint64_t word;
    atomic_int sleepers;
    sys_lock lock;
    sys_signal signal;
} event;

static struct {
    atomic_flag in_use;
    event start;   /* regions so far, times 2^16, plus the workers of the last one */
    event pending; /* workers of the region in progress that are not done */
    cvl_member *member;
    void *context;
    int started; /* threads of the pool */
    int watches_forks, in_forked_child;
} pool = {
    ATOMIC_FLAG_INIT,
    {0, 0, SYS_LOCK_INIT, SYS_SIGNAL_INIT},
    {0, 0, SYS_LOCK_INIT, SYS_SIGNAL_INIT},
    NULL,
    NULL,
    0,
    0,
    0,
};

/* Returns the word when it is no longer, or is at last, `word`. */
static uint64_t wait_for(event *e, uint64_t word, int wanted)
{
    const double give_up = sys_now() + WATCH;
    do
        for (int i = 0; i < SPINS; i++) {
            const uint64_t now = atomic_load(&e->word);
            if ((now == word) == wanted)
                return now;
            sys_relax();
        }
    while (sys_now() < give_up);
    sys_acquire(&e->lock);
    atomic_fetch_add(&e->sleepers, 1);
    uint64_t now;
    while (((now = atomic_load(&e->word)) == word) != wanted)
        sys_wait(&e->signal, &e->lock);
    atomic_fetch_sub(&e->sleepers, 1);
    sys_release(&e->lock);
    return now;
}

/* Call it when the word has changed. A sleeper either has counted itself before, and is woken, or
 * sees the new word. */
static void wake(event *e)
{
    if (atomic_load(&e->sleepers) == 0)
        return;
    sys_acquire(&e->lock);
    sys_wake_all(&e->signal);
    sys_release(&e->lock);
}

/* One thread of the pool. It may miss regions that it has no part in; of those it has, the caller
 * waits for it, so what the pool says then belongs to the word it has read. */
SYS_THREAD work(void *number)
{
    const int worker = (int)(intptr_t)number;
    uint64_t seen = 0;
    for (;;) {
        seen = wait_for(&pool.start, seen, 0);
        const int workers = (int)(seen & 0xffff);
        if (worker >= workers)
            continue;
        pool.member(pool.context, worker, workers);
        if (atomic_fetch_sub(&pool.pending.word, 1) == 1)
            wake(&pool.pending);
    }
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

int cvl_run_team(int team, cvl_member *member, void *context)
{
    if (pool.in_forked_child || atomic_flag_test_and_set(&pool.in_use))
        return 0;
    const int workers = gather(team);
    if (workers > 1) {
        pool.member = member;
        pool.context = context;
        atomic_store(&pool.pending.word, (uint64_t)workers - 1);
        const uint64_t regions = atomic_load(&pool.start.word) >> 16;
        atomic_store(&pool.start.word, (regions + 1) << 16 | (uint64_t)workers);
        wake(&pool.start);
        member(context, 0, workers);
        wait_for(&pool.pending, 0, 1);
    }
    atomic_flag_clear(&pool.in_use);
    return workers > 1;
}

double cvl_now(void) { return sys_now(); }
