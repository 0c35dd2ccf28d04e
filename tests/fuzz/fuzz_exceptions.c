/* Any text as exceptions: what is taken says the same when it is written again; nothing is read
 * or kept out of bounds. */
#include <string.h>

#include "client/exceptions.h"
#include "core/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = mem_alloc(size + 1);
    struct layout layout = {.n_slots = 1000, .n_partitions = 50000, .run_length = 4};
    struct exceptions set;

    memcpy(text, data, size);
    text[size] = '\0';
    exceptions_init(&set);
    if (exceptions_parse(&set, text, &layout) == 0) {
        char *again = exceptions_format(&set, &layout);
        size_t n;

        ASSERT(again != NULL && strcmp(again, text) == 0);
        exceptions_sort(&set);
        for (uint32_t slot = 0; slot < 1000; slot++)
            exceptions_find(&set, false, slot, &n);
        for (uint32_t partition = 0; partition < 50000; partition += 17)
            exceptions_find(&set, true, partition, &n);
        mem_free(again);
    }
    exceptions_fini(&set);
    mem_free(text);
    return 0;
}
