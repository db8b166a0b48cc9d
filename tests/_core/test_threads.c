/* test_threads.c: every task once, whatever the team; when a team becomes serial, and for how long. */
#include "threads.h"

#include <stdlib.h>

#include "check.h"

typedef struct counts {
    int *done; /* by task */
} counts;

static void count(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    counts *c = context;
    (void)worker;
    for (ptrdiff_t task = begin; task < end; task++)
        c->done[task]++;
}

static void test_every_task_once(int adaptive, int threads, ptrdiff_t tasks)
{
    check_case("adaptive %d, %d threads, %td tasks", adaptive, threads, tasks);
    counts c = {calloc((size_t)tasks + 1, sizeof(int))};
    cvl_set_adaptive(adaptive);
    for (int region = 1; region <= 50; region++) {
        cvl_parallel_for(threads, tasks, 1e9, CVL_FLUSH, count, &c);
        int all = c.done[tasks] == 0;
        for (ptrdiff_t task = 0; task < tasks; task++)
            all &= c.done[task] == region;
        CHECK(all);
    }
    cvl_set_adaptive(0);
    free(c.done);
}

/* Times in milliseconds. */
static double pause_after(cvl_pace *pace, double now, double region, double wait, double alone)
{
    cvl_pace_note(pace, now * 1e-3, (cvl_region_times){region * 1e-3, wait * 1e-3, alone * 1e-3});
    return pace->serial_until * 1e3 - now;
}

static int near(double a, double b) { return a > b - 1e-6 && a < b + 1e-6; }

static void test_pace(void)
{
    cvl_pace pace = {0, 0};
    check_case("clean regions");
    CHECK(pause_after(&pace, 100, 2, 0.1, 3.9) < 0);
    CHECK(pause_after(&pace, 100, 2, 1.0, 3) < 0);     /* two tasks against one */
    CHECK(pause_after(&pace, 100, 0.4, 0.2, 0.3) < 0); /* too short to matter */
    CHECK(pause_after(&pace, 100, 9, 4, 10) < 0);      /* late, but worth it */
    check_case("late regions");
    CHECK(near(pause_after(&pace, 200, 9, 8, 2), 20));
    CHECK(near(pause_after(&pace, 300, 9, 8, 2), 40));
    CHECK(near(pause_after(&pace, 400, 9, 8, 2), 80));
    CHECK(near(pause_after(&pace, 500, 9, 8, 2), 160));
    CHECK(near(pause_after(&pace, 700, 9, 8, 2), 300));
    CHECK(near(pause_after(&pace, 1100, 9, 8, 2), 300));
    check_case("forgiven");
    for (int i = 0; i < 200; i++)
        CHECK(pause_after(&pace, 1500, 1, 0, 2) < 0);
    CHECK(near(pause_after(&pace, 1600, 9, 8, 2), 20));
}

int main(void)
{
    for (int adaptive = 0; adaptive <= 1; adaptive++)
        for (int threads = 1; threads <= 4; threads++)
            for (ptrdiff_t tasks = 0; tasks < 20; tasks += 1 + tasks / 2)
                test_every_task_once(adaptive, threads, tasks);
    test_pace();
    return check_report();
}
