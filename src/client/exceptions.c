/* Exceptions and their text. Entries are appended as they come; sorting takes repeats out. The
 * text is bytes from outside and parsed strictly: any deviation is OVERHAND_E_INVALID. */
#include "client/exceptions.h"

#include <stdlib.h>
#include <string.h>

#include "core/limits.h"
#include "core/mem.h"

void exceptions_init(struct exceptions *set)
{
    *set = (struct exceptions){0};
}

void exceptions_fini(struct exceptions *set)
{
    for (size_t i = 0; i < set->n_endpoints; i++) {
        mem_free((char *)set->endpoints[i].id);
        mem_free((char *)set->endpoints[i].host);
    }
    mem_free(set->endpoints);
    mem_free(set->entries);
    exceptions_init(set);
}

static uint32_t exceptions_add_endpoint(struct exceptions *set, const struct endpoint *endpoint)
{
    for (size_t i = 0; i < set->n_endpoints; i++) {
        if (endpoint_compare(&set->endpoints[i], endpoint) == 0)
            return (uint32_t)i;
    }
    set->endpoints = mem_reallocarray(set->endpoints, set->n_endpoints + 1, sizeof *set->endpoints);
    struct endpoint *copy = &set->endpoints[set->n_endpoints];
    *copy = *endpoint;
    copy->id = mem_strdup(endpoint->id);
    copy->host = mem_strdup(endpoint->host);
    return (uint32_t)set->n_endpoints++;
}

void exceptions_add(struct exceptions *set, uint32_t slot, const struct endpoint *endpoint,
                    uint32_t shard)
{
    struct exception entry = {
        .slot = slot,
        .shard = shard,
        .endpoint = exceptions_add_endpoint(set, endpoint),
    };

    if (set->n_entries == set->capacity) {
        set->capacity = set->capacity == 0 ? 8 : set->capacity * 2;
        set->entries = mem_reallocarray(set->entries, set->capacity, sizeof *set->entries);
    }
    set->entries[set->n_entries++] = entry;
}

/* ---- parsing ---- */

/* What is left of a text. Each parse_* function takes its part off the front, or says false. */
struct parse {
    const char *at;
};

static bool parse_char(struct parse *parse, char c)
{
    if (*parse->at != c)
        return false;
    parse->at++;
    return true;
}

/* Decimal, no leading zeros, at most `max`. */
static bool parse_number(struct parse *parse, uint32_t max, uint32_t *number)
{
    uint64_t value = 0;
    const char *start = parse->at;

    while (*parse->at >= '0' && *parse->at <= '9' && parse->at - start < 10)
        value = value * 10 + (uint64_t)(*parse->at++ - '0');
    if (parse->at == start || (*start == '0' && parse->at - start > 1) || value > max)
        return false;
    *number = (uint32_t)value;
    return true;
}

static bool parse_hex16(struct parse *parse, uint64_t *number)
{
    *number = 0;
    for (int i = 0; i < 16; i++) {
        char c = *parse->at;
        unsigned digit;

        if (c >= '0' && c <= '9')
            digit = (unsigned)(c - '0');
        else if (c >= 'a' && c <= 'f')
            digit = (unsigned)(c - 'a') + 10;
        else
            return false;
        *number = *number << 4 | digit;
        parse->at++;
    }
    return true;
}

/* Characters up to `end`, which is taken off too; `text` holds limit_bytes + 1. */
static bool parse_text(struct parse *parse, char end, char *text, size_t limit_bytes)
{
    const char *found = strchr(parse->at, end);

    if (found == NULL || (size_t)(found - parse->at) > limit_bytes)
        return false;
    size_t len = (size_t)(found - parse->at);
    memcpy(text, parse->at, len);
    text[len] = '\0';
    parse->at = found + 1;
    return true;
}

static bool parse_slots(struct parse *parse, struct exceptions *set,
                        const struct endpoint *endpoint, uint32_t n_slots)
{
    uint64_t former = 0; /* slot and shard of the one before, plus 1 */

    do {
        uint32_t slot, shard;

        if (!parse_number(parse, n_slots - 1, &slot) || !parse_char(parse, '.') ||
            !parse_number(parse, LIMIT_SHARDS - 1, &shard))
            return false;
        uint64_t order = ((uint64_t)slot << 32 | shard) + 1;
        if (order <= former)
            return false;
        former = order;
        exceptions_add(set, slot, endpoint, shard);
    } while (parse_char(parse, ','));
    return true;
}

struct endpoint_text {
    char id[LIMIT_WORKER_ID_BYTES + 1], host[LIMIT_HOST_BYTES + 1];
    struct endpoint endpoint;
};

