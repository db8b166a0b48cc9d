/* test_threads.c: every task once, whatever the team, with other teams about, after a sleep, and held, and
 * from which end on; when a team becomes serial, and for how long. */
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE /* usleep beside -std=c11 */
#endif
#include "ops/common.h"
#include "threads.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#include <unistd.h>
#endif

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
        (region % 3 ? cvl_parallel_sweep : cvl_parallel_for)(threads, tasks, 1e9, CVL_FLUSH, count,
                                                             &c);
        int all = c.done[tasks] == 0;
        for (ptrdiff_t task = 0; task < tasks; task++)
            all &= c.done[task] == region;
        CHECK(all);
    }
    cvl_set_adaptive(0);
    free(c.done);
}

/* Tasks in the order in which they ran, and the first of each range. */
typedef struct walk {
    ptrdiff_t visits, ranges, first[100], task[100];
} walk;

static void note(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    walk *w = context;
    (void)worker;
    w->first[w->ranges++] = begin;
    for (ptrdiff_t task = begin; task < end; task++)
        w->task[w->visits++] = task;
}

/* Whether a sweep goes downwards; each task is gone through once, and within a range upwards. */
static int sweeps_down(ptrdiff_t tasks, double work)
{
    walk w = {0};
    int done[100] = {0};
    cvl_parallel_sweep(1, tasks, work, CVL_FLUSH, note, &w);
    CHECK(w.visits == tasks);
    for (ptrdiff_t i = 0; i < w.visits; i++)
        CHECK(done[w.task[i]]++ == 0);
    for (ptrdiff_t i = 1; i < w.ranges; i++)
        CHECK(w.first[i] < w.first[i - 1]);
    CHECK(w.ranges == 1 || w.task[w.visits - 1] < w.first[0]);
    return w.ranges > 1;
}

static void test_sweeps(void)
{
    enum { MUCH = 10000000, LITTLE = 1000 };
    int done[7] = {0};
    counts c = {done};
    for (ptrdiff_t tasks = 2; tasks <= 100; tasks++) {
        check_case("sweeps of %td tasks", tasks);
        cvl_parallel_for(1, 7, MUCH, CVL_FLUSH, count, &c);
        CHECK(sweeps_down(tasks, MUCH));
        CHECK(!sweeps_down(tasks, LITTLE));
        CHECK(!sweeps_down(tasks, MUCH));
        CHECK(sweeps_down(tasks, MUCH));
        cvl_parallel_for(1, 7, LITTLE, CVL_FLUSH, count, &c);
        CHECK(!sweeps_down(tasks, MUCH));
    }
}

/* A task that is a region itself. */
static void count_within(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    counts *rows = context;
    (void)worker;
    for (ptrdiff_t row = begin; row < end; row++)
        cvl_parallel_for(3, 5, 1e9, CVL_FLUSH, count, &rows[row]);
}

static void test_region_within_a_region(void)
{
    enum { ROWS = 4 };
    check_case("a region within a region");
    int done[ROWS][5] = {{0}};
    counts rows[ROWS];
    for (int row = 0; row < ROWS; row++)
        rows[row].done = done[row];
    cvl_parallel_for(3, ROWS, 1e9, CVL_FLUSH, count_within, rows);
    for (int row = 0; row < ROWS; row++)
        for (int task = 0; task < 5; task++)
            CHECK(done[row][task] == 1);
}

enum { MOST = 7, HELD = 60, PROGRAMS = 6 };

typedef struct held {
    int visited;    /* whether another thread has a region meanwhile */
    counts *within; /* of the last region, which has regions within */
} held;

#if defined(__unix__) || defined(__APPLE__)
static void *visit(void *context)
{
    cvl_parallel_for(3, MOST, 1e9, CVL_FLUSH, count, context);
    return NULL;
}

static void have_visitor(void)
{
    int done[MOST] = {0};
    counts c = {done};
    pthread_t visitor;
    CHECK(pthread_create(&visitor, NULL, visit, &c) == 0 && pthread_join(visitor, NULL) == 0);
    for (int task = 0; task < MOST; task++)
        CHECK(done[task] == 1);
}
#endif

