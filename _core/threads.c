/* threads.c: parallel_for with OpenMP behind it, or serial (Meson option `threads`). */
#include "threads.h"

#include "convlet.h"
#include "cpu.h"

#ifdef CVL_OPENMP
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

#ifdef CVL_OPENMP

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

void cvl_parallel_for(int threads, ptrdiff_t tasks, double work, cvl_subnormals subnormals,
                      cvl_task *task, void *context)
{
    int team = in_forked_child ? 1 : cvl_team_size(threads, tasks, work);
    if (team == 1) {
        if (tasks > 0)
            run_range(0, tasks, 0, subnormals, task, context);
        return;
    }
#pragma omp parallel num_threads(team)
    {
        ptrdiff_t workers = omp_get_num_threads();
        ptrdiff_t worker = omp_get_thread_num();
        ptrdiff_t begin = tasks / workers * worker + tasks % workers * worker / workers;
        ptrdiff_t next = worker + 1;
        ptrdiff_t end = tasks / workers * next + tasks % workers * next / workers;
        run_range(begin, end, (int)worker, subnormals, task, context);
    }
}

#else

const char *cvl_thread_backend(void) { return "none"; }

void cvl_parallel_for(int threads, ptrdiff_t tasks, double work, cvl_subnormals subnormals,
                      cvl_task *task, void *context)
{
    (void)threads;
    (void)work;
    if (tasks > 0)
        run_range(0, tasks, 0, subnormals, task, context);
}

#endif
