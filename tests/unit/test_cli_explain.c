/* One shuffle put together: sums over workers and shards, what is noted, how it is printed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "cli/cli_explain.h"
#include "core/mem.h"

enum { PARTITIONS = 20, MIB = 1 << 20 };

#define APP 0xabcull

struct fixture {
    struct cli_explain explain;
    char *text; /* owned: what was printed last */
};

static int setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);

    cli_explain_init(&f->explain, "app-1", APP, 3);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    cli_explain_fini(&f->explain);
    mem_free(f->text);
    mem_free(f);
    return 0;
}

static struct cli_explain_holder *add_worker(struct fixture *f, const char *id, const char *state,
                                             uint32_t shuffle_id, uint32_t heard_ms_ago)
{
    Overhand__Wire__Worker worker = OVERHAND__WIRE__WORKER__INIT;
    Overhand__Wire__HeldShuffle held = OVERHAND__WIRE__HELD_SHUFFLE__INIT, *helds[] = {&held};
    Overhand__Wire__Disk disk = OVERHAND__WIRE__DISK__INIT, *disks[] = {&disk};
    Overhand__Wire__Heartbeat last = OVERHAND__WIRE__HEARTBEAT__INIT;
    Overhand__Wire__WorkerRow row = OVERHAND__WIRE__WORKER_ROW__INIT;

    worker.id = (char *)id;
    held.app_uid = APP;
    held.shuffle_id = shuffle_id;
    held.n_partitions = 10;
    held.bytes = 5 * MIB;
    disk.path = (char *)"/data/1";
    disk.failed = strcmp(id, "broken") == 0;
    last.n_held = 1;
    last.held = helds;
    last.n_disks = 1;
    last.disks = disks;
    row.worker = &worker;
    row.last = &last;
    row.state = (char *)state;
    row.heard_ms_ago = heard_ms_ago;
    return cli_explain_add_worker(&f->explain, &row);
}

static void add_row(struct fixture *f, uint32_t partition, uint64_t bytes)
{
    Overhand__Wire__PartitionRow row = OVERHAND__WIRE__PARTITION_ROW__INIT, *rows[] = {&row};

    row.partition = partition;
    row.bytes = bytes;
    row.memory_bytes = bytes / 2;
    cli_explain_add_rows(&f->explain, rows, 1);
}

static const char *print(struct fixture *f, bool json)
{
    size_t len;
    FILE *out;

    mem_free(f->text);
    out = open_memstream(&f->text, &len);
    cli_explain_print(&f->explain, json, out);
    fclose(out);
    return f->text;
}

static void test_partitions_are_summed_and_sorted_by_size(void **state)
{
    struct fixture *f = *state;

    assert_non_null(add_worker(f, "w1", "alive", 3, 100));
    assert_null(add_worker(f, "w2", "alive", 4, 100)); /* another shuffle */
    for (uint32_t p = 0; p < PARTITIONS; p++)
        add_row(f, p, MIB);
    add_row(f, 7, MIB); /* the rest of it is on another worker */
    cli_explain_judge(&f->explain);
    assert_int_equal(f->explain.n_rows, PARTITIONS);
    assert_int_equal(f->explain.rows[0].partition, 7);
    assert_int_equal(f->explain.rows[0].bytes, 2 * MIB);
    assert_int_equal(f->explain.rows[0].n_workers, 2);
    assert_int_equal(f->explain.bytes, 21 * MIB);
    assert_int_equal(f->explain.n_notes, 0);
    assert_false(f->explain.trouble);
    assert_non_null(strstr(print(f, false), "20 partitions, 21 MiB, "));
    assert_non_null(strstr(f->text, "the largest has 2 MiB, the median 1 MiB\n"));
    assert_non_null(strstr(f->text, "nothing stands out\n"));
    assert_non_null(strstr(print(f, true), "\"uid\": \"0000000000000abc\""));
    assert_non_null(strstr(f->text, "\"largest_bytes\": 2097152"));
}

static void test_a_partition_far_above_the_median_is_noted(void **state)
{
    struct fixture *f = *state;

    assert_non_null(add_worker(f, "w1", "alive", 3, 100));
    for (uint32_t p = 0; p < PARTITIONS; p++)
        add_row(f, p, p == 4 ? 10 * MIB : MIB);
    cli_explain_judge(&f->explain);
    assert_int_equal(f->explain.n_notes, 1);
    assert_non_null(strstr(f->explain.notes[0],
                           "skewed: partition 4 has 10.0 times the median and 34 % of all bytes"));
    assert_false(f->explain.trouble);
}

static void test_lost_silent_slow_and_broken_workers_are_noted(void **state)
{
    struct fixture *f = *state;
    struct cli_explain_holder *holder;

    holder = add_worker(f, "w1", "lost", 3, 60000);
    assert_true(holder->failed);
    assert_non_null(add_worker(f, "w2", "alive", 3, 9000));
    assert_non_null(add_worker(f, "broken", "alive", 3, 0));
    holder = add_worker(f, "w4", "alive", 3, 0);
    holder->answer_ms = 1500;
    cli_explain_judge(&f->explain);
    assert_true(f->explain.trouble);
    assert_int_equal(f->explain.n_notes, 4);
    assert_non_null(strstr(f->explain.notes[0], "worker w1 is lost, last heard "));
    assert_non_null(strstr(f->explain.notes[1], "worker w2 has not been heard for "));
    assert_non_null(strstr(f->explain.notes[2], "worker broken: disk /data/1 is out of service"));
    assert_non_null(strstr(f->explain.notes[3], "worker w4 is slow: it took 1.5 s"));
    assert_non_null(strstr(print(f, false), "note: worker w1 is lost"));
    assert_non_null(strstr(print(f, true), "\"answered\": false"));
}

static void test_a_shuffle_without_partitions_is_printed(void **state)
{
    struct fixture *f = *state;

    assert_non_null(add_worker(f, "w1", "alive", 3, 0));
    cli_explain_judge(&f->explain);
    assert_non_null(strstr(print(f, false), "0 partitions, 0 B, 0 B of it in memory"));
    assert_non_null(strstr(print(f, true), "\"partitions\": 0"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_partitions_are_summed_and_sorted_by_size),
        TEST(test_a_partition_far_above_the_median_is_noted),
        TEST(test_lost_silent_slow_and_broken_workers_are_noted),
        TEST(test_a_shuffle_without_partitions_is_printed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
