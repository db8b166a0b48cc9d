/* common.c: see common.h. */
#include "common.h"

#include <stdint.h>

int cvl_read(void *into, const void *from)
{
    size_t own, given;
    if (!from)
        return 0;
    memcpy(&own, into, sizeof own);
    memcpy(&given, from, sizeof given);
    if (given < sizeof given)
        return 0;
    memcpy(into, from, given < own ? given : own);
    memcpy(into, &own, sizeof own);
    return 1;
}

int cvl_product(ptrdiff_t *product, const ptrdiff_t *sizes, int count)
{
    const ptrdiff_t limit = PTRDIFF_MAX / 8;
    ptrdiff_t p = 1;
    int fits = 1;
    for (int i = 0; i < count; i++) {
        if (sizes[i] < 0)
            return 0;
        if (sizes[i] == 0) {
            *product = 0;
            return 1;
        }
        fits &= !__builtin_mul_overflow(p, sizes[i], &p) && p <= limit;
    }
    *product = p;
    return fits;
}

cvl_status cvl_check_sizes(const ptrdiff_t *positive, int positives, const ptrdiff_t *others,
                           int count)
{
    int small = 0, large = 0;
    for (int i = 0; i < positives; i++) {
        small |= positive[i] < 1;
        large |= positive[i] > CVL_SIZE_LIMIT;
    }
    for (int i = 0; i < count; i++) {
        small |= others[i] < 0;
        large |= others[i] > CVL_SIZE_LIMIT;
    }
    return small ? CVL_ERR_SHAPE : large ? CVL_ERR_OVERFLOW : CVL_OK;
}

void *cvl_carve(cvl_scratch *scratch, size_t bytes)
{
    char *piece = scratch->base ? scratch->base + scratch->used : NULL;
    scratch->used += (bytes + CVL_LINE - 1) / CVL_LINE * CVL_LINE;
    return piece;
}

cvl_status cvl_read_exec(cvl_exec *into, const cvl_exec *run, size_t needed)
{
    *into = (cvl_exec)CVL_EXEC_INIT;
    if (!cvl_read(into, run) || into->threads < 1)
        return CVL_ERR_ARGUMENT;
    if (needed > 0 && (!into->workspace || into->workspace_bytes < needed ||
                       (uintptr_t)into->workspace % CVL_LINE != 0))
        return CVL_ERR_WORKSPACE;
    cvl_set_adaptive(into->adaptive);
    return CVL_OK;
}

int cvl_abi_version(void) { return CVL_ABI_VERSION; }

const char *cvl_status_string(cvl_status status)
{
    switch (status) {
    case CVL_OK:
        return "success";
    case CVL_ERR_ARGUMENT:
        return "a NULL pointer, an uninitialised descriptor or an argument out of its range";
    case CVL_ERR_SHAPE:
        return "a size, stride, padding or group count the operator cannot have";
    case CVL_ERR_OVERFLOW:
        return "a size is above 2^30, or the arrays would be larger than the address space";
    case CVL_ERR_WORKSPACE:
        return "the workspace is missing, misaligned or too small";
    case CVL_ERR_LABEL:
        return "a class label or a target is out of range";
    case CVL_ERR_ISA:
        return "CONVLET_ISA names an ISA level that is unknown or that this CPU lacks";
    case CVL_ERR_WEIGHT:
        return "a weight is negative or not finite, or the weights add up to infinity";
    case CVL_ERR_EMPTY:
        return "a mean over nothing";
    case CVL_ERR_ALGORITHM:
        return "the algorithm has no path for this shape";
    case CVL_ERR_FINITE:
        return "statistics are not finite, or too large for their type";
    }
    return "unknown status";
}
