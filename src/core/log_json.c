/* Log lines for machines. Written by hand, without a library: the client library logs, too, and must
 * need nothing but the system. */
#include "core/log_json.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { LOG_UID_DIGITS = 16 };

struct log_json {
    char *line;
    size_t len;
};

static void log_json_put(struct log_json *json, const char *bytes, size_t n)
{
    if (n >= LOG_JSON_BYTES - json->len)
        n = LOG_JSON_BYTES - 1 - json->len;
    memcpy(json->line + json->len, bytes, n);
    json->len += n;
}

static void log_json_puts(struct log_json *json, const char *text)
{
    log_json_put(json, text, strlen(text));
}

/* The length of the character at `at`, 0 when it is none in UTF-8. */
static size_t log_utf8_len(const unsigned char *at)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = *at < 0x80   ? 1
               : *at < 0xc0 ? 0
               : *at < 0xe0 ? 2
               : *at < 0xf0 ? 3
               : *at < 0xf8 ? 4
                            : 0;
    uint32_t character = n < 2 ? *at : *at & (0x7fu >> n);

    for (size_t i = 1; i < n; i++) {
        if ((at[i] & 0xc0) != 0x80) /* the end of the text, too */
            return 0;
        character = character << 6 | (at[i] & 0x3f);
    }
    if (n > 1 && (character < least[n] || character > 0x10ffff ||
                  (character >= 0xd800 && character < 0xe000)))
        return 0;
    return n;
}

static void log_json_text(struct log_json *json, const char *text)
{
    log_json_puts(json, "\"");
    while (*text != '\0') {
        size_t n = log_utf8_len((const unsigned char *)text);

        if (n == 0 || (unsigned char)*text < ' ')
            log_json_puts(json, "?");
        else if (*text == '"' || *text == '\\')
            log_json_put(json, (const char[]){'\\', *text}, 2);
        else
            log_json_put(json, text, n);
        text += n == 0 ? 1 : n;
    }
    log_json_puts(json, "\"");
}

static void log_json_field(struct log_json *json, const char *name, const char *value)
{
    log_json_puts(json, json->len == 0 ? "{\"" : ",\"");
    log_json_puts(json, name);
    log_json_puts(json, "\":");
    log_json_text(json, value);
}

/* The `digits` behind "NAME ", a word of its own; *n: how many. NULL: the message has none. */
static const char *log_find_id(const char *message, const char *name, const char *digits, size_t *n)
{
    size_t name_len = strlen(name);

    for (const char *at = strstr(message, name); at != NULL; at = strstr(at + 1, name)) {
        bool begins = at == message || at[-1] == ' ' || at[-1] == '(';

        *n = at[name_len] == ' ' ? strspn(at + name_len + 1, digits) : 0;
        if (begins && *n > 0)
            return at + name_len + 1;
    }
    return NULL;
}

static void log_json_ids(struct log_json *json, const char *message)
{
    static const char *const numbers[] = {"shuffle", "partition"};
    char uid[LOG_UID_DIGITS + 1];
    const char *digits;
    size_t n;

    digits = log_find_id(message, "app", "0123456789abcdef", &n);
    if (digits != NULL && n == LOG_UID_DIGITS) {
        snprintf(uid, sizeof uid, "%s", digits);
        log_json_field(json, "app", uid);
    }
    for (int i = 0; i < 2; i++) {
        digits = log_find_id(message, numbers[i], "0123456789", &n);
        if (digits == NULL || n > 10 || (n > 1 && digits[0] == '0'))
            continue;
        log_json_puts(json, ",\"");
        log_json_puts(json, numbers[i]);
        log_json_puts(json, "\":");
        log_json_put(json, digits, n);
    }
}

size_t log_json_line(char line[LOG_JSON_BYTES], const char *time, const char *level,
                     const char *component, const char *message)
{
    struct log_json json = {.line = line};

    log_json_field(&json, "time", time);
    log_json_field(&json, "level", level);
    log_json_field(&json, "component", component);
    log_json_field(&json, "message", message);
    log_json_ids(&json, message);
    log_json_puts(&json, "}");
    line[json.len] = '\0';
    return json.len;
}
