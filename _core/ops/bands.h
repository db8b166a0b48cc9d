/* bands.h: how output channels are cut into panels of the micro-kernel. */
#ifndef CVL_BANDS_H
#define CVL_BANDS_H

#include "op.h"

/* `panels` neighbouring panels of one width, numbered from `first`, from column `column` on. */
typedef struct cvl_band {
    int width; /* index into the level's gemm panels */
    ptrdiff_t NR, first, panels, column;
} cvl_band;

/* The widest panels that fit, then narrower ones for what is left; only the last may be partly
 * empty. `columns` counts the empty ones too. */
typedef struct cvl_bands {
    int count;
    cvl_band band[CVL_GEMM_PANELS];
    ptrdiff_t panels, columns;
} cvl_bands;

/* Where a panel lies. */
typedef struct cvl_panel_place {
    int width;
    ptrdiff_t NR, column;
} cvl_panel_place;

static inline cvl_panel_place cvl_panel_at(const cvl_bands *bands, ptrdiff_t panel)
{
    const cvl_band *band = bands->band;
    while (panel >= band->first + band->panels)
        band++;
    return (cvl_panel_place){band->width, band->NR,
                             band->column + (panel - band->first) * band->NR};
}

/* Appends `panels` panels of a width. */
static inline void NAME(add_band)(cvl_bands *bands, const NAME(gemm_panel) *gemm, int width,
                                  ptrdiff_t panels)
{
    const ptrdiff_t NR = gemm[width].NR;
    bands->band[bands->count++] = (cvl_band){width, NR, bands->panels, panels, bands->columns};
    bands->panels += panels;
    bands->columns += panels * NR;
}

/* Cuts `columns` into panels of the first `widths` of the level's. */
static inline cvl_bands NAME(make_bands_of)(const NAME(gemm_panel) gemm[CVL_GEMM_PANELS],
                                            int widths, ptrdiff_t columns)
{
    const ptrdiff_t step = gemm[widths - 1].NR;
    const ptrdiff_t rounded = cvl_ceil_div(columns, step) * step;
    cvl_bands bands = {0, {{0, 0, 0, 0, 0}}, 0, 0};
    for (int width = 0; width < widths; width++) {
        const ptrdiff_t panels = (rounded - bands.columns) / gemm[width].NR;
        if (panels > 0)
            NAME(add_band)(&bands, gemm, width, panels);
    }
    return bands;
}

/* The same with panels of three vectors, where the level has them, for what those of four leave:
 * narrower panels take longer for their work; and with no half vectors beside whole ones where the CPU
 * gains nothing by them, or, where `halves` are wanted, with one of a vector and a half in place of
 * both. */
static inline cvl_bands NAME(make_even_bands)(const NAME(gemm_panel) gemm[CVL_GEMM_PANELS + 2],
                                              ptrdiff_t columns, int halves)
{
    const ptrdiff_t VL = gemm[CVL_GEMM_WHOLE - 1].NR;
    const ptrdiff_t half = gemm[CVL_GEMM_PANELS - 1].NR;
    const ptrdiff_t step = cvl_has_half_units() || columns <= half ? half : VL;
    const ptrdiff_t rounded = cvl_ceil_div(columns, step) * step;
    const int last = halves && rounded > VL && rounded % VL != 0;
    const ptrdiff_t vectors = rounded / VL - last;
    const ptrdiff_t threes = vectors == 5 ? 1 : (4 - vectors % 4) % 4; /* 5 = 3 + 2 */
    const int even = gemm[CVL_GEMM_THREE].NR == 3 * VL && threes > 0 && vectors >= 3 * threes;
    if (rounded % VL != 0 && !last)
        return NAME(make_bands_of)(gemm, CVL_GEMM_PANELS, columns);
    cvl_bands bands =
        NAME(make_bands_of)(gemm, CVL_GEMM_WHOLE, (vectors - (even ? 3 * threes : 0)) * VL);
    if (even)
        NAME(add_band)(&bands, gemm, CVL_GEMM_THREE, threes);
    if (last)
        NAME(add_band)(&bands, gemm, CVL_GEMM_HALVES, 1);
    return bands;
}

/* Of a group, with half a vector for what is left, but where that makes more panels and the CPU gains
 * nothing by it: 24 columns are a panel of 32, not one of 16 and one of 8. */
static inline cvl_bands NAME(make_group_bands)(const NAME(gemm_panel) *gemm, int widest,
                                               ptrdiff_t columns)
{
    const cvl_bands halves = NAME(make_bands_of)(gemm + widest, CVL_GEMM_PANELS - widest, columns);
    const cvl_bands whole = NAME(make_bands_of)(gemm + widest, CVL_GEMM_WHOLE - widest, columns);
    return whole.panels < halves.panels && !cvl_has_half_units() ? whole : halves;
}

/* Panels of whole vectors. */
static inline cvl_bands NAME(make_bands)(const NAME(gemm_panel) gemm[CVL_GEMM_PANELS],
                                         ptrdiff_t columns)
{
    return NAME(make_bands_of)(gemm, CVL_GEMM_WHOLE, columns);
}

#endif
