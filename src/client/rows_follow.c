/* Which words say where a row's variable bytes are. Nothing is told of types, but fields lie in
 * order: the bytes of the first one begin behind the fixed part, those of the next where they
 * end. So each word is held against the place where bytes must come next, in every row. How much
 * room a field took shows only at the next one (a short string and a wide decimal look alike),
 * so there are up to two guesses at a time. Only what explains every row to its last byte
 * counts. */
#include "client/rows_column.h"

/* Where the next variable bytes of each row begin, if the field before is of `kind`. */
struct guess {
    uint8_t kind;
    uint32_t *ends;
};

/* What is known while the words are followed. */
struct follow {
    struct guess guesses[2];
    unsigned n_guesses;
    size_t word; /* the field before; 0: none */
};

/* Behind `size` bytes up to `padded` there are zeros alone. */
static bool padding_empty(const uint8_t *bytes, size_t size, size_t padded)
{
    uint64_t rest = 0;

    if (size % 8 != 0)
        rest = bytes_get_u64(bytes + size / 8 * 8) >> 8 * (size % 8);
    for (size_t i = rows_padded(size); i < padded; i += 8)
        rest |= bytes_get_u64(bytes + i);
    return rest == 0;
}

/* Which of `kinds` a slot can be, with its bytes at `begin`. */
static unsigned slot_kinds(const uint8_t *row, uint64_t slot, bool null, uint32_t begin,
                           unsigned kinds)
{
    size_t size = (uint32_t)slot, room = rows_size_of(row) - begin;

    if (slot == 0 && null)
        return kinds & ROWS_STRING;
    if (slot >> 32 != begin)
        return 0;
    if (null || rows_padded(size) > room || !padding_empty(row + begin, size, rows_padded(size)))
        kinds &= ~(unsigned)ROWS_STRING;
    if ((kinds & ROWS_WIDE) != 0 && (size > ROWS_WIDE_BYTES || room < ROWS_WIDE_BYTES ||
                                     !padding_empty(row + begin, size, ROWS_WIDE_BYTES)))
        kinds &= ~(unsigned)ROWS_WIDE;
    return kinds;
}

/* Which kinds of field a word can be whose bytes begin where `begins` says; 0: it is none. */
static unsigned word_kinds(const struct rows *rows, size_t word, const uint32_t *begins)
{
    const uint64_t *slots = rows_values(rows, word);
    unsigned bit, kinds = ROWS_STRING | ROWS_WIDE;
    const uint64_t *nulls = rows_nulls(rows, word, &bit);
    uint64_t any = 0;

    for (size_t i = 0; i < rows->n_rows && kinds != 0; i++) {
        kinds = slot_kinds(rows->at[i], slots[i], nulls[i] >> bit & 1, begins[i], kinds);
        any |= slots[i];
    }
    return any != 0 ? kinds : 0;
}

void rows_word_end(const struct rows *rows, size_t word, unsigned kind, const uint32_t *begins,
                   uint32_t *ends)
{
    const uint64_t *slots = rows_values(rows, word);

    for (size_t i = 0; i < rows->n_rows; i++)
        ends[i] = begins[i] +
                  (kind == ROWS_WIDE ? ROWS_WIDE_BYTES : (uint32_t)rows_padded((uint32_t)slots[i]));
}

/* The field before was what this guess says. */
static void follow_settle(struct rows *rows, const struct follow *follow, const struct guess *guess)
{
    if (follow->word != 0)
        rows->columns[follow->word].kind = guess->kind;
}

/* Look whether a word is the next variable field. */
static void follow_word(struct rows *rows, struct follow *follow, size_t word)
{
    for (unsigned i = 0; i < follow->n_guesses; i++) {
        struct guess *guess = &follow->guesses[i];
        unsigned kinds = word_kinds(rows, word, guess->ends);
        uint32_t *begins = guess->ends;
        unsigned n_used = 0;

        if (kinds == 0)
            continue;
        follow_settle(rows, follow, guess);
        follow->word = word;
        follow->n_guesses = 0;
        for (unsigned kind = ROWS_STRING; kind <= ROWS_WIDE; kind *= 2) {
            if ((kinds & kind) == 0)
                continue;
            while (rows->ends[n_used] == begins)
                n_used++;
            rows_word_end(rows, word, kind, begins, rows->ends[n_used]);
            follow->guesses[follow->n_guesses++] =
                (struct guess){.kind = (uint8_t)kind, .ends = rows->ends[n_used++]};
        }
        return;
    }
}

static bool follow_complete(const struct rows *rows, const struct guess *guess)
{
    const uint64_t *sizes = rows_values(rows, rows->n_words);
    uint64_t differ = 0;

    for (size_t i = 0; i < rows->n_rows; i++)
        differ |= sizes[i] ^ guess->ends[i];
    return differ == 0;
}

bool rows_predict(struct rows *rows)
{
    struct follow follow = {.n_guesses = 1, .guesses = {{.ends = rows->ends[0]}}};

    for (size_t i = 0; i < rows->n_rows; i++)
        rows->ends[0][i] = (uint32_t)(8 * rows->n_words);
    for (size_t word = rows_null_words(rows->n_fields); word < rows->n_words; word++)
        follow_word(rows, &follow, word);
    for (unsigned i = 0; i < follow.n_guesses; i++) {
        if (!follow_complete(rows, &follow.guesses[i]))
            continue;
        follow_settle(rows, &follow, &follow.guesses[i]);
        return true;
    }
    for (size_t word = 0; word < rows->n_words; word++)
        rows->columns[word].kind = 0;
    return false;
}
