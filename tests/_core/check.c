/* check.c: see check.h. */
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE /* mmap and sysconf beside -std=c11 */
#endif
#include "check.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__unix__) || defined(__APPLE__)
#define HAVE_PAGES 1
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>
#endif

/* Bytes of UNWRITTEN make a NaN in either type. */
enum {
    GUARD = 0xA5,
    UNWRITTEN = 0xFF,
    GUARD_BYTES = 64,
    ALIGNMENT = 64,
    MAX_PIECES = 512,
    MAX_IDLE = 256,
    MAX_IDLE_BYTES = 1 << 26,
    SKIPPED = 77
};

static int passed, failed;
static char current_case[256] = "start";
static uint64_t random_state;

/* ---------------------------------------------------------------- results */

int check(int ok, const char *what, const char *file, int line)
{
    if (ok) {
        passed++;
    } else {
        failed++;
        printf("%s:%d: %s: %s\n", file, line, current_case, what);
    }
    return ok;
}

void check_case(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(current_case, sizeof current_case, format, arguments);
    va_end(arguments);
    random_state = 1;
}

uint64_t random_bits(void)
{
    /* splitmix64: Steele, Lea & Flood 2014. */
    uint64_t z = random_state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

T random_unit(void)
{
    /* As many bits as T has digits, and one for the sign. */
    return (T)((double)((int64_t)random_bits() >> 11) * 0x1p-52);
}

T random_integer(int limit)
{
    /* The upper half of a product: a remainder takes far longer than all else here. */
    const uint64_t count = 2 * (uint64_t)limit + 1;
    return (T)((int)((random_bits() >> 32) * count >> 32) - limit);
}

ptrdiff_t random_size(ptrdiff_t low, ptrdiff_t high)
{
    const ptrdiff_t most = (ptrdiff_t)(random_bits() % (uint64_t)(high - low + 1));
    return low + (ptrdiff_t)(random_bits() % (uint64_t)(most + 1));
}

/* ---------------------------------------------------------------- memory */

/* One array: its bytes, the readable block they lie in, and what they must hold in the end. */
typedef struct piece {
    unsigned char *at, *block, *mapping, *copy;
    size_t bytes, block_bytes, mapping_bytes;
} piece;

static piece pieces[MAX_PIECES];
static int piece_count;
/* Whether arrays end at the page after them or begin at the one before. */
static enum { AT_BEGIN, AT_END, AT_EITHER } place = AT_END;
static int once;

static void *allocated(void *memory)
{
    if (!memory) {
        printf("%s: out of memory\n", current_case);
        exit(1);
    }
    return memory;
}

static piece *new_piece(void)
{
    if (piece_count == MAX_PIECES) {
        printf("%s: more than %d arrays\n", current_case, MAX_PIECES);
        exit(1);
    }
    memset(&pieces[piece_count], 0, sizeof pieces[0]);
    return &pieces[piece_count++];
}

#ifdef HAVE_PAGES

/* Mappings that wait for a block of their size: a new one costs more than most arrays are worth. */
static struct idle {
    unsigned char *mapping;
    size_t bytes;
} idle[MAX_IDLE];
static int idle_count;
static size_t idle_bytes;

/* `bytes` between two pages that may not be touched. */
static unsigned char *map(size_t bytes, size_t page)
{
    for (struct idle *one = idle + idle_count; one-- > idle;)
        if (one->bytes == bytes) {
            unsigned char *mapping = one->mapping;
            *one = idle[--idle_count];
            idle_bytes -= bytes;
            return mapping;
        }
    unsigned char *mapping = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping == MAP_FAILED || mprotect(mapping + page, bytes - 2 * page, PROT_READ | PROT_WRITE))
        allocated(NULL);
    return mapping;
}

static void map_block(piece *p)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    p->block_bytes = (p->bytes + GUARD_BYTES + page - 1) / page * page;
    p->mapping_bytes = p->block_bytes + 2 * page;
    p->mapping = map(p->mapping_bytes, page);
    p->block = p->mapping + page;
    /* Where a choice is left, three of four end at a page: vectors pass the end rather than the begin. */
    int at_end = place == AT_EITHER ? (random_bits() & 3) > 0 : place == AT_END;
    p->at = at_end ? p->block + p->block_bytes - p->bytes : p->block;
}

