/* Small allocations that never fail.
 *
 * When memory is gone the process says how much it asked for and aborts: a daemon that cannot
 * allocate a few hundred bytes cannot do anything orderly either, and its peers treat it like any
 * other lost process. */
#include "core/mem.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Noreturn void mem_exhausted(size_t size)
{
    fprintf(stderr, "overhand: out of memory: cannot allocate %zu bytes\n", size);
    abort();
}

void *mem_alloc(size_t size)
{
    void *memory = malloc(size != 0 ? size : 1);

    if (memory == NULL)
        mem_exhausted(size);
    return memory;
}

void *mem_zalloc(size_t size)
{
    void *memory = calloc(1, size != 0 ? size : 1);

    if (memory == NULL)
        mem_exhausted(size);
    return memory;
}

void *mem_realloc(void *memory, size_t size)
{
    void *moved = realloc(memory, size != 0 ? size : 1);

    if (moved == NULL)
        mem_exhausted(size);
    return moved;
}

void *mem_reallocarray(void *memory, size_t n, size_t size)
{
    size_t bytes;

    if (__builtin_mul_overflow(n, size, &bytes))
        mem_exhausted(SIZE_MAX);
    return mem_realloc(memory, bytes);
}

char *mem_strdup(const char *text)
{
    size_t bytes = strlen(text) + 1;

    return memcpy(mem_alloc(bytes), text, bytes);
}

char *mem_printf(const char *format, ...)
{
    va_list args, again;

    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    if (len < 0)
        mem_exhausted(strlen(format));
    char *text = mem_alloc((size_t)len + 1);
    vsnprintf(text, (size_t)len + 1, format, again);
    va_end(again);
    va_end(args);
    return text;
}

void mem_free(void *memory)
{
    free(memory);
}

void mem_trim(void)
{
    malloc_trim(0);
}
