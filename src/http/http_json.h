/* Answers in JSON. */
#ifndef HTTP_HTTP_JSON_H
#define HTTP_HTTP_JSON_H

#include <jansson.h>

#include "http/http.h"

/* Give a value as the result. Owns: takes the reference; may free the answer. */
void http_answer_finish_json(struct http_answer *answer, unsigned code, json_t *json);
/* Give {"error": ...}, printf'd. May free the answer. */
void http_answer_finish_error(struct http_answer *answer, unsigned code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
