/* threads_none.c: no threads (Meson option `threads=none`). */
#include "convlet.h"
#include "team.h"
#include "threads.h"

const char *cvl_thread_backend(void) { return "none"; }
int cvl_openmp_cpus(void) { return 0; }

int cvl_run_team(int team, cvl_member *member, void *context)
{
    (void)team;
    (void)member;
    (void)context;
    return 0;
}

void cvl_with_team(int team, cvl_body *body, void *context)
{
    (void)team;
    body(context);
}

double cvl_now(void) { return 0; }
