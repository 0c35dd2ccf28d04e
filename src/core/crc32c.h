/* CRC-32C (Castagnoli), by the CPU's instruction where there is one. */
#ifndef CORE_CRC32C_H
#define CORE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Continue `crc` (0 to begin) over `len` bytes. crc32c(0, "123456789", 9) == 0xE3069283 */
uint32_t crc32c(uint32_t crc, const void *data, size_t len);
/* The same by tables, whatever the CPU has; for comparison. */
uint32_t crc32c_portable(uint32_t crc, const void *data, size_t len);

#endif
