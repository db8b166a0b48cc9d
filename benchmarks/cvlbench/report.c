/* report.c: the output, as a table or as JSON. */
#include <stdio.h>
#include <string.h>

#include "run.h"

static const char *dtype_name(const machine *m)
{
    return m->element == sizeof(double) ? "f64" : "f32";
}

/* A string of JSON; null for NULL. */
static void json_string(const char *text)
{
    if (!text) {
        printf("null");
        return;
    }
    putchar('"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            putchar('\\');
        putchar((unsigned char)*text < ' ' ? ' ' : *text);
    }
    putchar('"');
}

static int rows_of_run = 0;

void report_begin(const options *o)
{
    if (o->is_json)
        printf("{\"program\": \"cvlbench\", \"schema\": 1, \"backend\": \"%s\", \"runs\": [\n",
               cvl_thread_backend());
    fflush(stdout);
}

static void report_limits(const machine *m)
{
    printf("%s, %s, %d thread%s: peak %.1f GFLOP/s\n", cvl_isa(), dtype_name(m), m->threads,
           m->threads > 1 ? "s" : "", m->peak * 1e-9);
    printf("  GB/s  ");
    for (int which = 0; which < LOOPS; which++)
        printf("%8s", loop_names[which]);
    for (int level = 0; level < LEVELS; level++) {
        printf("\n  %-6s", level_names[level]);
        for (int which = 0; which < LOOPS; which++)
            printf("%8.1f", m->bandwidth[level][which] * 1e-9);
    }
    printf("\n");
}

static void report_limits_json(const machine *m)
{
    printf("{\"isa\": \"%s\", \"dtype\": \"%s\", \"threads\": %d, \"peak_gflops\": %.6g,\n",
           cvl_isa(), dtype_name(m), m->threads, m->peak * 1e-9);
    printf(" \"cache_bytes\": {\"L1\": %zu, \"L2\": %zu, \"L3\": %zu},\n \"gbytes\": {",
           m->cache[L1], m->cache[L2], m->cache[L3]);
    for (int level = 0; level < LEVELS; level++) {
        printf("%s\"%s\": {", level ? ",\n  " : "", level_names[level]);
        for (int which = 0; which < LOOPS; which++)
            printf("%s\"%s\": %.6g", which ? ", " : "", loop_names[which],
                   m->bandwidth[level][which] * 1e-9);
        printf("}");
    }
    printf("},\n \"results\": [");
}

void report_run(const options *o, const machine *m, int is_first)
{
    rows_of_run = 0;
    if (o->is_json) {
        printf("%s", is_first ? "" : ",\n");
        report_limits_json(m);
    } else {
        printf("%s", is_first ? "" : "\n");
        report_limits(m);
    }
}

static void row_json(const row *r, const contender *c, int cache, double least, double median,
                     const limit *l, const machine *m)
{
    double element = (double)m->element;
    printf("%s\n  {\"table\": ", rows_of_run ? "," : "");
    json_string(r->table);
    printf(", \"operator\": \"%s\", \"numbers\": [", r->name);
    for (int i = 0; i < r->count; i++)
        printf("%s%td", i ? ", " : "", r->n[i]);
    printf("], \"remark\": ");
    json_string(r->remark);
    printf(", \"pass\": \"%s\", \"algorithm\": ", c->pass);
    json_string(c->algorithm);
    printf(", \"chosen\": ");
    json_string(c->chosen);
    printf(",\n   \"cache\": \"%s\", \"min_us\": %.6g, \"median_us\": %.6g, \"flop\": %.15g, "
           "\"read_bytes\": %.15g, \"written_bytes\": %.15g, \"held_bytes\": %.15g, "
           "\"again_bytes\": %.15g,\n",
           cache_names[cache], least * 1e6, median * 1e6, c->cost.flop, c->cost.read * element,
           c->cost.written * element, c->cost.held * element, c->cost.again * element);
    printf("   \"gflops\": %.6g, \"gbytes\": %.6g, \"level\": \"%s\", \"limit\": \"%s\", "
           "\"limit_us\": %.6g, \"of_limit\": %.6g}",
           c->cost.flop / least * 1e-9, (c->cost.read + c->cost.written) * element / least * 1e-9,
           level_names[l->level], l->name, l->seconds * 1e6, l->seconds / least);
}

static void row_text(const row *r, const contender *c, int cache, double least, double median,
                     const limit *l)
{
    if (!rows_of_run)
        printf("%-22s%-34s%-17s%-12s%-12s%-5s%10s%10s%10s %-8s%-7s%8s\n", "operator", "numbers",
               "pass", "algorithm", "chosen", "cache", "min us", "median us", "rate", "", "limit",
               "of limit");
    char numbers[16 * MOST_NUMBERS] = "";
    for (int i = 0; i < r->count; i++)
        snprintf(numbers + strlen(numbers), sizeof numbers - strlen(numbers), "%s%td", i ? " " : "",
                 r->n[i]);
    int is_peak = strcmp(l->name, "peak") == 0;
    printf("%-22s%-34s%-17s%-12s%-12s%-5s%10.2f%10.2f%10.1f %-8s%-7s%8.3f\n", r->name, numbers,
           c->pass, c->algorithm ? c->algorithm : "", c->chosen ? c->chosen : "",
           cache_names[cache], least * 1e6, median * 1e6, l->amount / least * 1e-9,
           is_peak ? "GFLOP/s" : "GB/s", l->name, l->seconds / least);
}

void report_row(const row *r, const contender *c, int cache, double least, double median,
                const options *o, const machine *m)
{
    limit l = machine_limit(m, &c->cost, cache == COLD);
    if (o->is_json)
        row_json(r, c, cache, least, median, &l, m);
    else
        row_text(r, c, cache, least, median, &l);
    rows_of_run++;
    fflush(stdout);
}

void report_run_end(const options *o)
{
    if (o->is_json)
        printf("]}");
    fflush(stdout);
}

void report_end(const options *o)
{
    if (o->is_json)
        printf("\n]}\n");
    fflush(stdout);
}
