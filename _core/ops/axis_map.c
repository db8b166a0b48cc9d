/* axis_map.c: see axis_map.h. */
#include "axis_map.h"

ptrdiff_t cvl_pad_taps(const cvl_axis_rule *rule, ptrdiff_t output, cvl_axis_tap *tap)
{
    const ptrdiff_t n = rule->inputs;
    ptrdiff_t i = output - rule->before;
    if (i < 0 || i >= n)
        switch ((cvl_pad_mode)rule->kind) {
        case CVL_PAD_CONSTANT:
            return 0;
        case CVL_PAD_REFLECT:
            i = i < 0 ? -i : 2 * (n - 1) - i;
            break;
        case CVL_PAD_REPLICATE:
            i = i < 0 ? 0 : n - 1;
            break;
        case CVL_PAD_CIRCULAR:
            i = i < 0 ? i + n : i - n;
            break;
        }
    *tap = (cvl_axis_tap){i, 1};
    return 1;
}

ptrdiff_t cvl_nearest_taps(const cvl_axis_rule *rule, ptrdiff_t output, cvl_axis_tap *tap)
{
    *tap = (cvl_axis_tap){output / rule->scale, 1};
    return 1;
}

/* The place of an output among the inputs is the fraction numerator / denominator. */
ptrdiff_t cvl_linear_taps(const cvl_axis_rule *rule, ptrdiff_t output, cvl_axis_tap *tap)
{
    const ptrdiff_t n = rule->inputs, last = rule->outputs - 1;
    const ptrdiff_t denominator = rule->kind ? cvl_max(last, 1) : 2 * rule->scale;
    const ptrdiff_t numerator =
        rule->kind ? output * (n - 1) : cvl_max(2 * output + 1 - rule->scale, 0);
    const ptrdiff_t from = numerator / denominator, rest = numerator % denominator;
    if (rest == 0 || from >= n - 1) {
        tap[0] = (cvl_axis_tap){cvl_min(from, n - 1), 1};
        return 1;
    }
    tap[0] = (cvl_axis_tap){from, (double)(denominator - rest) / (double)denominator};
    tap[1] = (cvl_axis_tap){from + 1, (double)rest / (double)denominator};
    return 2;
}

ptrdiff_t cvl_bin_taps(const cvl_axis_rule *rule, ptrdiff_t output, cvl_axis_tap *tap)
{
    const ptrdiff_t begin = output * rule->inputs / rule->outputs;
    const ptrdiff_t end = cvl_ceil_div((output + 1) * rule->inputs, rule->outputs);
    for (ptrdiff_t i = begin; i < end; i++)
        tap[i - begin] = (cvl_axis_tap){i, rule->kind ? 1 / (double)(end - begin) : 1};
    return end - begin;
}

cvl_axis_map cvl_carve_axis_map(cvl_scratch *scratch, const cvl_axis_rule *rule, int transposed)
{
    const size_t room = (size_t)(rule->inputs + 2 * rule->outputs);
    ptrdiff_t *first = cvl_carve(scratch, (size_t)(rule->outputs + 1) * sizeof *first);
    cvl_axis_tap *tap = cvl_carve(scratch, room * sizeof *tap);
    ptrdiff_t *first_back = NULL;
    cvl_axis_tap *back = NULL;
    if (transposed) {
        first_back = cvl_carve(scratch, (size_t)(rule->inputs + 1) * sizeof *first_back);
        back = cvl_carve(scratch, room * sizeof *back);
    }
    if (!scratch->base)
        return (cvl_axis_map){NULL, NULL};

    first[0] = 0;
    for (ptrdiff_t o = 0; o < rule->outputs; o++)
        first[o + 1] = first[o] + rule->taps(rule, o, tap + first[o]);
    if (!transposed)
        return (cvl_axis_map){first, tap};

    /* Count the taps of each input, then deal them out; first_back[i] runs from the begin of input
     * i to its end, which is where input i + 1 began. */
    for (ptrdiff_t i = 0; i <= rule->inputs; i++)
        first_back[i] = 0;
    for (ptrdiff_t t = 0; t < first[rule->outputs]; t++)
        first_back[tap[t].from + 1]++;
    for (ptrdiff_t i = 0; i < rule->inputs; i++)
        first_back[i + 1] += first_back[i];
    for (ptrdiff_t o = 0; o < rule->outputs; o++)
        for (ptrdiff_t t = first[o]; t < first[o + 1]; t++)
            back[first_back[tap[t].from]++] = (cvl_axis_tap){o, tap[t].weight};
    for (ptrdiff_t i = rule->inputs; i > 0; i--)
        first_back[i] = first_back[i - 1];
    first_back[0] = 0;
    return (cvl_axis_map){first_back, back};
}
