/* Answers in JSON: one line each, for programs. */
#include "http/http_json.h"

#include <stdarg.h>
#include <string.h>

#include "show/show.h"

enum { HTTP_ERROR_BYTES = 512 };

void http_answer_finish_json(struct http_answer *answer, unsigned code, json_t *json)
{
    char *text = json_dumps(json, JSON_COMPACT);

    ASSERT(text != NULL); /* all our texts are UTF-8; memory as in core/mem.h */
    json_decref(json);
    http_answer_finish(answer, code, "application/json", text, strlen(text));
}

void http_answer_finish_error(struct http_answer *answer, unsigned code, const char *format, ...)
{
    char text[HTTP_ERROR_BYTES];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    http_answer_finish_json(answer, code, json_pack("{so}", "error", show_text(text)));
}
