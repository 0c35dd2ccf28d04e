/* Text for manual pages. */
#ifndef CORE_ROFF_H
#define CORE_ROFF_H

#include <stdio.h>

/* Print text so that roff shows it as it is, and what stands between backquotes in bold. Lines stay
 * lines; one must not end inside backquotes. */
void roff_text(const char *text, FILE *out);

#endif
