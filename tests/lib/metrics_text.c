/* Line by line. promtool comes with Debian's package prometheus (./dev setup). */
#include "metrics_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"

double metrics_text_value(const char *text, const char *series)
{
    size_t len = strlen(series);

    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, series, len) == 0 && line[len] == ' ')
            return strtod(line + len + 1, NULL);
    }
    fprintf(stderr, "there is no series %s\n", series);
    ASSERT(false);
}

unsigned metrics_text_count(const char *text, const char *words)
{
    size_t len = strlen(words);
    unsigned n = 0;

    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        n += strncmp(line, words, len) == 0;
    }
    return n;
}

void metrics_text_check(const char *text)
{
    FILE *promtool = popen("promtool check metrics", "w"); // NOLINT(cert-env33-c): our own words

    ASSERT(promtool != NULL);
    fputs(text, promtool);
    int status = pclose(promtool);

    ASSERT(status == 0); /* what it finds fault with is on stderr; 3 for style alone */
}
