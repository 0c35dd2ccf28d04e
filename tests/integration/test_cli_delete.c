/* `overhand delete` against workers that hold a shuffle: gone is gone, and computed again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cluster.h"
#include "core/mem.h"

#define SHUFFLE "1" /* the cluster registers one */

enum { PARTITIONS = 4, ROWS = 64, OUTPUT_BYTES = 4096 };

struct fixture {
    struct cluster cluster;
    char out[OUTPUT_BYTES]; /* what the last command printed */
};

static int fixture_setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);

    cluster_init(&f->cluster, 2);
    for (unsigned i = 0; i < 2; i++)
        cluster_start_worker(&f->cluster, i);
    cluster_open(&f->cluster, PARTITIONS);
    assert_int_equal(cluster_write(&f->cluster, 0, ROWS), 0);
    assert_int_equal(cluster_read(&f->cluster, 0, 1), OVERHAND_END);
    *state = f;
    return 0;
}

static int fixture_teardown(void **state)
{
    struct fixture *f = *state;

    cluster_fini(&f->cluster);
    mem_free(f);
    return 0;
}

/* `overhand delete APP [SHUFFLE]`; what it complains about goes nowhere. */
static int run_delete(struct fixture *f, const char *app, const char *shuffle, bool json)
{
    const char *operands[] = {app, shuffle};
    struct cli_args args = {.masters = f->cluster.masters,
                            .json = json,
                            .operands = operands,
                            .n_operands = shuffle != NULL ? 2 : 1};
    FILE *out = fmemopen(f->out, sizeof f->out, "w");
    int saved = dup(STDERR_FILENO), nowhere = open("/dev/null", O_WRONLY);

    memset(f->out, 0, sizeof f->out);
    dup2(nowhere, STDERR_FILENO);
    close(nowhere);
    int exit_code = cli_command_delete.run(&args, out);
    dup2(saved, STDERR_FILENO);
    close(saved);
    fclose(out);
    return exit_code;
}

static void test_a_deleted_shuffle_cannot_be_read_and_can_be_written_again(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(run_delete(f, "app-of-a-test", "9", false), CLI_PROBLEM);
    assert_non_null(strstr(f->out, "0 B deleted at 0 workers\n"));
    assert_int_equal(cluster_read(&f->cluster, 0, 1), OVERHAND_END);
    assert_int_equal(run_delete(f, "app-of-a-test", SHUFFLE, false), CLI_OK);
    assert_non_null(strstr(f->out, "w0"));
    assert_non_null(strstr(f->out, "w1"));
    assert_non_null(strstr(f->out, "deleted at 2 workers\n"));
    assert_int_equal(cluster_read(&f->cluster, 0, 1), OVERHAND_E_LOST);
    assert_int_equal(cluster_write(&f->cluster, 1, ROWS), 0);
    assert_int_equal(cluster_read(&f->cluster, 1, 2), OVERHAND_END);
}

static void test_an_application_is_deleted_by_its_uid_and_its_workers_refuse_more(void **state)
{
    struct fixture *f = *state;
    char uid[17];

    snprintf(uid, sizeof uid, "%016llx", (unsigned long long)f->cluster.app_uid);
    assert_int_equal(run_delete(f, uid, NULL, true), CLI_OK);
    json_t *json = json_loads(f->out, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(json, "uid")), uid);
    assert_true(json_is_null(json_object_get(json, "shuffle")));
    assert_int_equal(json_array_size(json_object_get(json, "workers")), 2);
    assert_true(json_integer_value(json_object_get(json, "bytes")) > 0);
    json_decref(json);
    assert_int_equal(run_delete(f, uid, NULL, false), CLI_PROBLEM);
    assert_int_not_equal(cluster_write(&f->cluster, 1, ROWS), 0);
}

static void test_a_worker_that_cannot_be_told_keeps_no_other_from_it(void **state)
{
    struct fixture *f = *state;

    assert_int_not_equal(cluster_end_worker(&f->cluster, 0, SIGKILL), 0);
    assert_int_equal(run_delete(f, "app-of-a-test", SHUFFLE, false), CLI_PROBLEM);
    assert_non_null(strstr(f->out, "deleted at 1 worker\n"));
}

static void test_what_is_not_there_and_what_is_no_number_is_refused(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(run_delete(f, "nobody", NULL, false), CLI_PROBLEM);
    assert_int_equal(run_delete(f, "app-of-a-test", "all", false), CLI_USAGE);
    assert_int_equal(run_delete(f, "app-of-a-test", "4294967296", false), CLI_USAGE);
    assert_int_equal(cluster_read(&f->cluster, 0, 1), OVERHAND_END);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        TEST(test_a_deleted_shuffle_cannot_be_read_and_can_be_written_again),
        TEST(test_an_application_is_deleted_by_its_uid_and_its_workers_refuse_more),
        TEST(test_a_worker_that_cannot_be_told_keeps_no_other_from_it),
        TEST(test_what_is_not_there_and_what_is_no_number_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