static void unmap_block(piece *p)
{
    if (!p->mapping)
        return;
    if (idle_count == MAX_IDLE || idle_bytes + p->mapping_bytes > MAX_IDLE_BYTES) {
        munmap(p->mapping, p->mapping_bytes);
        return;
    }
    idle[idle_count++] = (struct idle){p->mapping, p->mapping_bytes};
    idle_bytes += p->mapping_bytes;
}

static void on_crash(int signal_number)
{
    static const char message[] = ": touched memory outside its arrays\n";
    ssize_t ignored = write(STDOUT_FILENO, current_case, strlen(current_case));
    ignored += write(STDOUT_FILENO, message, sizeof message - 1);
    _exit(ignored < 0 ? signal_number : 1);
}

static void watch_for_crashes(void)
{
    signal(SIGSEGV, on_crash);
    signal(SIGBUS, on_crash);
}

#else

static void map_block(piece *p)
{
    p->block_bytes = p->bytes + 2 * ALIGNMENT;
    p->mapping_bytes = p->block_bytes + ALIGNMENT;
    p->mapping = allocated(malloc(p->mapping_bytes));
    p->block = p->mapping + (ALIGNMENT - (uintptr_t)p->mapping % ALIGNMENT) % ALIGNMENT;
    p->at = p->block + ALIGNMENT;
}

static void unmap_block(piece *p) { free(p->mapping); }

static void watch_for_crashes(void) {}

#endif

static piece *guarded(size_t bytes)
{
    piece *p = new_piece();
    p->bytes = bytes;
    map_block(p);
    memset(p->block, GUARD, p->block_bytes);
    memset(p->at, UNWRITTEN, bytes);
    return p;
}

void *output_bytes(size_t bytes) { return guarded(bytes)->at; }

void *input_bytes(const void *content, size_t bytes)
{
    piece *p = guarded(bytes);
    p->copy = allocated(malloc(bytes + 1));
    memcpy(p->copy, content, bytes);
    memcpy(p->at, content, bytes);
    return p->at;
}

T *output(ptrdiff_t n) { return output_bytes((size_t)n * sizeof(T)); }

T *input_operand(ptrdiff_t n, int limit)
{
    T *values = allocated(malloc((size_t)n * sizeof(T) + 1));
    for (ptrdiff_t i = 0; i < n; i++)
        values[i] = limit ? random_integer(limit) : random_unit();
    T *at = input_bytes(values, (size_t)n * sizeof(T));
    free(values);
    return at;
}

T *input_random(ptrdiff_t n) { return input_operand(n, REAL); }

T *input_integers(ptrdiff_t n, int limit) { return input_operand(n, limit); }

cvl_exec run_with(int threads, size_t workspace_bytes)
{
    cvl_exec run = CVL_EXEC_INIT;
    run.threads = threads;
    /* A size that is no multiple of the alignment could not both be aligned and end at the page. */
    CHECK(workspace_bytes % ALIGNMENT == 0);
    run.workspace_bytes = workspace_bytes / ALIGNMENT * ALIGNMENT;
    if (workspace_bytes > 0)
        run.workspace = output_bytes(run.workspace_bytes);
    return run;
}

int untouched(const void *memory, size_t bytes)
{
    for (const unsigned char *byte = memory; bytes > 0; bytes--, byte++)
        if (*byte != UNWRITTEN)
            return 0;
    return 1;
}

double *doubles(ptrdiff_t n)
{
    piece *p = new_piece();
    p->copy = allocated(malloc((size_t)n * sizeof(double) + 1));
    return (double *)p->copy;
}

double *widened(const T *x, ptrdiff_t n)
{
    double *wide = doubles(n);
    for (ptrdiff_t i = 0; i < n; i++)
        wide[i] = (double)x[i];
    return wide;
}

double *magnitude(const double *x, ptrdiff_t n)
{
    double *absolute = doubles(n);
    for (ptrdiff_t i = 0; i < n; i++)
        absolute[i] = fabs(x[i]);
    return absolute;
}

