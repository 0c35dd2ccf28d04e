/* Small allocations: they never fail (the process aborts with a message). Payload uses bounded
 * pools instead. */
#ifndef CORE_MEM_H
#define CORE_MEM_H

#include <stddef.h>

/* `size` bytes, uninitialised. Owns: the caller, mem_free. */
void *mem_alloc(size_t size) __attribute__((malloc, returns_nonnull));
/* `size` bytes of zeros. Owns: the caller, mem_free. */
void *mem_zalloc(size_t size) __attribute__((malloc, returns_nonnull));
/* Resize like realloc. Owns: the caller, mem_free. */
void *mem_realloc(void *memory, size_t size) __attribute__((returns_nonnull));
/* `n` * `size` bytes resized, aborting on overflow. Owns: the caller, mem_free. */
void *mem_reallocarray(void *memory, size_t n, size_t size) __attribute__((returns_nonnull));
/* A copy of a string. Owns: the caller, mem_free. */
char *mem_strdup(const char *text) __attribute__((malloc, returns_nonnull));
/* printf into a new string. Owns: the caller, mem_free. */
char *mem_printf(const char *format, ...)
    __attribute__((format(printf, 1, 2), malloc, returns_nonnull));
/* Free what the functions above gave. NULL is fine. */
void mem_free(void *memory);
/* Give memory that was freed back to the system, as far as whole pages are free. Takes some time for
 * each page given back: after much was freed, not after each piece. */
void mem_trim(void);

#endif
