/* "host:port" and lists of them. */
#ifndef CORE_ADDRESS_H
#define CORE_ADDRESS_H

#include <stdint.h>

#include "core/err.h"
#include "core/limits.h"

struct address {
    char host[LIMIT_HOST_BYTES + 1]; /* name or address; IPv6 without brackets */
    uint16_t port;
};

enum { ADDRESS_TEXT_BYTES = LIMIT_HOST_BYTES + 10 };

/* Read "host:port" or "[v6]:port", ports 1 to 65535; `default_port` 0 = a port is required.
 * Returns: 0, OVERHAND_E_INVALID (*address is undefined then). */
MUST_CHECK int address_parse(const char *text, uint16_t default_port, struct address *address);
/* Read a comma-separated list.
 * Owns:    *addresses becomes the caller's, mem_free.
 * Returns: 0, OVERHAND_E_INVALID (also for an empty list). */
MUST_CHECK int address_parse_list(const char *text, uint16_t default_port,
                                  struct address **addresses, unsigned *n_addresses);
/* "host:port", with brackets around IPv6. Returns `text`. */
const char *address_format(const struct address *address, char text[ADDRESS_TEXT_BYTES]);

#endif