static bool parse_endpoint(struct parse *parse, struct endpoint_text *text)
{
    uint32_t port;

    if (!parse_text(parse, '/', text->id, LIMIT_WORKER_ID_BYTES) ||
        !parse_hex16(parse, &text->endpoint.incarnation) || !parse_char(parse, '/') ||
        !parse_text(parse, '/', text->host, LIMIT_HOST_BYTES) ||
        !parse_number(parse, UINT16_MAX, &port) || !parse_char(parse, '=') ||
        !endpoint_valid(text->id, text->host, port))
        return false;
    text->endpoint.id = text->id;
    text->endpoint.host = text->host;
    text->endpoint.port = (uint16_t)port;
    return true;
}

int exceptions_parse(struct exceptions *set, const char *text, uint32_t n_slots)
{
    struct parse parse = {.at = text};
    struct endpoint_text texts[2];
    unsigned current = 0;

    if (*text == '\0')
        return 0;
    if (strnlen(text, LIMIT_EXCEPTIONS_BYTES + 1) > LIMIT_EXCEPTIONS_BYTES || n_slots == 0 ||
        !parse_char(&parse, '1') || !parse_char(&parse, ':'))
        return OVERHAND_E_INVALID;
    bool first = true;
    do {
        if (!parse_endpoint(&parse, &texts[current]) ||
            (!first &&
             endpoint_compare(&texts[1 - current].endpoint, &texts[current].endpoint) >= 0) ||
            !parse_slots(&parse, set, &texts[current].endpoint, n_slots))
            return OVERHAND_E_INVALID;
        first = false;
        current = 1 - current;
    } while (parse_char(&parse, ';'));
    return *parse.at == '\0' ? 0 : OVERHAND_E_INVALID;
}

/* ---- sorting and writing ---- */

static int exception_compare_by_slot(const void *left, const void *right)
{
    const struct exception *a = left, *b = right;

    if (a->slot != b->slot)
        return a->slot < b->slot ? -1 : 1;
    if (a->endpoint != b->endpoint)
        return a->endpoint < b->endpoint ? -1 : 1;
    return (a->shard > b->shard) - (a->shard < b->shard);
}

void exceptions_sort(struct exceptions *set)
{
    size_t n_kept = 0;

    if (set->n_entries == 0)
        return;
    qsort(set->entries, set->n_entries, sizeof *set->entries, exception_compare_by_slot);
    for (size_t i = 0; i < set->n_entries; i++) {
        if (n_kept == 0 ||
            exception_compare_by_slot(&set->entries[n_kept - 1], &set->entries[i]) != 0)
            set->entries[n_kept++] = set->entries[i];
    }
    set->n_entries = n_kept;
}

const struct exception *exceptions_find(const struct exceptions *set, uint32_t slot,
                                        size_t *n_found)
{
    size_t low = 0, high = set->n_entries;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (set->entries[middle].slot < slot)
            low = middle + 1;
        else
            high = middle;
    }
    size_t end = low;
    while (end < set->n_entries && set->entries[end].slot == slot)
        end++;
    *n_found = end - low;
    return *n_found > 0 ? &set->entries[low] : NULL;
}

static int exception_compare_by_worker(const void *left, const void *right, void *arg)
{
    const struct exception *a = left, *b = right;
    const struct exceptions *set = arg;
    int order = endpoint_compare(&set->endpoints[a->endpoint], &set->endpoints[b->endpoint]);

    if (order == 0)
        order = (a->slot > b->slot) - (a->slot < b->slot);
    if (order == 0)
        order = (a->shard > b->shard) - (a->shard < b->shard);
    return order;
}

char *exceptions_format(struct exceptions *set)
{
    char *text = mem_zalloc(LIMIT_EXCEPTIONS_BYTES + 1);
    size_t len = 0;

    exceptions_sort(set);
    if (set->n_entries > 0)
        qsort_r(set->entries, set->n_entries, sizeof *set->entries, exception_compare_by_worker,
                set);
    for (size_t i = 0; i < set->n_entries && len <= LIMIT_EXCEPTIONS_BYTES; i++) {
        const struct exception *entry = &set->entries[i];
        const struct endpoint *endpoint = &set->endpoints[entry->endpoint];
        size_t room = LIMIT_EXCEPTIONS_BYTES + 1 - len;
        int n;

        if (i > 0 && entry[-1].endpoint == entry->endpoint)
            n = snprintf(text + len, room, ",%u.%u", entry->slot, entry->shard);
        else
            n = snprintf(text + len, room, "%s%s/%016llx/%s/%u=%u.%u", i == 0 ? "1:" : ";",
                         endpoint->id, (unsigned long long)endpoint->incarnation, endpoint->host,
                         endpoint->port, entry->slot, entry->shard);
        len += (size_t)n;
    }
    if (len <= LIMIT_EXCEPTIONS_BYTES)
        return text;
    mem_free(text);
    return NULL;
}
