#include "input/pointer.h"

int pointer_axis(int fx, int size)
{
    if (size <= 0)
        return 0;
    int64_t px = CLAMP(fx, 0, size - 1);
    /* (px + 1/4) * 32768 / size, rounded to the nearest. */
    int64_t axis = ((4 * px + 1) * 32768 + 2 * (int64_t)size) / (4 * (int64_t)size);
    return (int)CLAMP(axis, 0, POINTER_AXIS_MAX);
}