/* Regions of one team that stays. */
static void count_held(void *context)
{
    held *h = context;
    int done[MOST];
    for (int region = 0; region < HELD; region++) {
        counts c = {done};
        const int tasks = 1 + region % MOST;
        memset(done, 0, sizeof done);
        cvl_parallel_for(1 + region % 5, tasks, 1e9, CVL_FLUSH, count, &c);
        for (int task = 0; task < MOST; task++)
            CHECK(done[task] == (task < tasks));
#if defined(__unix__) || defined(__APPLE__)
        if (region % 20 == 0)
            usleep(1000); /* for the others to sleep */
        if (region == HELD / 2 && h->visited)
            have_visitor();
#endif
    }
    cvl_parallel_for(3, 2, 1e9, CVL_FLUSH, count_within, h->within);
}

/* A team is held from the fifth program of a caller on. */
static void test_held_team(int adaptive, int threads, int visited)
{
    check_case("adaptive %d, a team of %d held, visited %d", adaptive, threads, visited);
    int within[2][5] = {{0}};
    held h = {visited, (counts[]){{within[0]}, {within[1]}}};
    cvl_set_adaptive(adaptive);
    for (int program = 1; program <= PROGRAMS; program++) {
        cvl_hold_team(threads, count_held, &h);
        for (int task = 0; task < 5; task++)
            CHECK(within[0][task] == program && within[1][task] == program);
    }
    cvl_set_adaptive(0);
}

#if defined(__unix__) || defined(__APPLE__)
enum { CALLERS = 3, REGIONS = 2000, TASKS = 7 };

/* One of several threads that have regions at the same time, of teams of their own sizes. */
static void *call(void *context)
{
    counts *c = context;
    for (int region = 0; region < REGIONS; region++)
        cvl_parallel_for(2 + region % 3, TASKS, 1e9, CVL_FLUSH, count, c);
    return NULL;
}

static void test_callers_at_once(void)
{
    check_case("callers at once");
    int done[CALLERS][TASKS] = {{0}};
    counts c[CALLERS];
    pthread_t threads[CALLERS];
    for (int i = 0; i < CALLERS; i++) {
        c[i].done = done[i];
        CHECK(pthread_create(&threads[i], NULL, call, &c[i]) == 0);
    }
    for (int i = 0; i < CALLERS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    for (int i = 0; i < CALLERS; i++)
        for (int task = 0; task < TASKS; task++)
            CHECK(done[i][task] == REGIONS);
}

/* Long enough for waiting threads to sleep. */
static void test_after_a_pause(void)
{
    check_case("after a pause");
    int done[TASKS] = {0};
    counts c = {done};
    for (int region = 1; region <= 20; region++) {
        usleep(2000);
        cvl_parallel_for(1 + region % 4, TASKS, 1e9, CVL_FLUSH, count, &c);
        for (int task = 0; task < TASKS; task++)
            CHECK(done[task] == region);
    }
}

/* The second of two tasks, and so their region, is late. */
static void stall(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    (void)context, (void)begin, (void)worker;
    if (end == 2)
        usleep(3000);
}

static void note_worker(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    int *ranges = context;
    (void)begin, (void)end;
    ranges[worker]++;
}

/* A call that is adaptive says so to its regions: after a late one the next runs alone. Not each time, as
 * where this thread itself sleeps for longer than the pause. */
static void test_adaptive_call(void)
{
    int alone = 0;
    cvl_exec own, run = CVL_EXEC_INIT;
    check_case("an adaptive call");
    run.threads = 2;
    run.adaptive = 1;
    for (int i = 0; i < 50 && !alone; i++) {
        int ranges[2] = {0};
        CHECK(cvl_read_exec(&own, &run, 0) == CVL_OK);
        cvl_parallel_for(2, 2, 1e9, CVL_FLUSH, stall, NULL);
        cvl_parallel_for(2, 2, 1e9, CVL_FLUSH, note_worker, ranges);
        alone = ranges[0] == 1 && ranges[1] == 0;
    }
    CHECK(alone);
    cvl_set_adaptive(0);
}
#endif

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
    test_sweeps();
    test_region_within_a_region();
    for (int adaptive = 0; adaptive <= 1; adaptive++)
        for (int threads = 1; threads <= 4; threads++)
            for (int visited = 0; visited <= 1; visited++)
                test_held_team(adaptive, threads, visited);
#if defined(__unix__) || defined(__APPLE__)
    test_callers_at_once();
    test_after_a_pause();
    test_adaptive_call();
#endif
    test_pace();
    return check_report();
}
