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

void exceptions_add(struct exceptions *set, const struct endpoint *endpoint, struct exception entry)
{
    entry.endpoint = exceptions_add_endpoint(set, endpoint);
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

/* Slots, partitions and shards in the order of the text. */
static int place_compare(const struct exception *a, const struct exception *b)
{
    if (a->one_partition != b->one_partition)
        return a->one_partition ? 1 : -1;
    if (a->number != b->number)
        return a->number < b->number ? -1 : 1;
    return (a->shard > b->shard) - (a->shard < b->shard);
}

static bool parse_place(struct parse *parse, const struct layout *layout, struct exception *entry)
{
    entry->one_partition = parse_char(parse, 'p');
    if (!parse_number(parse, (entry->one_partition ? layout->n_partitions : layout->n_slots) - 1,
                      &entry->number) ||
        !parse_char(parse, '.') || !parse_number(parse, LIMIT_SHARDS - 1, &entry->shard))
        return false;
    entry->copied = parse_char(parse, '+');
    return true;
}

static bool parse_places(struct parse *parse, struct exceptions *set,
                         const struct endpoint *endpoint, const struct layout *layout)
{
    struct exception entry = {0}, former = {0};
    bool first = true;

    do {
        if (!parse_place(parse, layout, &entry) || (!first && place_compare(&former, &entry) >= 0))
            return false;
        former = entry;
        first = false;
        exceptions_add(set, endpoint, entry);
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

int exceptions_parse(struct exceptions *set, const char *text, const struct layout *layout)
{
    struct parse parse = {.at = text};
    struct endpoint_text texts[2];
    unsigned current = 0;

    if (*text == '\0')
        return 0;
    if (strnlen(text, LIMIT_EXCEPTIONS_BYTES + 1) > LIMIT_EXCEPTIONS_BYTES ||
        !parse_char(&parse, '1') || !parse_char(&parse, ':'))
        return OVERHAND_E_INVALID;
    bool first = true;
    do {
        if (!parse_endpoint(&parse, &texts[current]) ||
            (!first &&
             endpoint_compare(&texts[1 - current].endpoint, &texts[current].endpoint) >= 0) ||
            !parse_places(&parse, set, &texts[current].endpoint, layout))
            return OVERHAND_E_INVALID;
        first = false;
        current = 1 - current;
    } while (parse_char(&parse, ';'));
    return *parse.at == '\0' ? 0 : OVERHAND_E_INVALID;
}

/* ---- sorting and writing ---- */

/* By place, then worker; the led one of two that are equal otherwise comes first. */
static int exception_compare_by_place(const void *left, const void *right)
{
    const struct exception *a = left, *b = right;

    if (a->one_partition != b->one_partition)
        return a->one_partition ? 1 : -1;
    if (a->number != b->number)
        return a->number < b->number ? -1 : 1;
    if (a->endpoint != b->endpoint)
        return a->endpoint < b->endpoint ? -1 : 1;
    if (a->shard != b->shard)
        return a->shard < b->shard ? -1 : 1;
    return (int)a->copied - (int)b->copied;
}

void exceptions_sort(struct exceptions *set)
{
    size_t n_kept = 0;

    if (set->n_entries == 0)
        return;
    qsort(set->entries, set->n_entries, sizeof *set->entries, exception_compare_by_place);
    for (size_t i = 0; i < set->n_entries; i++) {
        const struct exception *last = n_kept > 0 ? &set->entries[n_kept - 1] : NULL;

        if (last == NULL || last->endpoint != set->entries[i].endpoint ||
            place_compare(last, &set->entries[i]) != 0)
            set->entries[n_kept++] = set->entries[i];
    }
    set->n_entries = n_kept;
}

const struct exception *exceptions_find(const struct exceptions *set, bool one_partition,
                                        uint32_t number, size_t *n_found)
{
    size_t low = 0, high = set->n_entries;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct exception *entry = &set->entries[middle];

        if (entry->one_partition != one_partition ? one_partition : entry->number < number)
            low = middle + 1;
        else
            high = middle;
    }
    size_t end = low;
    while (end < set->n_entries && set->entries[end].one_partition == one_partition &&
           set->entries[end].number == number)
        end++;
    *n_found = end - low;
    return *n_found > 0 ? &set->entries[low] : NULL;
}

static int exception_compare_by_worker(const void *left, const void *right, void *arg)
{
    const struct exception *a = left, *b = right;
    const struct exceptions *set = arg;
    int order = endpoint_compare(&set->endpoints[a->endpoint], &set->endpoints[b->endpoint]);

    return order != 0 ? order : place_compare(a, b);
}

/* The text of a set without repeats; NULL: too long. */
static char *exceptions_write(struct exceptions *set)
{
    char *text = mem_zalloc(LIMIT_EXCEPTIONS_BYTES + 1);
    size_t len = 0;

    if (set->n_entries > 0)
        qsort_r(set->entries, set->n_entries, sizeof *set->entries, exception_compare_by_worker,
                set);
    for (size_t i = 0; i < set->n_entries && len <= LIMIT_EXCEPTIONS_BYTES; i++) {
        const struct exception *entry = &set->entries[i];
        const struct endpoint *endpoint = &set->endpoints[entry->endpoint];
        char place[40];

        snprintf(place, sizeof place, "%s%u.%u%s", entry->one_partition ? "p" : "", entry->number,
                 entry->shard, entry->copied ? "+" : "");
        size_t room = LIMIT_EXCEPTIONS_BYTES + 1 - len;
        if (i > 0 && entry[-1].endpoint == entry->endpoint)
            len += (size_t)snprintf(text + len, room, ",%s", place);
        else
            len += (size_t)snprintf(text + len, room, "%s%s/%016llx/%s/%u=%s", i == 0 ? "1:" : ";",
                                    endpoint->id, (unsigned long long)endpoint->incarnation,
                                    endpoint->host, endpoint->port, place);
    }
    if (len <= LIMIT_EXCEPTIONS_BYTES)
        return text;
    mem_free(text);
    return NULL;
}

char *exceptions_format(struct exceptions *set, const struct layout *layout)
{
    exceptions_sort(set);
    char *text = exceptions_write(set);
    if (text != NULL)
        return text;
    for (size_t i = 0; i < set->n_entries; i++) {
        struct exception *entry = &set->entries[i];

        if (entry->one_partition)
            entry->number = layout_slot(layout, entry->number);
        entry->one_partition = false;
    }
    exceptions_sort(set);
    return exceptions_write(set);
}
