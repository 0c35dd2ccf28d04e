/* The record oracle.
 *
 * Making: everything about a record is drawn by hashing what names it; the head is written, the
 *   tail is a stream of hashed words (of every second record with runs of equal words, so that
 *   compression finds something).
 * Judging: a batch is looked up by (map, partition), then each of its records is compared with its
 *   own making and counted in its entry; at the end each entry's counts are compared with those of
 *   what the map wrote.
 * Fails: the first wrong thing is kept as a text; everything after it is refused. */
#include "oracle.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/bytes.h"
#include "core/err.h"
#include "core/mem.h"

enum { SKEW_FACTOR = 20, LONG_ONE_IN = 100, SHORT_TAIL_BYTES = 64, TEXT_BYTES = 256 };

/* ---- what a record is ---- */

static uint64_t oracle_tag(const struct oracle_shape *shape)
{
    return rng_mix(shape->seed, shape->shuffle_id);
}

static uint64_t oracle_place(uint32_t map, uint32_t partition)
{
    return (uint64_t)map << 32 | partition;
}

uint32_t oracle_n_records(const struct oracle_shape *shape, uint32_t map, uint32_t partition)
{
    uint64_t luck = rng_mix(oracle_tag(shape), oracle_place(map, partition));
    uint32_t n = (uint32_t)(luck % (shape->records_max + 1ull));

    return partition == shape->skewed ? n * SKEW_FACTOR : n;
}

static uint32_t oracle_tail_len(const struct oracle_shape *shape, uint32_t map, uint32_t partition,
                                uint32_t number)
{
    uint64_t luck = rng_mix(oracle_tag(shape) ^ oracle_place(map, partition), number);
    uint64_t max = shape->tail_max_bytes;

    if (luck % LONG_ONE_IN != 0 && max > SHORT_TAIL_BYTES)
        max = SHORT_TAIL_BYTES;
    return (uint32_t)(luck / LONG_ONE_IN % (max + 1));
}

size_t oracle_record_len(const struct oracle_shape *shape, uint32_t map, uint32_t partition,
                         uint32_t number)
{
    return ORACLE_HEAD_BYTES + oracle_tail_len(shape, map, partition, number);
}

/* What a head says. */
struct head {
    uint64_t tag, attempt;
    uint32_t map, partition, number, tail_len;
};

static void head_write(const struct head *head, uint8_t *to)
{
    bytes_put_u64(to, head->tag);
    bytes_put_u64(to + 8, head->attempt);
    bytes_put_u32(to + 16, head->map);
    bytes_put_u32(to + 20, head->partition);
    bytes_put_u32(to + 24, head->number);
    bytes_put_u32(to + 28, head->tail_len);
}

static struct head head_read(const uint8_t *from)
{
    return (struct head){
        .tag = bytes_get_u64(from),
        .attempt = bytes_get_u64(from + 8),
        .map = bytes_get_u32(from + 16),
        .partition = bytes_get_u32(from + 20),
        .number = bytes_get_u32(from + 24),
        .tail_len = bytes_get_u32(from + 28),
    };
}

static uint64_t head_key(const struct head *head)
{
    return rng_mix(rng_mix(head->tag, head->attempt),
                   rng_mix(oracle_place(head->map, head->partition),
                           (uint64_t)head->number << 32 | head->tail_len));
}

/* Word `i` of the tail of the record with this key. */
static uint64_t tail_word(uint64_t key, size_t i)
{
    return rng_mix(key, key & 1 ? i / 4 : i);
}

void oracle_record_make(const struct oracle_shape *shape, uint32_t map, uint64_t attempt,
                        uint32_t partition, uint32_t number, uint8_t *to)
{
    struct head head = {oracle_tag(shape), attempt, map,
                        partition,         number,  oracle_tail_len(shape, map, partition, number)};
    uint64_t key = head_key(&head);
    uint8_t *tail = to + ORACLE_HEAD_BYTES;

    head_write(&head, to);
    for (size_t at = 0; at < head.tail_len; at += 8) {
        uint64_t word = tail_word(key, at / 8);
        size_t left = head.tail_len - at;

        memcpy(tail + at, &word, left < 8 ? left : 8);
    }
}

/* ---- what a map writes ---- */

void oracle_map_init(struct oracle_map *map, const struct oracle_shape *shape, uint32_t number,
                     uint64_t attempt)
{
    *map = (struct oracle_map){.shape = shape, .map = number, .attempt = attempt};
    map->left = mem_zalloc(shape->n_partitions * sizeof *map->left + 1);
    map->open = mem_zalloc(shape->n_partitions * sizeof *map->open + 1);
    for (uint32_t partition = 0; partition < shape->n_partitions; partition++) {
        map->left[partition] = oracle_n_records(shape, number, partition);
        map->n_left += map->left[partition];
        if (map->left[partition] > 0)
            map->open[map->n_open++] = partition;
    }
    rng_init(&map->order, rng_mix(oracle_tag(shape), rng_mix(number, attempt)));
}

