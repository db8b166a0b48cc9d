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

/* Cuts `columns` into panels of the first `widths` of the level's. */
static inline cvl_bands NAME(make_bands_of)(const NAME(gemm_panel) gemm[CVL_GEMM_PANELS],
                                            int widths, ptrdiff_t columns)
{
    const ptrdiff_t step = gemm[widths - 1].NR;
    const ptrdiff_t rounded = cvl_ceil_div(columns, step) * step;
    cvl_bands bands = {0, {{0, 0, 0, 0, 0}}, 0, 0};
    for (int width = 0; width < widths; width++) {
        const ptrdiff_t NR = gemm[width].NR, panels = (rounded - bands.columns) / NR;
        if (panels == 0)
            continue;
        bands.band[bands.count++] = (cvl_band){width, NR, bands.panels, panels, bands.columns};
        bands.panels += panels;
        bands.columns += panels * NR;
    }
    return bands;
}

/* The same with panels of three vectors, where the level has them, for what those of four leave:
 * narrower panels take longer for their work. */
static inline cvl_bands NAME(make_even_bands)(const NAME(gemm_panel) gemm[CVL_GEMM_PANELS + 1],
                                              ptrdiff_t columns)
{
    const ptrdiff_t VL = gemm[CVL_GEMM_WHOLE - 1].NR, NR = gemm[CVL_GEMM_THREE].NR;
    const ptrdiff_t step = gemm[CVL_GEMM_PANELS - 1].NR;
    const ptrdiff_t rounded = cvl_ceil_div(columns, step) * step, vectors = rounded / VL;
    const ptrdiff_t threes = (4 - vectors % 4) % 4;
    if (NR != 3 * VL || rounded % VL != 0 || threes == 0 || vectors < 3 * threes)
        return NAME(make_bands_of)(gemm, CVL_GEMM_PANELS, columns);
    cvl_bands bands = NAME(make_bands_of)(gemm, CVL_GEMM_WHOLE, (vectors - 3 * threes) * VL);
    bands.band[bands.count++] = (cvl_band){CVL_GEMM_THREE, NR, bands.panels, threes, bands.columns};
    bands.panels += threes;
    bands.columns += threes * NR;
    return bands;
}

/* Panels of whole vectors. */
static inline cvl_bands NAME(make_bands)(const NAME(gemm_panel) gemm[CVL_GEMM_PANELS],
                                         ptrdiff_t columns)
{
    return NAME(make_bands_of)(gemm, CVL_GEMM_WHOLE, columns);
}

#endif
