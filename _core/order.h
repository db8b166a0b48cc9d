/* order.h: every constant that fixes an order of summation.
 *
 * The library promises the same bits for any number of threads and on every level with FMA. So a
 * sum may depend on the shape and on these constants, and on nothing else: not on a tile size, a
 * thread count or a vector length. Changing one of them changes results in the last digits. So may
 * changing which engine takes a convolution, for not all have the same order: that, too, is by the shape. */
#ifndef CVL_ORDER_H
#define CVL_ORDER_H

/* Convolution, forward and backward data: one FMA chain per this many consecutive reduction
 * indices k = (kh*KW + kw)*C + c of the taps that cvl_conv2d_trim leaves; the chains are added in
 * order. 384 keeps the rounding of long reductions near that of a pairwise sum and cuts 3x3 layers of
 * 128 channels at whole taps.
 * Backward data to few channels (ops/stem.c): the same along the output channels of every tap.
 * Convolutions to few channels (ops/planes.c): the same of PLANES channels of what is read, before the
 * next so many: then all taps read what few lines of L1 hold. Up to PLANES it is the same order, but for
 * backward data to up to PLANES_FEW channels, where a chain ends after PLANES_TAPS taps: 1.2 times the
 * rounding of a chain per tap, where one of 9 taps has 2.2. */
#define CVL_ORDER_K 384
#define CVL_ORDER_PLANES 16
#define CVL_ORDER_PLANES_FEW 6
#define CVL_ORDER_PLANES_TAPS 2

/* Backward weights: one FMA chain per block of about this many output positions (whole output
 * rows, or this many pixels exactly where the convolution is a plain matrix product). */
#define CVL_ORDER_PIXELS 256

/* Backward weights of depthwise filters of 3x3 taps: a chain takes so many output rows at once,
 * column by column: an input then serves twice as many sums for one load. */
#define CVL_ORDER_STRIP 2

/* Backward weights of depthwise filters: the tasks there should be. Channels are cut first, into SPAN at
 * least of 3x3 taps; of others into CHANNELS or, where that is more, those of CHAIN sums, which stay near.
 * Then the blocks are dealt to several partial sums. */
#define CVL_ORDER_DEPTHWISE_TASKS 32
#define CVL_ORDER_DEPTHWISE_SPAN 64
#define CVL_ORDER_DEPTHWISE_CHANNELS 64
#define CVL_ORDER_DEPTHWISE_CHAIN 16384

/* Backward weights: the units of work, of 64 channels x 64 outputs of one tap, below which the
 * blocks are dealt to several partial sums, so that small weights still give every thread work. */
#define CVL_ORDER_UNITS 16

/* Minimal filtering (Winograd), forward and backward data: one FMA chain per this many channels. */
#define CVL_ORDER_WINOGRAD_C 128

/* Minimal filtering, backward weights, of T tiles: one FMA chain per TILES tiles, the chains added in
 * order within a range or a span of tiles, and these in order.
 *   Ranges, each with a dw of its own, where weights are few and tiles enough: C*OC <= WEIGHTS,
 *   T >= TILES (FEW where C <= CHANNELS, too few channels to share out), and T*(C+OC) >= C*OC, so
 *   that the transforms outweigh a second dw. They are 2, or up to RANGES (a power of 2) of
 *   more than RANGE tiles, so that none but the worker that made a transform reads it.
 *   Groups have ranges always, however many their weights: 1 where tiles are not enough or groups
 *   are RANGES and more, else 2, doubled while groups * ranges < RANGES.
 *   Else spans of SPAN tiles, fewer where their transforms would hold more than VALUES values at a
 *   position. */
#define CVL_ORDER_WINOGRAD_TILES 64
#define CVL_ORDER_WINOGRAD_WEIGHTS 16384
#define CVL_ORDER_WINOGRAD_FEW 16
#define CVL_ORDER_WINOGRAD_CHANNELS 24
#define CVL_ORDER_WINOGRAD_RANGES 8
#define CVL_ORDER_WINOGRAD_RANGE 96
#define CVL_ORDER_WINOGRAD_SPAN 256
#define CVL_ORDER_WINOGRAD_VALUES 262144

/* Column sums (bias gradients, batch norm): at most this many blocks of positions, each of at
 * least CVL_ORDER_BLOCK_BYTES, merged in order in double. */
#define CVL_ORDER_BLOCKS 16
#define CVL_ORDER_BLOCK_BYTES 32768

/* Inside a block the matrix is seen as rows of whole pixels: a multiple of ROW_WIDE elements (four
 * of the widest vectors), else of ROW_NARROW, as long as that stays within ROW_MAX: longer ones
 * lose more to strides of a page than whole vectors gain. A chain runs down the rows of a piece of
 * about PIECE elements, which lies in L1 with what it becomes, and that are CHAIN_MIN to CHAIN_MAX
 * rows; FOLD pieces are added up before they are folded into double. Layer norm folds a row every
 * PIECE elements, and the gradients of FOLD rows at once. */
#define CVL_ORDER_ROW_WIDE 64
#define CVL_ORDER_ROW_NARROW 16
#define CVL_ORDER_ROW_MAX 1024
#define CVL_ORDER_PIECE 4096
#define CVL_ORDER_CHAIN_MIN 8
#define CVL_ORDER_CHAIN_MAX 64
#define CVL_ORDER_FOLD 32

/* Below this many pixels of that many channels a block is a slab of 64 channels and all pixels:
 * twice as fast at 392 pixels of 512 channels, where blocks would be a dozen pixels. At many pixels
 * it is slower, by the strided lines. */
#define CVL_ORDER_SLAB_PIXELS 1024
#define CVL_ORDER_SLAB_CHANNELS 128

/* Batch norm: the pivot of a block is the mean of this many of its first pixels. */
#define CVL_ORDER_PIVOT 16

/* Row sums (softmax, layer norm) and sums of squares: this many lanes, folded by a binary tree. */
#define CVL_ORDER_LANES 64

/* Sums of numbers in double (the losses of rows, the channels of a group): this many chains, folded by a
 * binary tree. */
#define CVL_ORDER_CHAINS 8

/* Cross-entropy: rows of more classes than this are cut into blocks, of whole lanes and about equally
 * long, whose sums are added in order in double. A multiple of CLASS_TEAM blocks, so that as many
 * threads share a row evenly. */
#define CVL_ORDER_CLASSES 4096
#define CVL_ORDER_CLASS_TEAM 4

/* Sums of squares (the norm of gradients): blocks of this many elements, added in order in double. */
#define CVL_ORDER_SQUARES 4096

/* Losses over elements: one partial sum of so many lanes per this many elements. */
#define CVL_ORDER_ELEMENTS 4096

#endif
