/* Little-endian integers in byte arrays of any alignment. */
#ifndef CORE_BYTES_H
#define CORE_BYTES_H

#include <stdint.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "Overhand's wire and file formats are written in the byte order of little-endian machines"
#endif

/* Write `value` at `bytes`. */
static inline void bytes_put_u16(uint8_t *bytes, uint16_t value)
{
    memcpy(bytes, &value, sizeof value);
}

/* Write `value` at `bytes`. */
static inline void bytes_put_u32(uint8_t *bytes, uint32_t value)
{
    memcpy(bytes, &value, sizeof value);
}

/* Write `value` at `bytes`. */
static inline void bytes_put_u64(uint8_t *bytes, uint64_t value)
{
    memcpy(bytes, &value, sizeof value);
}

/* The number at `bytes`. */
static inline uint16_t bytes_get_u16(const uint8_t *bytes)
{
    uint16_t value;

    memcpy(&value, bytes, sizeof value);
    return value;
}

/* The number at `bytes`. */
static inline uint32_t bytes_get_u32(const uint8_t *bytes)
{
    uint32_t value;

    memcpy(&value, bytes, sizeof value);
    return value;
}

/* The number at `bytes`. */
static inline uint64_t bytes_get_u64(const uint8_t *bytes)
{
    uint64_t value;

    memcpy(&value, bytes, sizeof value);
    return value;
}

#endif
