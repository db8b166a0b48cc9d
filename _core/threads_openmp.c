/* threads_openmp.c: teams of an OpenMP runtime (Meson option `threads=openmp`). */
#include <omp.h>
#include <pthread.h>

#include "convlet.h"
#include "team.h"

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

int cvl_run_team(int team, cvl_member *member, void *context)
{
    if (in_forked_child)
        return 0;
#pragma omp parallel num_threads(team)
    member(context, omp_get_thread_num(), omp_get_num_threads());
    return 1;
}

double cvl_now(void) { return omp_get_wtime(); }
