/* test_isa.c: a level that does not exist is an error of every function, which touches nothing. */
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE /* setenv beside -std=c11 */
#endif
#include <stdlib.h>
#include <string.h>

#include "check.h"

#if defined(_WIN32)
#define setenv(name, value, overwrite) _putenv_s(name, value)
#endif

int main(void)
{
    check_case("CONVLET_ISA=sparc");
    setenv("CONVLET_ISA", "sparc", 1);
    CHECK(cvl_isa() == NULL);
    CHECK(strcmp(cvl_isa_available(0), "baseline") == 0);
    T *y = output(8), *x = input_random(8), *w = input_random(8);
    cvl_linear linear = CVL_LINEAR_INIT;
    linear.M = linear.IN = linear.OUT = 2;
    cvl_exec run = run_with(1, 1 << 16);
    CHECK(NAME(linear_forward)(&linear, y, x, w, NULL, &run) == CVL_ERR_ISA);
    CHECK(NAME(relu_forward)(8, y, x, &run) == CVL_ERR_ISA);
    CHECK(untouched(y, 8 * sizeof(T)));
    check_memory();
    return check_report();
}
