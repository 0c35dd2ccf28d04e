/* Rows through the whole client: told as columns where they are rows, and read back byte for
 * byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client_fixture.h"
#include "core/block.h"
#include "core/bytes.h"
#include "core/mem.h"
#include "row_maker.h"

enum { PARTITION = 2, ATTEMPT = 100, ROWS = 3000 };

static const struct block_home home = {0, FIXTURE_SHUFFLE, PARTITION};

static struct overhand_writer *open_writer(struct client_fixture *f, enum overhand_codec codec,
                                           uint32_t n_fields)
{
    struct overhand_writer_options options = {
        .size = sizeof options,
        .layout = f->layout,
        .layout_len = f->layout_len,
        .attempt = ATTEMPT,
        .codec = codec,
        .n_row_fields = n_fields,
    };
    struct overhand_writer *writer;

    assert_int_equal(overhand_writer_open(f->client, &options, &writer), 0);
    return writer;
}

/* Append record by record, `len` bytes of them. Returns: the partition's size for planners. */
static uint64_t write_records(struct client_fixture *f, enum overhand_codec codec,
                              uint32_t n_fields, const uint8_t *data, size_t len)
{
    struct overhand_writer *writer = open_writer(f, codec, n_fields);

    for (size_t at = 0; at < len; at += row_maker_record_bytes(data + at))
        assert_int_equal(overhand_writer_append(writer, PARTITION, data + at,
                                                row_maker_record_bytes(data + at), 1000),
                         0);
    assert_int_equal(overhand_writer_finish(writer, 60000), 0);
    uint64_t planned_bytes = overhand_writer_partition_bytes(writer)[PARTITION];
    overhand_writer_close(writer);
    f->expected[f->n_expected++] =
        (struct overhand_expected){.attempt = ATTEMPT, .partition = PARTITION};
    return planned_bytes;
}

/* Read batches, in the order of their numbers since there is one map, and compare. */
static void read_back(struct client_fixture *f, const uint8_t *data, size_t len)
{
    struct overhand_reader *reader = fixture_open_reader(f, 0);
    struct overhand_batch batch;
    size_t at = 0;
    int rc;

    while ((rc = overhand_reader_next(reader, &batch, 60000)) == 0) {
        assert_in_range(batch.len, 1, len - at);
        assert_memory_equal(batch.data, data + at, batch.len);
        at += batch.len;
    }
    assert_int_equal(rc, OVERHAND_END);
    assert_int_equal(at, len);
    overhand_reader_close(reader);
}

/* What the workers store of the partition; its first block's header. */
static size_t stored(struct client_fixture *f, uint8_t **data, struct block_header *header)
{
    *data = NULL;
    *header = (struct block_header){0};
    for (unsigned i = 0; i < FIXTURE_WORKERS; i++) {
        const uint8_t *bytes;
        size_t len = fake_worker_stored(&f->workers[i], FIXTURE_SHUFFLE, PARTITION, &bytes);

        if (len == 0)
            continue;
        assert_int_equal(block_decode(bytes, header), 0);
        *data = (uint8_t *)(uintptr_t)bytes; /* tests may damage it */
        return len;
    }
    return 0;
}

static void test_rows_are_told_as_columns_and_read_back(void **state)
{
    struct made_rows made = row_maker_make("kicfsw", ROWS, 10, 1);

    for (unsigned key_len = 0; key_len <= 32; key_len += 16) {
        for (int codec = OVERHAND_CODEC_LZ4; codec <= OVERHAND_CODEC_ZSTD; codec++) {
            struct client_fixture f;
            struct block_header header;
            uint8_t *data;

            client_fixture_init(&f, 1);
            client_fixture_set_key(&f, "0123456789abcdef0123456789ABCDEF", key_len);
            write_records(&f, (enum overhand_codec)codec, made.n_fields, made.data, made.len);
            assert_in_range(stored(&f, &data, &header), 1, made.len / 2);
            assert_int_equal(header.layout, BLOCK_LAYOUT_ROWS);
            assert_int_equal(header.codec, codec);
            read_back(&f, made.data, made.len);
            client_fixture_fini(&f);
        }
    }
    mem_free(made.data);
}

static void written_plain(enum overhand_codec codec, uint32_t n_fields,
                          const struct made_rows *made)
{
    struct client_fixture f;
    struct block_header header;
    uint8_t *data;

    client_fixture_init(&f, 1);
    write_records(&f, codec, n_fields, made->data, made->len);
    assert_true(stored(&f, &data, &header) > 0);
    assert_int_equal(header.layout, BLOCK_LAYOUT_PLAIN);
    read_back(&f, made->data, made->len);
    client_fixture_fini(&f);
}