void oracle_map_fini(struct oracle_map *map)
{
    mem_free(map->left);
    mem_free(map->open);
}

/* Take one record away from a random partition that has some. */
static uint32_t oracle_map_draw(struct oracle_map *map)
{
    uint32_t i = (uint32_t)rng_below(&map->order, map->n_open);
    uint32_t partition = map->open[i];

    map->n_left--;
    if (--map->left[partition] == 0)
        map->open[i] = map->open[--map->n_open];
    return partition;
}

bool oracle_map_next(struct oracle_map *map, uint32_t *partition, uint8_t *record, size_t *len)
{
    if (!map->again) {
        if (map->n_left == 0)
            return false;
        map->last = oracle_map_draw(map);
    }
    map->again = false;
    *partition = map->last;

    uint32_t number = oracle_n_records(map->shape, map->map, map->last) - map->left[map->last] - 1;
    *len = oracle_record_len(map->shape, map->map, map->last, number);
    oracle_record_make(map->shape, map->map, map->attempt, map->last, number, record);
    return true;
}

void oracle_map_unget(struct oracle_map *map)
{
    ASSERT(!map->again);
    map->again = true;
}

/* ---- the verdict ---- */

struct hash {
    uint64_t half[2];
};

/* The records of one set, in any order. */
struct tally {
    uint64_t count;
    struct hash xor, sum;
};

struct entry {
    struct overhand_expected expected;
    bool used;
    struct tally tally;
};

struct oracle_read {
    struct oracle_shape shape;
    struct entry *table; /* open addressing by (map, partition) */
    size_t mask;
    uint64_t n_records;
    char text[TEXT_BYTES];
};

/* The hash of a head whose other fields are the entry's. */
static struct hash record_hash(const struct overhand_expected *of, uint64_t tag, uint32_t number)
{
    uint64_t key = rng_mix(rng_mix(tag, of->attempt), oracle_place(of->map_index, of->partition));

    return (struct hash){{rng_mix(key, number), rng_mix(number, key)}};
}

static void tally_add(struct tally *tally, struct hash hash)
{
    uint64_t low = tally->sum.half[0];

    tally->count++;
    tally->xor.half[0] ^= hash.half[0];
    tally->xor.half[1] ^= hash.half[1];
    tally->sum.half[0] += hash.half[0];
    tally->sum.half[1] += hash.half[1] + (tally->sum.half[0] < low);
}

/* The entry of (map, partition), or the free one where it belongs. */
static struct entry *oracle_find(const struct oracle_read *read, uint32_t map, uint32_t partition)
{
    size_t i = rng_mix(map, partition) & read->mask;

    while (read->table[i].used && (read->table[i].expected.map_index != map ||
                                   read->table[i].expected.partition != partition))
        i = (i + 1) & read->mask;
    return &read->table[i];
}

struct oracle_read *oracle_read_new(const struct oracle_shape *shape,
                                    const struct overhand_expected *expected, size_t n_expected)
{
    struct oracle_read *read = mem_zalloc(sizeof *read);
    size_t capacity = 2;

    while (capacity < 2 * n_expected)
        capacity *= 2;
    read->shape = *shape;
    read->mask = capacity - 1;
    read->table = mem_zalloc(capacity * sizeof *read->table);
    for (size_t i = 0; i < n_expected; i++) {
        struct entry *entry = oracle_find(read, expected[i].map_index, expected[i].partition);

        ASSERT(!entry->used); /* (map, partition) at most once */
        entry->used = true;
        entry->expected = expected[i];
    }
    return read;
}

void oracle_read_free(struct oracle_read *read)
{
    if (read == NULL)
        return;
    mem_free(read->table);
    mem_free(read);
}

/* Keep why it is wrong; false, for the caller to return. */
static bool oracle_wrong(struct oracle_read *read, const struct overhand_expected *where,
                         const char *format, ...) __attribute__((format(printf, 3, 4)));

static bool oracle_wrong(struct oracle_read *read, const struct overhand_expected *where,
                         const char *format, ...)
{
    int len = snprintf(read->text, sizeof read->text,
                       "map %u, partition %u, attempt %llu: ", where->map_index, where->partition,
                       (unsigned long long)where->attempt);
    va_list args;

    va_start(args, format);
    vsnprintf(read->text + len, sizeof read->text - (size_t)len, format, args);
    va_end(args);
    return false;
}

/* Is this head one that the entry's attempt wrote? */
static bool oracle_judge_head(struct oracle_read *read, const struct overhand_expected *expected,
                              const struct head *head)
{
    uint32_t map = expected->map_index, partition = expected->partition;

    if (head->tag != oracle_tag(&read->shape))
        return oracle_wrong(read, expected, "a record of another shuffle, or its head is damaged");
    if (head->map != map)
        return oracle_wrong(read, expected, "a record of map %u", head->map);
    if (head->partition != partition)
        return oracle_wrong(read, expected, "a record of partition %u", head->partition);
    if (head->attempt != expected->attempt)
        return oracle_wrong(read, expected, "a record of attempt %llu",
                            (unsigned long long)head->attempt);
    if (head->number >= oracle_n_records(&read->shape, map, partition))
        return oracle_wrong(read, expected, "record %u was never written", head->number);
    if (head->tail_len != oracle_tail_len(&read->shape, map, partition, head->number))
        return oracle_wrong(read, expected, "record %u says a tail of %u bytes, written were %u",
                            head->number, head->tail_len,
                            oracle_tail_len(&read->shape, map, partition, head->number));
    return true;
}

