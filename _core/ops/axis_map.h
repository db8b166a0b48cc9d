/* axis_map.h: how one axis of an image is padded, upsampled or pooled: the taps of each output. */
#ifndef CVL_AXIS_MAP_H
#define CVL_AXIS_MAP_H

#include "common.h"

/* How an axis of `inputs` becomes one of `outputs`. */
typedef struct cvl_axis_rule {
    ptrdiff_t inputs, outputs;
    ptrdiff_t before; /* padding: positions before the input */
    ptrdiff_t scale;  /* upsampling: outputs per input */
    int kind;         /* a mode or flag, by the operator */
    /* Writes the taps of an output and returns how many: over all outputs at most
     * inputs + 2 * outputs. */
    ptrdiff_t (*taps)(const struct cvl_axis_rule *rule, ptrdiff_t output, cvl_axis_tap *tap);
} cvl_axis_rule;

/* kind is the cvl_pad_mode. */
ptrdiff_t cvl_pad_taps(const cvl_axis_rule *rule, ptrdiff_t output, cvl_axis_tap *tap);

ptrdiff_t cvl_nearest_taps(const cvl_axis_rule *rule, ptrdiff_t output, cvl_axis_tap *tap);

/* kind is align_corners. */
ptrdiff_t cvl_linear_taps(const cvl_axis_rule *rule, ptrdiff_t output, cvl_axis_tap *tap);

/* kind says whether weights are shares of a mean, or 1. */
ptrdiff_t cvl_bin_taps(const cvl_axis_rule *rule, ptrdiff_t output, cvl_axis_tap *tap);

/* Carves room for a map of `rule` and, unless only counting, fills it: with `transposed`, of the
 * map from outputs to inputs, its taps in the order of the outputs. */
cvl_axis_map cvl_carve_axis_map(cvl_scratch *scratch, const cvl_axis_rule *rule, int transposed);

#endif