static int guards_intact(const piece *p)
{
    for (const unsigned char *byte = p->block; byte < p->at; byte++)
        if (*byte != GUARD)
            return 0;
    for (const unsigned char *byte = p->at + p->bytes; byte < p->block + p->block_bytes; byte++)
        if (*byte != GUARD)
            return 0;
    return 1;
}

void check_memory(void)
{
    int guards = 1, inputs = 1;
    for (piece *p = pieces; p < pieces + piece_count; p++) {
        if (p->block) {
            guards = guards && guards_intact(p);
            inputs = inputs && (!p->copy || memcmp(p->copy, p->at, p->bytes) == 0);
        }
        unmap_block(p);
        free(p->copy);
    }
    piece_count = 0;
    check(guards, "the bytes around the arrays survive", __FILE__, __LINE__);
    check(inputs, "the inputs survive", __FILE__, __LINE__);
}

int check_report(void)
{
    printf("%d passed, %d failed\n", passed, failed);
    return failed ? 1 : 0;
}

int check_once(void) { return once; }

int team_after(int threads)
{
    enum { SOME = 3, MOST = 7 };
    if (check_once())
        return threads ? 0 : 1 + (int)(random_bits() % MOST);
    return threads == 0 ? 1 : threads == 1 ? SOME : threads == SOME ? MOST : 0;
}

int check_main(void (*all)(void))
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!cvl_isa()) {
        printf("CONVLET_ISA names a level this CPU lacks\n");
        return SKIPPED;
    }
    watch_for_crashes();
    if (getenv("CONVLET_TEST_ONCE")) {
        place = AT_EITHER;
        once = 1;
        all();
        return check_report();
    }
    all();
    place = AT_BEGIN;
    once = 1;
    all();
    return check_report();
}

/* ---------------------------------------------------------------- comparison */

void check_within(const char *what, ptrdiff_t n, const T *got, const double *want, double factor,
                  const double *scale)
{
    ptrdiff_t worst = -1;
    double worst_excess = 0;
    for (ptrdiff_t i = 0; i < n; i++) {
        double bound = factor * scale[i], error = fabs((double)got[i] - want[i]);
        int equal = (double)got[i] == want[i] || (isnan(got[i]) && isnan(want[i]));
        double excess = equal ? -1 : error - bound;
        if (!(excess <= 0) && (worst < 0 || !(excess <= worst_excess))) {
            worst = i;
            worst_excess = excess;
        }
    }
    if (worst < 0) {
        check(1, what, __FILE__, __LINE__);
        return;
    }
    char message[256];
    snprintf(message, sizeof message, "%s[%td] is %.17g, not %.17g +- %.3g", what, worst,
             (double)got[worst], want[worst], factor * scale[worst]);
    check(0, message, __FILE__, __LINE__);
}

void check_exact(const char *what, ptrdiff_t n, const T *got, const double *want)
{
    for (ptrdiff_t i = 0; i < n; i++) {
        T rounded = (T)want[i];
        if (memcmp(&got[i], &rounded, sizeof rounded) != 0) {
            char message[256];
            snprintf(message, sizeof message, "%s[%td] is %.17g, not exactly %.17g", what, i,
                     (double)got[i], want[i]);
            check(0, message, __FILE__, __LINE__);
            return;
        }
    }
    check(1, what, __FILE__, __LINE__);
}

/* A sum of `terms` products, rounded once per product and per addition, is off by at most
 * (terms + extra) u sum |a||b| / (1 - ...); the double reference as much. The factor 2 holds both and
 * the second order. */
void check_sums(const char *what, ptrdiff_t n, const T *got, const double *want, ptrdiff_t terms,
                const double *scale, int limit)
{
    if (limit)
        check_exact(what, n, got, want);
    else
        check_within(what, n, got, want, 2 * (double)(terms + 3) * UNIT, scale);
}

void check_same(const char *what, ptrdiff_t n, const T *got, const T *first)
{
    for (ptrdiff_t i = 0; i < n; i++)
        if (memcmp(&got[i], &first[i], sizeof(T)) != 0) {
            char message[256];
            snprintf(message, sizeof message, "%s[%td] is %a here and %a there", what, i,
                     (double)got[i], (double)first[i]);
            check(0, message, __FILE__, __LINE__);
            return;
        }
    check(1, what, __FILE__, __LINE__);
}