static bool oracle_judge_tail(struct oracle_read *read, const struct overhand_expected *expected,
                              const struct head *head, const uint8_t *tail)
{
    uint64_t key = head_key(head);

    for (size_t at = 0; at < head->tail_len; at += 8) {
        uint64_t word = tail_word(key, at / 8);
        size_t left = head->tail_len - at;

        if (memcmp(tail + at, &word, left < 8 ? left : 8) != 0)
            return oracle_wrong(read, expected, "record %u is damaged at byte %zu to %zu of %u",
                                head->number, ORACLE_HEAD_BYTES + at, ORACLE_HEAD_BYTES + at + 7,
                                ORACLE_HEAD_BYTES + head->tail_len);
    }
    return true;
}

bool oracle_read_batch(struct oracle_read *read, const struct overhand_batch *batch)
{
    const struct overhand_expected where = {batch->attempt, batch->map_index, batch->partition};
    struct entry *entry = oracle_find(read, batch->map_index, batch->partition);
    size_t at = 0;

    if (read->text[0] != '\0')
        return false;
    if (!entry->used)
        return oracle_wrong(read, &where, "a batch that nobody expects");
    if (batch->attempt != entry->expected.attempt)
        return oracle_wrong(read, &where, "a batch where attempt %llu is expected",
                            (unsigned long long)entry->expected.attempt);
    while (at < batch->len) {
        size_t left = batch->len - at;

        if (left < ORACLE_HEAD_BYTES)
            return oracle_wrong(read, &where, "a record is cut: %zu bytes of its head", left);
        struct head head = head_read(batch->data + at);
        if (!oracle_judge_head(read, &where, &head))
            return false;
        if (head.tail_len > left - ORACLE_HEAD_BYTES)
            return oracle_wrong(read, &where, "record %u is cut: %zu bytes of %u", head.number,
                                left, ORACLE_HEAD_BYTES + head.tail_len);
        if (!oracle_judge_tail(read, &where, &head, batch->data + at + ORACLE_HEAD_BYTES))
            return false;
        tally_add(&entry->tally, record_hash(&where, head.tag, head.number));
        read->n_records++;
        at += ORACLE_HEAD_BYTES + head.tail_len;
    }
    return true;
}

/* The one record by which a tally differs from the right one; false: it is more than one. */
static bool oracle_odd_record(const struct oracle_read *read, const struct entry *entry,
                              const struct tally *right, uint32_t *number)
{
    uint32_t n = (uint32_t)right->count;

    for (*number = 0; *number < n; ++*number) {
        struct hash hash = record_hash(&entry->expected, oracle_tag(&read->shape), *number);

        if ((entry->tally.xor.half[0] ^ hash.half[0]) == right->xor.half[0] &&
            (entry->tally.xor.half[1] ^ hash.half[1]) == right->xor.half[1])
            return true;
    }
    return false;
}

static bool oracle_judge_entry(struct oracle_read *read, const struct entry *entry)
{
    const struct overhand_expected *expected = &entry->expected;
    uint32_t n = oracle_n_records(&read->shape, expected->map_index, expected->partition);
    struct tally right = {0};
    uint32_t number;
    char which[32] = "";

    for (uint32_t i = 0; i < n; i++)
        tally_add(&right, record_hash(expected, oracle_tag(&read->shape), i));
    if (memcmp(&right, &entry->tally, sizeof right) == 0)
        return true;
    if (oracle_odd_record(read, entry, &right, &number))
        snprintf(which, sizeof which, " (record %u)", number);
    if (entry->tally.count < n)
        return oracle_wrong(read, expected, "%llu of %u records are missing%s",
                            (unsigned long long)(n - entry->tally.count), n, which);
    if (entry->tally.count > n)
        return oracle_wrong(read, expected, "%llu records are repeated, written were %u%s",
                            (unsigned long long)(entry->tally.count - n), n, which);
    return oracle_wrong(read, expected, "of %u records, some are missing and as many repeated", n);
}

bool oracle_read_end(struct oracle_read *read)
{
    for (size_t i = 0; i <= read->mask && read->text[0] == '\0'; i++) {
        if (read->table[i].used)
            oracle_judge_entry(read, &read->table[i]);
    }
    return read->text[0] == '\0';
}

const char *oracle_read_text(const struct oracle_read *read)
{
    return read->text;
}

uint64_t oracle_read_n_records(const struct oracle_read *read)
{
    return read->n_records;
}
