/* What a master shows over HTTP. */
#ifndef MASTER_MASTER_PAGES_H
#define MASTER_MASTER_PAGES_H

#include "http/http.h"

enum { MASTER_PAGES = 12 };

/* /healthz, /readyz, /metrics, /api/v1/..., and / for people. The HTTP server's owner is the struct master_server; close the one
 * before the other. */
extern const struct http_page master_pages[MASTER_PAGES];

#endif
