/* crew.c: see crew.h. */
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE /* clock_gettime beside -std=c11 */
#endif
#include "crew.h"

enum { SPINS = 64 }; /* between two looks at the clock */

/* How long a thread watches before it sleeps: longer than it takes to be woken (5 to 50 us), and than
 * the gap between two kernels of a training step. */
#define WATCH 100e-6

/* Returns the word when it is no longer, or is at last, `word`. */
static uint64_t wait_for(cvl_event *e, uint64_t word, int wanted)
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
static void wake(cvl_event *e)
{
    if (atomic_load(&e->sleepers) == 0)
        return;
    sys_acquire(&e->lock);
    sys_wake_all(&e->signal);
    sys_release(&e->lock);
}

static void start(cvl_crew *crew, int workers)
{
    const uint64_t regions = atomic_load(&crew->start.word) >> 16;
    atomic_store(&crew->start.word, (regions + 1) << 16 | (uint64_t)workers);
    wake(&crew->start);
}

void cvl_crew_run(cvl_crew *crew, int workers, cvl_member *member, void *context)
{
    crew->start.member = member;
    crew->start.context = context;
    atomic_store(&crew->pending.word, (uint64_t)workers - 1);
    start(crew, workers);
    member(context, 0, workers);
    wait_for(&crew->pending, 0, 1);
}

void cvl_crew_dismiss(cvl_crew *crew) { start(crew, 0); }

/* A worker may miss regions that it has no part in; of those it has, the caller waits for it, so what
 * comes with the word then belongs to the one that it has read. */
void cvl_crew_serve(cvl_crew *crew, int worker)
{
    uint64_t seen = 0;
    for (;;) {
        seen = wait_for(&crew->start, seen, 0);
        const int workers = (int)(seen & 0xffff);
        if (workers == 0)
            return;
        if (worker >= workers)
            continue;
        crew->start.member(crew->start.context, worker, workers);
        if (atomic_fetch_sub(&crew->pending.word, 1) == 1)
            wake(&crew->pending);
    }
}
