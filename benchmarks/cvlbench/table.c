/* table.c: the operators by name, and the tables of shapes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run.h"

#define FAMILY(name) extern const operation operators_##name##_f32[], operators_##name##_f64[];
#include "families.inc"
#undef FAMILY

#define FAMILY(name) {operators_##name##_f32, operators_##name##_f64},
static const operation *const families[][2] = {
#include "families.inc"
};
#undef FAMILY

const operation *operator_at(int f64, int i)
{
    for (int family = 0; family < COUNT(families); family++)
        for (const operation *op = families[family][f64]; op->name; op++)
            if (i-- == 0)
                return op;
    return NULL;
}

static const operation *operator_named(int f64, const char *name)
{
    const operation *op;
    for (int i = 0; (op = operator_at(f64, i)); i++)
        if (strcmp(op->name, name) == 0)
            return op;
    fail("no operator of this name: ", name);
    return NULL;
}

int list_has(const char *list, const char *name)
{
    if (!list)
        return 1;
    size_t length = strlen(name);
    for (const char *at = list; *at;) {
        size_t word = strcspn(at, ",");
        if (word == length && strncmp(at, name, length) == 0)
            return 1;
        at += word + (at[word] == ',');
    }
    return 0;
}

static int words(const char *text)
{
    int count = 0;
    for (const char *at = text; *at; at++)
        count += *at != ' ' && (at[1] == ' ' || at[1] == 0);
    return count;
}

/* Copies a part of a line, without the blanks around it. */
static void part(char *to, const char *from, size_t length)
{
    while (length && strchr(" \t\r\n", *from)) {
        from++;
        length--;
    }
    while (length && strchr(" \t\r\n", from[length - 1]))
        length--;
    if (length >= MOST_TEXT)
        fail("too long: ", from);
    memcpy(to, from, length);
    to[length] = 0;
}

/* Reads "name:pass,pass numbers # remark"; a line of numbers alone is a conv2d. Returns whether
 * there was more than a remark. */
static int row_read(row *r, const char *line)
{
    size_t length = strcspn(line, "#");
    part(r->remark, line + length + (line[length] == '#'),
         strlen(line + length) - (line[length] == '#'));
    char text[MOST_TEXT];
    part(text, line, length);
    if (!*text)
        return 0;
    char *at = text;
    strcpy(r->name, "conv2d");
    r->passes[0] = 0;
    if (*at < '0' || *at > '9') {
        at += strcspn(at, " \t");
        part(r->name, text, (size_t)(at - text));
        char *colon = strchr(r->name, ':');
        if (colon) {
            *colon = 0;
            strcpy(r->passes, colon + 1);
        }
    }
    for (r->count = 0;; r->count++) {
        char *end;
        long long number = strtoll(at, &end, 10);
        if (end == at)
            break;
        if (r->count == MOST_NUMBERS || number < 0 || number > 1 << 30)
            fail("too many numbers, or too large ones: ", line);
        r->n[r->count] = (ptrdiff_t)number;
        at = end;
    }
    if (at[strspn(at, " \t")])
        fail("not a number: ", at);
    return 1;
}

void table_read(const char *path, int f64, const options *o,
                void (*visit)(const row *r, const operation *op, const options *o,
                              const machine *m),
                const machine *m)
{
    FILE *table = fopen(path, "r");
    if (!table)
        fail("cannot read ", path);
    char line[512];
    row r;
    const char *slash = strrchr(path, '/');
    snprintf(r.table, sizeof r.table, "%s", slash ? slash + 1 : path);
    while (fgets(line, sizeof line, table)) {
        if (!row_read(&r, line))
            continue;
        const operation *op = operator_named(f64, r.name);
        if (r.count != words(op->numbers)) {
            fprintf(stderr, "cvlbench: %s: expected %s, got %s", r.name, op->numbers, line);
            exit(1);
        }
        if (list_has(o->operators, r.name) && (!o->only || strstr(line, o->only)))
            visit(&r, op, o, m);
    }
    fclose(table);
}
