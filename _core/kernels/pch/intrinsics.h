/* intrinsics.h: what the kernels of a level for x86 all read, compiled once for them. */
#include <immintrin.h>
