/* elementwise.c: ReLU and addition; and whether all elements are finite. */
#include "elementwise.h"

/* vmax(0, x) is x where x is NaN or -0. */
INLINE V relu(V x, V unused)
{
    (void)unused;
    return vmax(vzero(), x);
}

INLINE V pass(V dy, V y, V unused)
{
    (void)unused;
    return vselect(vgt(y, vzero()), dy, vzero());
}

INLINE V sum(V a, V b, V unused)
{
    (void)unused;
    return vadd(a, b);
}

INLINE V positive_sum(V a, V b, V unused)
{
    (void)unused;
    return vmax(vzero(), vadd(a, b));
}

void KERNEL(relu_forward)(ptrdiff_t n, T *y, const T *x) { map_unary(n, y, x, vzero(), relu); }

void KERNEL(relu_backward)(ptrdiff_t n, T *dx, const T *dy, const T *y)
{
    map_binary(n, dx, dy, y, vzero(), pass);
}

void KERNEL(add)(ptrdiff_t n, T *y, const T *a, const T *b)
{
    map_binary(n, y, a, b, vzero(), sum);
}

void KERNEL(add_relu)(ptrdiff_t n, T *y, const T *a, const T *b)
{
    map_binary(n, y, a, b, vzero(), positive_sum);
}

int KERNEL(finite)(ptrdiff_t rows, ptrdiff_t n, const T *const *x, ptrdiff_t at)
{
    V differences = vzero(); /* NaN where one is not 0 */
    for (ptrdiff_t row = 0; row < rows; row++)
        for (ptrdiff_t i = 0; i < n; i += VL) {
            const V v = vload_part(x[row] + at + i, n - i);
            differences = vadd(differences, vsub(v, v));
        }
    T lanes[VL];
    vstore(lanes, differences);
    int all = 1;
    for (int i = 0; i < VL; i++)
        all &= lanes[i] == 0;
    return all;
}
