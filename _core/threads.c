/* threads.c: parallel_for with OpenMP behind it, or serial (Meson option `threads`). */
#include "threads.h"

#include "convlet.h"
#include "cpu.h"

#ifdef CVL_OPENMP
#include <math.h>
#include <omp.h>
#include <pthread.h>
#endif

/* Waking a second thread costs about 0.6 us, and a serial microsecond is about 0.1 Mflop. */
#define SERIAL_WORK 400e3

int cvl_team_size(int threads, ptrdiff_t tasks, double work)
{
    if (threads < 1 || tasks <= 1 || work < SERIAL_WORK)
        return 1;
    return tasks < threads ? (int)tasks : threads;
}

static void run_range(ptrdiff_t begin, ptrdiff_t end, int worker, cvl_subnormals subnormals,
                      cvl_task *task, void *context)
{
    if (subnormals == CVL_GRADUAL) {
        task(context, begin, end, worker);
        return;
    }
    cvl_fp_state saved = cvl_fp_flush_subnormals();
    task(context, begin, end, worker);
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

#ifdef CVL_OPENMP

/* Of the calling thread; every such thread has a team of its own. */
static _Thread_local int may_adapt;
static _Thread_local cvl_pace own_pace;

void cvl_set_adaptive(int adaptive) { may_adapt = adaptive; }

/* An OpenMP runtime does not survive fork(): its workers are gone and the first region of the
 * child would wait for them for ever. So a child stays serial. Written only by the fork handler,
 * in the child, while it has one thread. */
static int in_forked_child = 0;

static void mark_forked_child(void) { in_forked_child = 1; }

__attribute__((constructor)) static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, mark_forked_child);
}

const char *cvl_thread_backend(void) { return "openmp"; }

/* The calling worker's share of a region; returns how many tasks that is. */
static ptrdiff_t run_share(ptrdiff_t tasks, cvl_subnormals subnormals, cvl_task *task,
                           void *context)
{
    ptrdiff_t workers = omp_get_num_threads();
    ptrdiff_t worker = omp_get_thread_num();
    ptrdiff_t begin = tasks / workers * worker + tasks % workers * worker / workers;
    ptrdiff_t next = worker + 1;
    ptrdiff_t end = tasks / workers * next + tasks % workers * next / workers;
    run_range(begin, end, (int)worker, subnormals, task, context);
    return end - begin;
}

static void run_timed(int team, ptrdiff_t tasks, cvl_subnormals subnormals, cvl_task *task,
                      void *context)
{
    const double started = omp_get_wtime();
    double first = INFINITY, last = 0, alone = INFINITY;
    if (started < own_pace.serial_until) {
        run_range(0, tasks, 0, subnormals, task, context);
        return;
    }
#pragma omp parallel num_threads(team) reduction(min : first, alone) reduction(max : last)
    {
        const double entered = omp_get_wtime();
        const ptrdiff_t share = run_share(tasks, subnormals, task, context);
        first = last = omp_get_wtime();
        alone = (last - entered) * (double)tasks / (double)share;
    }
    cvl_pace_note(&own_pace, last, (cvl_region_times){last - started, last - first, alone});
}

void cvl_parallel_for(int threads, ptrdiff_t tasks, double work, cvl_subnormals subnormals,
                      cvl_task *task, void *context)
{
    int team = in_forked_child ? 1 : cvl_team_size(threads, tasks, work);
    if (team == 1) {
        if (tasks > 0)
            run_range(0, tasks, 0, subnormals, task, context);
        return;
    }
    if (may_adapt) {
        run_timed(team, tasks, subnormals, task, context);
        return;
    }
#pragma omp parallel num_threads(team)
    run_share(tasks, subnormals, task, context);
}

#else

const char *cvl_thread_backend(void) { return "none"; }

void cvl_set_adaptive(int adaptive) { (void)adaptive; }

void cvl_parallel_for(int threads, ptrdiff_t tasks, double work, cvl_subnormals subnormals,
                      cvl_task *task, void *context)
{
    (void)threads;
    (void)work;
    if (tasks > 0)
        run_range(0, tasks, 0, subnormals, task, context);
}

#endif
