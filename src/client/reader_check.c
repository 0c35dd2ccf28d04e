/* The completeness tracker. Blocks of one attempt mostly arrive in order: then `next` counts up
 * and nothing else is kept. What arrives early (from a stand-in, before the home's part) is kept
 * as ranges of sequence numbers behind `next`.
 *
 * Bounds: entries are the caller's; ranges are at most one for each block accepted. Nothing
 * fails but check_init. */
#include "client/reader_check.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/rng.h"

/* Sequence numbers [first, end) seen behind a gap. */
struct check_range {
    uint32_t first, end;
};

struct check_early {
    uint32_t n, capacity;
    struct check_range ranges[]; /* ascending, disjoint, not adjacent */
};

struct check_entry {
    uint64_t attempt;
    uint32_t map_index, partition;
    uint32_t next;             /* all below were accepted */
    uint32_t end;              /* sequence of LAST + 1; 0: not seen yet */
    struct check_early *early; /* owned; NULL: nothing beyond next */
};

static int entry_compare(const void *left, const void *right)
{
    const struct check_entry *a = left, *b = right;

    if (a->partition != b->partition)
        return a->partition < b->partition ? -1 : 1;
    return (a->map_index > b->map_index) - (a->map_index < b->map_index);
}

/* Sort unless sorted: engines mostly list their map outputs in order. False when two are equal. */
static bool check_sort(struct check *check)
{
    bool sorted = true;

    for (size_t i = 1; i < check->n_entries && sorted; i++)
        sorted = entry_compare(&check->entries[i - 1], &check->entries[i]) < 0;
    if (sorted)
        return true;
    qsort(check->entries, check->n_entries, sizeof *check->entries, entry_compare);
    for (size_t i = 1; i < check->n_entries; i++) {
        if (entry_compare(&check->entries[i - 1], &check->entries[i]) == 0)
            return false;
    }
    return true;
}

/* The table's place of (attempt, partition): its entry's, or the free one where it belongs. */
static size_t check_place(const struct check *check, uint64_t attempt, uint32_t partition)
{
    size_t place = rng_mix(attempt, partition) & check->table_mask;

    while (check->table[place] != 0) {
        const struct check_entry *entry = &check->entries[check->table[place] - 1];

        if (entry->attempt == attempt && entry->partition == partition)
            break;
        place = (place + 1) & check->table_mask;
    }
    return place;
}

static bool check_fill_table(struct check *check)
{
    size_t size = 4;

    while (size < check->n_entries * 2)
        size *= 2;
    check->table = mem_zalloc(size * sizeof *check->table);
    check->table_mask = size - 1;
    for (size_t i = 0; i < check->n_entries; i++) {
        const struct check_entry *entry = &check->entries[i];
        size_t place = check_place(check, entry->attempt, entry->partition);

        if (check->table[place] != 0)
            return false;
        check->table[place] = (uint32_t)(i + 1);
    }
    return true;
}

int check_init(struct check *check, const struct overhand_expected *expected, size_t n)
{
    *check = (struct check){0};
    if (n >= UINT32_MAX)
        return OVERHAND_E_INVALID;
    check->entries = mem_reallocarray(NULL, n > 0 ? n : 1, sizeof *check->entries);
    check->n_entries = n;
    check->n_incomplete = n;
    for (size_t i = 0; i < n; i++) {
        check->entries[i] = (struct check_entry){
            .attempt = expected[i].attempt,
            .map_index = expected[i].map_index,
            .partition = expected[i].partition,
        };
    }
    if (check_sort(check) && check_fill_table(check))
        return 0;
    check_fini(check);
    return OVERHAND_E_INVALID;
}

void check_fini(struct check *check)
{
    for (size_t i = 0; i < check->n_entries; i++)
        mem_free(check->entries[i].early);
    mem_free(check->entries);
    mem_free(check->table);
    *check = (struct check){0};
}

/* ---- ranges seen early ---- */

