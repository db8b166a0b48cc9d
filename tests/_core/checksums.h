/* checksums.h: what the files of checksums.c share: the checksum of an operator's output. */
#ifndef CHECKSUMS_H
#define CHECKSUMS_H

#include "check.h"

enum { THREADS = 3 };

void begin(const char *name);
void add_array(const T *x, ptrdiff_t n);
void add_doubles(const double *x, ptrdiff_t n);

/* Prints the line of an operator, or looks for it. */
void end(const char *name);

/* checksums_layers.c, checksums_training.c: the operators, a function for each group of lines. */
void sum_convolutions(void);
void sum_linear(void);
void sum_columns(void);
void sum_batch_norm(void);
void sum_group_norm(void);
void sum_layer_norm(void);
void sum_norm_orders(void);
void sum_elementwise(void);
void sum_activation(void);
void sum_pool2d(void);
void sum_conv_transpose2d(void);
void sum_resample(void);
void sum_dropout(void);
void sum_softmax(void);
void sum_cross_entropy(void);
void sum_many_classes(void);
void sum_weighted_cross_entropy(void);
void sum_losses(void);
void sum_optimizers(void);
void sum_adaptive_optimizers(void);
void sum_gradients(void);

#endif