static void test_planners_are_told_sizes_like_those_of_plain_compressed_rows(void **state)
{
    struct made_rows made = row_maker_make("kicfsw", ROWS, 10, 1);
    struct client_fixture f;
    struct block_header header;
    uint8_t *data;

    client_fixture_init(&f, 1);
    assert_in_range(write_records(&f, OVERHAND_CODEC_LZ4, made.n_fields, made.data, made.len),
                    made.len / 3 - 64, made.len / 3); /* rounded down in each block */
    assert_in_range(stored(&f, &data, &header), 1, made.len / 3 - 65);
    client_fixture_fini(&f);

    client_fixture_init(&f, 1);
    uint64_t planned = write_records(&f, OVERHAND_CODEC_LZ4, 0, made.data, made.len);
    assert_int_equal(planned, stored(&f, &data, &header)); /* plain: what is stored */
    client_fixture_fini(&f);
    mem_free(made.data);
}

static void test_what_is_not_said_to_be_rows_stays_plain(void **state)
{
    struct made_rows made = row_maker_make("kifs", ROWS, 0, 2);

    written_plain(OVERHAND_CODEC_LZ4, 0, &made);
    written_plain(OVERHAND_CODEC_LZ4, UINT32_MAX, &made); /* more fields than are told */
    written_plain(OVERHAND_CODEC_NONE, made.n_fields, &made);
    mem_free(made.data);
}

static void test_records_that_are_no_rows_stay_plain(void **state)
{
    struct made_rows made = row_maker_make("kifs", ROWS, 0, 3);

    written_plain(OVERHAND_CODEC_LZ4, 100, &made); /* too short for so many fields */
    mem_free(made.data);
}

static void test_few_rows_stay_plain(void **state)
{
    struct made_rows made = row_maker_make("kifs", 3, 0, 4);

    written_plain(OVERHAND_CODEC_LZ4, made.n_fields, &made);
    mem_free(made.data);
}

static void test_a_caller_that_knows_nothing_of_rows_is_served(void **state)
{
    struct client_fixture f;
    struct overhand_writer_options options = {
        .size = offsetof(struct overhand_writer_options, n_row_fields), .n_row_fields = 77};
    struct overhand_writer *writer;

    client_fixture_init(&f, 1);
    options.layout = f.layout;
    options.layout_len = f.layout_len;
    assert_int_equal(overhand_writer_open(f.client, &options, &writer), 0);
    assert_int_equal(overhand_writer_append(writer, PARTITION, "any bytes", 9, 1000), 0);
    assert_int_equal(overhand_writer_finish(writer, 60000), 0);
    overhand_writer_close(writer);
    options.size--;
    assert_int_equal(overhand_writer_open(f.client, &options, &writer), OVERHAND_E_INVALID);
    client_fixture_fini(&f);
}

/* The checksum fits, so it is a writer's lie: no other copy would be better. */
static void test_an_image_that_lies_is_never_delivered(void **state)
{
    struct made_rows made = row_maker_make("kifs", ROWS, 0, 5);

    for (unsigned lie = 0; lie < 3; lie++) {
        struct client_fixture f;
        struct block_header header;
        struct block_home here = home;
        struct overhand_batch batch;
        uint8_t *data;

        client_fixture_init(&f, 1);
        here.app_uid = f.client->app_uid;
        write_records(&f, OVERHAND_CODEC_LZ4, made.n_fields, made.data, made.len);
        assert_true(stored(&f, &data, &header) > 0);
        ASSERT(data != NULL); /* the analyzer does not know cmocka */
        if (lie == 0)         /* the image is longer than what is made of it */
            bytes_put_u32(data + BLOCK_HEADER_BYTES, header.raw_length + 1);
        else if (lie == 1) /* than it is */
            bytes_put_u32(data + BLOCK_HEADER_BYTES, bytes_get_u32(data + BLOCK_HEADER_BYTES) + 1);
        else
            header.raw_length += 8;
        block_seal(data, &header, &here);
        struct overhand_reader *reader = fixture_open_reader(&f, 0);
        assert_int_equal(overhand_reader_next(reader, &batch, 60000), OVERHAND_E_CHECKSUM);
        overhand_reader_close(reader);
        client_fixture_fini(&f);
    }
    mem_free(made.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_are_told_as_columns_and_read_back),
        cmocka_unit_test(test_planners_are_told_sizes_like_those_of_plain_compressed_rows),
        cmocka_unit_test(test_what_is_not_said_to_be_rows_stays_plain),
        cmocka_unit_test(test_records_that_are_no_rows_stay_plain),
        cmocka_unit_test(test_few_rows_stay_plain),
        cmocka_unit_test(test_a_caller_that_knows_nothing_of_rows_is_served),
        cmocka_unit_test(test_an_image_that_lies_is_never_delivered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
