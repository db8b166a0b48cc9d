/* crew.h: workers that stand ready for one region after the other; for the thread backends.
 *
 * They watch the start of the next region for a while before they sleep, so that one is handed over in
 * the time that a line takes from one core's cache to another's. */
#ifndef CVL_CREW_H
#define CVL_CREW_H

#include <stdatomic.h>
#include <stdint.h>

#include "system.h"
#include "team.h"

/* What is waited for: `word` changes, and who sleeps until it does is woken. It has a cache line of its
 * own, as some write one while others watch the other; what comes with it is there too. */
typedef struct cvl_event {
    _Alignas(64) _Atomic uint64_t word;
    cvl_member *member;
    void *context;
    atomic_int sleepers;
    sys_lock lock;
    sys_signal signal;
} cvl_event;
#define CVL_EVENT_INIT {0, NULL, NULL, 0, SYS_LOCK_INIT, SYS_SIGNAL_INIT}

/* The word of `start` is the number of regions so far, times 2^16, plus the workers of the last one, whose
 * member and context come with it; that of `pending` the workers of it that are not done. */
typedef struct cvl_crew {
    cvl_event start, pending;
} cvl_crew;
#define CVL_CREW_INIT {CVL_EVENT_INIT, CVL_EVENT_INIT}

/* Runs `member` once on each of so many workers, the caller being worker 0, and returns when all are
 * done. */
void cvl_crew_run(cvl_crew *crew, int workers, cvl_member *member, void *context);

/* What worker `worker`, not 0, does until the crew is dismissed. */
void cvl_crew_serve(cvl_crew *crew, int worker);

void cvl_crew_dismiss(cvl_crew *crew);

#endif
