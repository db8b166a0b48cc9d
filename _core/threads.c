/* threads.c: parallel_for: how many workers there are, which tasks each runs, and when one thread does
 * it all. The workers themselves come from one of threads_*.c (Meson option `threads`). */
#include "threads.h"

#include <math.h>
#include <stdatomic.h>

#include "cpu.h"
#include "team.h"

/* The least work of a worker, about a microsecond's. Waking a second one costs about 0.6 us. */
#define SHARE_WORK 100e3

int cvl_team_size(int threads, ptrdiff_t tasks, double work)
{
    const double most = work / SHARE_WORK;
    int team = tasks < threads ? (int)tasks : threads;
    if (most < team)
        team = (int)most;
    return team < 1 ? 1 : team;
}

typedef struct region {
    ptrdiff_t tasks;
    cvl_subnormals subnormals;
    cvl_task *task;
    void *context;
    int downwards;
} region;

/* Pieces of a share that is gone through downwards. */
enum { PIECES = 32 };

static void run_pieces(const region *r, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const ptrdiff_t tasks = end - begin, pieces = tasks < PIECES ? tasks : PIECES;
    for (ptrdiff_t piece = pieces, first; piece-- > 0; end = first) {
        first = begin + tasks * piece / pieces;
        r->task(r->context, first, end, worker);
    }
}

static void run_range(const region *r, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const int flush = r->subnormals == CVL_FLUSH;
    const cvl_fp_state saved = flush ? cvl_fp_flush_subnormals() : 0;
    if (r->downwards)
        run_pieces(r, begin, end, worker);
    else
        r->task(r->context, begin, end, worker);
    if (flush)
        cvl_fp_restore(saved);
}

/* A process that competes for a core holds it for a slice of some 3 to 8 ms, while all others wait at
 * the end of the region: it is late by more than LATE, or it is not worth a reaction. */
#define LATE 0.3e-3
#define PAUSE 20e-3
#define PAUSE_MAX 300e-3
#define PAUSE_DECAY 0.98

void cvl_pace_note(cvl_pace *pace, double now, cvl_region_times times)
{
    if (times.wait > LATE && times.region > times.alone) {
        const double longer = 2 * pace->pause;
        pace->pause = longer < PAUSE ? PAUSE : longer > PAUSE_MAX ? PAUSE_MAX : longer;
        pace->serial_until = now + pace->pause;
    } else {
        pace->pause *= PAUSE_DECAY;
    }
}

/* Of the calling thread. */
static _Thread_local int may_adapt;
static _Thread_local cvl_pace own_pace;

void cvl_set_adaptive(int adaptive) { may_adapt = adaptive; }

/* The share of one worker; returns how many tasks that is. */
static ptrdiff_t run_share(const region *r, int worker, int workers)
{
    ptrdiff_t part = r->tasks / workers, rest = r->tasks % workers;
    ptrdiff_t begin = part * worker + rest * worker / workers;
    ptrdiff_t end = part * (worker + 1) + rest * (worker + 1) / workers;
    run_range(r, begin, end, worker);
    return end - begin;
}

static void run_member(void *context, int worker, int workers)
{
    run_share(context, worker, workers);
}

typedef struct timed_region {
    region region;
    _Atomic double first, last, alone;
} timed_region;

static void lower(_Atomic double *least, double value)
{
    double seen = atomic_load(least);
    while (value < seen && !atomic_compare_exchange_weak(least, &seen, value))
        continue;
}

static void lift(_Atomic double *most, double value)
{
    double seen = atomic_load(most);
    while (value > seen && !atomic_compare_exchange_weak(most, &seen, value))
        continue;
}

static void run_timed_member(void *context, int worker, int workers)
{
    timed_region *r = context;
    const double entered = cvl_now();
    const ptrdiff_t share = run_share(&r->region, worker, workers);
    const double done = cvl_now();
    lower(&r->first, done);
    lift(&r->last, done);
    lower(&r->alone, (done - entered) * (double)r->region.tasks / (double)share);
}

/* Returns 0 where the caller should run the region alone, or must. */
static int run_timed(int team, const region *r)
{
    const double started = cvl_now();
    if (started < own_pace.serial_until)
        return 0;
    timed_region timed = {*r, INFINITY, 0, INFINITY};
    if (!cvl_run_team(team, run_timed_member, &timed))
        return 0;
    const double last = timed.last;
    cvl_pace_note(&own_pace, last,
                  (cvl_region_times){last - started, last - timed.first, timed.alone});
    return 1;
}

/* Who had a team last: the address of that thread's `undisturbed`. A team that is held watches for its
 * regions on the cores where another caller's would run, and comes late itself: so it is held by who has
 * run so many programs with no other caller's team in between, and left aside from when there is one. */
#define HOLD_AFTER 4
static _Atomic(int *) last_caller;
static _Thread_local int undisturbed; /* such programs, up to HOLD_AFTER */
static _Thread_local int holds;

void cvl_hold_team(int threads, cvl_body *body, void *context)
{
    /* A thread that is late would be waited for when the team is let go, too. */
    const int serial = threads < 2 || (may_adapt && cvl_now() < own_pace.serial_until);
    if (!serial) {
        if (atomic_load(&last_caller) != &undisturbed)
            undisturbed = 0;
        else if (undisturbed < HOLD_AFTER)
            undisturbed++;
        atomic_store(&last_caller, &undisturbed);
    }
    holds = !serial && undisturbed == HOLD_AFTER;
    if (holds)
        cvl_with_team(threads, body, context);
    else
        body(context);
    holds = 0;
}

static int run_on_team(int team, region *r)
{
    if (atomic_load(&last_caller) != &undisturbed) {
        if (holds)
            return 0;
        atomic_store(&last_caller, &undisturbed);
    }
    return may_adapt ? run_timed(team, r) : cvl_run_team(team, run_member, r);
}

/* The least work of a region that matters to the next one's direction: less leaves in caches most of what
 * was there. */
#define SWEEP_WORK 2e6

/* Whether the last such region of the calling thread ended with its first tasks. */
static _Thread_local int ended_low;

static void run_region(region r, int threads, double work)
{
    const int team = cvl_team_size(threads, r.tasks, work);
    if (work >= SWEEP_WORK)
        ended_low = r.downwards;
    if (team > 1 && run_on_team(team, &r))
        return;
    if (r.tasks > 0)
        run_range(&r, 0, r.tasks, 0);
}

void cvl_parallel_for(int threads, ptrdiff_t tasks, double work, cvl_subnormals subnormals,
                      cvl_task *task, void *context)
{
    run_region((region){tasks, subnormals, task, context, 0}, threads, work);
}

void cvl_parallel_sweep(int threads, ptrdiff_t tasks, double work, cvl_subnormals subnormals,
                        cvl_task *task, void *context)
{
    const int downwards = work >= SWEEP_WORK && !ended_low;
    run_region((region){tasks, subnormals, task, context, downwards}, threads, work);
}
