/* Encryption through the whole client: what workers hold tells nothing, and a reader takes nothing
 * that was not sealed with its own key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client_fixture.h"
#include "core/mem.h"

enum { RECORDS = 300, RECORD_BYTES = 3000 };

static const uint8_t key_bytes[33] = "0123456789abcdef0123456789ABCDEF",
                     other_bytes[33] = "another";

static const char plaintext[] = "the quick brown fox jumps over the lazy dog";

/* All that the workers store of one partition. */
static size_t stored_of(struct client_fixture *f, uint32_t partition, const uint8_t **data)
{
    for (unsigned i = 0; i < FIXTURE_WORKERS; i++) {
        size_t len = fake_worker_stored(&f->workers[i], FIXTURE_SHUFFLE, partition, data);

        if (len > 0)
            return len;
    }
    return 0;
}

static void write_plaintext(struct client_fixture *f, uint64_t attempt)
{
    struct overhand_writer *writer = fixture_open_writer(f, 0, attempt, OVERHAND_CODEC_NONE, 0);

    for (int i = 0; i < 100; i++)
        assert_int_equal(overhand_writer_append(writer, 1, plaintext, sizeof plaintext, 1000), 0);
    assert_int_equal(overhand_writer_finish(writer, 60000), 0);
    overhand_writer_close(writer);
}

static void test_what_is_written_with_a_key_is_read_with_it(void **state)
{
    for (uint32_t key_len = 16; key_len <= 32; key_len += 8) {
        for (int codec = OVERHAND_CODEC_NONE; codec <= OVERHAND_CODEC_ZSTD; codec++) {
            struct client_fixture f;
            struct overhand_writer *writer;

            client_fixture_init(&f, key_len);
            client_fixture_set_key(&f, key_bytes, key_len);
            writer = fixture_open_writer(&f, 0, 100, (enum overhand_codec)codec, 0);
            assert_int_equal(fixture_append(&f, writer, 0, RECORDS, RECORD_BYTES), 0);
            assert_int_equal(overhand_writer_flush(writer, 60000), 0); /* then the end is empty */
            assert_int_equal(fixture_finish(&f, writer, 0, 100), 0);
            assert_int_equal(fixture_read(&f), OVERHAND_END);
            client_fixture_fini(&f);
        }
    }
}

static void test_workers_see_no_plaintext(void **state)
{
    for (uint32_t key_len = 0; key_len <= 32; key_len += 32) {
        struct client_fixture f;
        const uint8_t *data;

        client_fixture_init(&f, 1);
        client_fixture_set_key(&f, key_bytes, key_len);
        write_plaintext(&f, 100);
        size_t len = stored_of(&f, 1, &data);
        assert_true(len > 100 * sizeof plaintext);
        bool found = memmem(data, len, plaintext, sizeof plaintext) != NULL;
        assert_int_equal(found, key_len == 0); /* the search itself works */
        client_fixture_fini(&f);
    }
}

/* The payload that an attempt of this number leaves at its worker. */
static size_t payload_of_attempt(uint64_t attempt, uint8_t payload[8192])
{
    struct client_fixture f;
    const uint8_t *data;

    client_fixture_init(&f, 1);
    client_fixture_set_key(&f, key_bytes, 16);
    write_plaintext(&f, attempt);
    size_t len = stored_of(&f, 1, &data) - BLOCK_HEADER_BYTES;
    assert_in_range(len, 1, 8192);
    memcpy(payload, data + BLOCK_HEADER_BYTES, len);
    client_fixture_fini(&f);
    return len;
}

static void test_two_attempts_share_no_key_stream(void **state)
{
    uint8_t first[8192], again[8192], second[8192];
    size_t len = payload_of_attempt(100, first);
    unsigned n_equal = 0;

    assert_int_equal(payload_of_attempt(100, again), len);
    assert_memory_equal(first, again, len); /* the difference below is the attempt's */
    assert_int_equal(payload_of_attempt(101, second), len);
    for (size_t i = 0; i < len; i++)
        n_equal += first[i] == second[i];
    assert_in_range(n_equal, 0, len / 50);
}

static void read_must_fail(struct client_fixture *f, const char *why)
{
    struct overhand_reader *reader = fixture_open_reader(f, 0);

    assert_int_equal(fixture_read_all(f, reader), OVERHAND_E_CHECKSUM);
    assert_non_null(strstr(overhand_reader_error(reader), why));
    overhand_reader_close(reader);
}

static void test_a_reader_without_the_key_says_what_to_set(void **state)
{
    struct client_fixture f;

    client_fixture_init(&f, 1);
    client_fixture_set_key(&f, key_bytes, 32);
    assert_int_equal(fixture_write(&f, 0, RECORDS, RECORD_BYTES), 0);
    client_fixture_set_key(&f, NULL, 0);
    read_must_fail(&f, "is encrypted and this client has no key: encryption_key");
    client_fixture_fini(&f);
}

static void test_a_reader_with_a_key_refuses_what_is_not_encrypted(void **state)
{
    struct client_fixture f;

    client_fixture_init(&f, 1);
    assert_int_equal(fixture_write(&f, 0, RECORDS, RECORD_BYTES), 0);
    client_fixture_set_key(&f, key_bytes, 32);
    read_must_fail(&f, "is not encrypted and this client has a key: encryption_key");
    client_fixture_fini(&f);
}

static void test_a_reader_with_another_key_gets_nothing(void **state)
{
    struct client_fixture f;

    client_fixture_init(&f, 1);
    client_fixture_set_key(&f, key_bytes, 32);
    assert_int_equal(fixture_write(&f, 0, RECORDS, RECORD_BYTES), 0);
    client_fixture_set_key(&f, other_bytes, 32);
    read_must_fail(&f, "sealed with another encryption_key");
    client_fixture_fini(&f);
}

static void test_a_block_damaged_on_its_way_is_read_again(void **state)
{
    struct client_fixture f;

    client_fixture_init(&f, 1);
    client_fixture_set_key(&f, key_bytes, 32);
    assert_int_equal(fixture_write(&f, 0, RECORDS, RECORD_BYTES), 0);
    for (int i = 0; i < FIXTURE_WORKERS; i++)
        f.workers[i].data_fault =
            (struct fake_fault){.kind = FAKE_CORRUPT, .from = 1, .n_times = 1};
    assert_int_equal(fixture_read(&f), OVERHAND_END);
    client_fixture_fini(&f);
}

static void test_keys_of_other_lengths_are_refused(void **state)
{
    struct overhand_client_options options = {
        .size = sizeof options,
        .masters = "127.0.0.1:1",
        .app_id = "app",
        .app_uid = 1,
        .encryption_key = key_bytes,
        .encryption_key_len = 20,
    };
    struct overhand_client *client;

    assert_int_equal(overhand_client_open(&options, &client), OVERHAND_E_INVALID);
    options.encryption_key_len = 24;
    assert_int_equal(overhand_client_open(&options, &client), 0);
    overhand_client_close(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_written_with_a_key_is_read_with_it),
        cmocka_unit_test(test_workers_see_no_plaintext),
        cmocka_unit_test(test_two_attempts_share_no_key_stream),
        cmocka_unit_test(test_a_reader_without_the_key_says_what_to_set),
        cmocka_unit_test(test_a_reader_with_a_key_refuses_what_is_not_encrypted),
        cmocka_unit_test(test_a_reader_with_another_key_gets_nothing),
        cmocka_unit_test(test_a_block_damaged_on_its_way_is_read_again),
        cmocka_unit_test(test_keys_of_other_lengths_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
