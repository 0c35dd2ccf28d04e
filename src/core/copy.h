/* Copying what will not be looked at soon. */
#ifndef CORE_COPY_H
#define CORE_COPY_H

#include <stddef.h>

/* memcpy past the CPU's caches: the target's old bytes are not fetched first, and what the caches
 * hold stays there. Other threads and devices may read the target when it has returned. */
void copy_past_cache(void *to, const void *from, size_t len);

#endif
