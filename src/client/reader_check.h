/* The completeness tracker: which blocks of what a reader expects have been seen. Each expected
 * (attempt, partition) is complete once its blocks 0..n-1 were accepted and the last of them
 * said LAST. O(1) per block, 32 bytes an entry. */
#ifndef CLIENT_READER_CHECK_H
#define CLIENT_READER_CHECK_H

#include "core/block.h"

struct check_entry;

struct check {
    struct check_entry *entries; /* ascending by (partition, map index) */
    uint32_t *table;             /* open addressing; index + 1, 0 = free */
    size_t n_entries, n_incomplete, table_mask;
};

enum check_answer {
    CHECK_NEW,     /* expected and not seen yet */
    CHECK_REPEAT,  /* seen before: drop it */
    CHECK_FOREIGN, /* of an attempt nobody expects: drop it */
    CHECK_BROKEN,  /* contradicts what was seen: behind LAST, a second LAST, another map */
};

/* Begin with nothing seen. Returns: 0 (then check_fini), OVERHAND_E_INVALID: a (map, partition)
 * or (attempt, partition) occurs twice. */
MUST_CHECK int check_init(struct check *check, const struct overhand_expected *expected, size_t n);
/* Free what it holds. */
void check_fini(struct check *check);
/* What accepting this block would say; changes nothing. */
enum check_answer check_look(const struct check *check, uint32_t partition,
                             const struct block_header *header);
/* Note a verified block as delivered. */
enum check_answer check_accept(struct check *check, uint32_t partition,
                               const struct block_header *header);
/* True when everything expected has been accepted. */
bool check_complete(const struct check *check);
/* The expected entry number `index`, in (partition, map) order. */
void check_get(const struct check *check, size_t index, struct overhand_expected *expected);
/* True when entry number `index` lacks something. */
bool check_lacks(const struct check *check, size_t index);
/* The first incomplete entry, and what it lacks in words ("3 blocks seen, block 1 missing").
 * False: all complete. */
bool check_first_missing(const struct check *check, struct overhand_expected *missing, char *text,
                         size_t text_size);

#endif
