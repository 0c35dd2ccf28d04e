/* Escaping for manual pages: backslashes and dashes anywhere, dots and quotes at the begin of a line. */
#include "core/roff.h"

#include <stdbool.h>

void roff_text(const char *text, FILE *out)
{
    bool bold = false, line_begins = true;

    for (; *text != '\0'; text++) {
        if (line_begins && (*text == '.' || *text == '\''))
            fputs("\\&", out); /* no request */
        line_begins = *text == '\n';
        switch (*text) {
        case '\\':
            fputs("\\e", out);
            break;
        case '-':
            fputs("\\-", out);
            break;
        case '\'':
            fputs("\\(aq", out);
            break;
        case '`':
            bold = !bold;
            fputs(bold ? "\\fB" : "\\fR", out);
            break;
        default:
            fputc(*text, out);
        }
    }
}