/* The first range that ends at or behind `sequence`; early->n when there is none. */
static uint32_t early_find(const struct check_early *early, uint32_t sequence)
{
    uint32_t low = 0, high = early->n;

    if (high > 0 && early->ranges[high - 1].end < sequence)
        return high; /* the usual case: behind everything */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (early->ranges[middle].end < sequence)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool early_has(const struct check_early *early, uint32_t sequence)
{
    if (early == NULL)
        return false;
    for (uint32_t i = early_find(early, sequence); i < early->n; i++) {
        if (sequence < early->ranges[i].first)
            return false;
        if (sequence < early->ranges[i].end)
            return true;
    }
    return false;
}

static void early_remove(struct check_early *early, uint32_t at)
{
    early->n--;
    memmove(&early->ranges[at], &early->ranges[at + 1], (early->n - at) * sizeof early->ranges[0]);
}

static struct check_early *early_insert(struct check_early *early, uint32_t at, uint32_t sequence)
{
    if (early == NULL || early->n == early->capacity) {
        uint32_t n = early != NULL ? early->n : 0;
        uint32_t capacity = n == 0 ? 2 : n * 2;

        early = mem_realloc(early, sizeof *early + capacity * sizeof early->ranges[0]);
        early->n = n;
        early->capacity = capacity;
    }
    memmove(&early->ranges[at + 1], &early->ranges[at], (early->n - at) * sizeof early->ranges[0]);
    early->ranges[at] = (struct check_range){.first = sequence, .end = sequence + 1};
    early->n++;
    return early;
}

/* Put in a number that is not in yet. Returns the possibly moved set. */
static struct check_early *early_add(struct check_early *early, uint32_t sequence)
{
    uint32_t at = early != NULL ? early_find(early, sequence) : 0;

    if (early == NULL || at == early->n || sequence + 1 < early->ranges[at].first)
        return early_insert(early, at, sequence);
    struct check_range *range = &early->ranges[at];
    if (sequence + 1 == range->first) {
        range->first = sequence;
        return early;
    }
    range->end = sequence + 1; /* early_find gave the one that ends at `sequence` */
    if (at + 1 < early->n && early->ranges[at + 1].first == range->end) {
        range->end = early->ranges[at + 1].end;
        early_remove(early, at + 1);
    }
    return early;
}

/* `next` reached the first range: go on behind it. */
static void entry_catch_up(struct check_entry *entry)
{
    struct check_early *early = entry->early;

    if (early == NULL || early->ranges[0].first != entry->next)
        return;
    entry->next = early->ranges[0].end;
    early_remove(early, 0);
    if (early->n == 0) {
        mem_free(early);
        entry->early = NULL;
    }
}

/* One behind the highest number seen. */
static uint32_t entry_highest(const struct check_entry *entry)
{
    return entry->early != NULL ? entry->early->ranges[entry->early->n - 1].end : entry->next;
}

/* ---- the tracker ---- */

static struct check_entry *check_find(const struct check *check, uint32_t partition,
                                      uint64_t attempt)
{
    uint32_t index = check->table[check_place(check, attempt, partition)];

    return index != 0 ? &check->entries[index - 1] : NULL;
}

static enum check_answer entry_look(const struct check_entry *entry,
                                    const struct block_header *header)
{
    uint32_t sequence = header->sequence;

    if (header->map_index != entry->map_index || sequence == UINT32_MAX)
        return CHECK_BROKEN;
    if (entry->end != 0 &&
        (sequence >= entry->end || (header->last != 0) != (sequence + 1 == entry->end)))
        return CHECK_BROKEN;
    if (sequence < entry->next || early_has(entry->early, sequence))
        return entry->end == 0 && header->last ? CHECK_BROKEN : CHECK_REPEAT;
    if (header->last && sequence + 1 < entry_highest(entry))
        return CHECK_BROKEN;
    return CHECK_NEW;
}

enum check_answer check_look(const struct check *check, uint32_t partition,
                             const struct block_header *header)
{
    const struct check_entry *entry = check_find(check, partition, header->attempt);

    return entry != NULL ? entry_look(entry, header) : CHECK_FOREIGN;
}

enum check_answer check_accept(struct check *check, uint32_t partition,
                               const struct block_header *header)
{
    struct check_entry *entry = check_find(check, partition, header->attempt);

    if (entry == NULL)
        return CHECK_FOREIGN;
    enum check_answer answer = entry_look(entry, header);
    if (answer != CHECK_NEW)
        return answer;
    if (header->last)
        entry->end = header->sequence + 1;
    if (header->sequence == entry->next) {
        entry->next++;
        entry_catch_up(entry);
    } else {
        entry->early = early_add(entry->early, header->sequence);
    }
    if (entry->end != 0 && entry->next == entry->end)
        check->n_incomplete--;
    return CHECK_NEW;
}

bool check_complete(const struct check *check)
{
    return check->n_incomplete == 0;
}

void check_get(const struct check *check, size_t index, struct overhand_expected *expected)
{
    const struct check_entry *entry = &check->entries[index];

    *expected = (struct overhand_expected){
        .attempt = entry->attempt,
        .map_index = entry->map_index,
        .partition = entry->partition,
    };
}

bool check_lacks(const struct check *check, size_t index)
{
    const struct check_entry *entry = &check->entries[index];

    return entry->end == 0 || entry->next != entry->end;
}

bool check_first_missing(const struct check *check, struct overhand_expected *missing, char *text,
                         size_t text_size)
{
    size_t i = 0;

    while (i < check->n_entries && !check_lacks(check, i))
        i++;
    if (i == check->n_entries)
        return false;
    const struct check_entry *entry = &check->entries[i];
    check_get(check, i, missing);
    if (entry_highest(entry) == 0)
        snprintf(text, text_size, "no block seen");
    else if (entry->early != NULL || entry->end != 0)
        snprintf(text, text_size, "block %" PRIu32 " of %" PRIu32 "%s missing", entry->next,
                 entry->end != 0 ? entry->end : entry_highest(entry),
                 entry->end != 0 ? "" : " or more");
    else
        snprintf(text, text_size, "blocks up to %" PRIu32 " seen, the last one missing",
                 entry->next - 1);
    return true;
}
