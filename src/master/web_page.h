/* The web page (src/master/web/index.html), compiled into the program. */
#ifndef MASTER_WEB_PAGE_H
#define MASTER_WEB_PAGE_H

#include "http/http.h"

/* The page; of any HTTP server. */
void web_page(struct http_answer *answer);

#endif
