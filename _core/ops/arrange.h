/* arrange.h: the sizes of operators that only move values, for those who call them. */
#ifndef CVL_ARRANGE_H
#define CVL_ARRANGE_H

#include "op.h"

/* Read and check a descriptor; channels of the output, or the elements of both arrays. */
cvl_status NAME(concat_sizes)(const cvl_concat *from, cvl_concat *d, ptrdiff_t *OC);
cvl_status NAME(pad_shortcut_sizes)(const cvl_pad_shortcut *from, cvl_pad_shortcut *d, ptrdiff_t *x,
                                    ptrdiff_t *y);

#endif
