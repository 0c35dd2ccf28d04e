/* The version, as CMake gives it; apart from all else so that a new number rebuilds one file. */
#include <overhand/overhand.h>

const char *overhand_version(void)
{
    return OVERHAND_VERSION;
}
