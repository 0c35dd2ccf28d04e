/* The cluster's sums, and what counts as a problem. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli_status.h"

/* What is printed. Owns: the caller, free. */
static char *print_status(const struct cli_status *status, bool json)
{
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    cli_status_print(status, json, out);
    fclose(out);
    return text;
}

/* Add a worker in a state, with one disk. */
static void add_worker(struct cli_status *status, char *worker_state, bool disk_failed)
{
    Overhand__Wire__Worker worker = OVERHAND__WIRE__WORKER__INIT;
    Overhand__Wire__Disk disk = OVERHAND__WIRE__DISK__INIT, *disks[] = {&disk};
    Overhand__Wire__Heartbeat last = OVERHAND__WIRE__HEARTBEAT__INIT;
    Overhand__Wire__WorkerRow row = OVERHAND__WIRE__WORKER_ROW__INIT, *rows[] = {&row};
    Overhand__Wire__ListReply reply = OVERHAND__WIRE__LIST_REPLY__INIT;

    worker.id = "w-1";
    disk.path = "/disk1";
    disk.total_bytes = 100 << 20;
    disk.free_bytes = 60 << 20;
    disk.failed = disk_failed;
    last.disks = disks;
    last.n_disks = 1;
    last.memory_bytes = 10 << 20;
    last.memory_used = 1 << 20;
    row.worker = &worker;
    row.last = &last;
    row.state = worker_state;
    row.heard_ms_ago = 40000;
    reply.workers = rows;
    reply.n_workers = 1;
    cli_status_add(status, &reply);
}

static void test_a_healthy_cluster_has_no_problems(void **state)
{
    struct cli_status status;

    cli_status_init(&status);
    status.n_masters = status.n_masters_answering = 1;
    add_worker(&status, "alive", false);
    add_worker(&status, "draining", false);
    cli_status_judge(&status);
    assert_int_equal(status.n_problems, 0);
    assert_int_equal(status.n_alive, 1);
    assert_int_equal(status.n_draining, 1);
    assert_int_equal(status.memory_bytes, 20 << 20);
    assert_int_equal(status.disk_free_bytes, 120 << 20);
    char *text = print_status(&status, false);
    assert_non_null(strstr(text, "workers       1 alive, 1 draining, 0 lost\n"));
    assert_non_null(strstr(text, "memory        2 MiB of 20 MiB in use\n"));
    assert_non_null(strstr(text, "no problems\n"));
    free(text);
    cli_status_fini(&status);
}

static void test_lost_workers_and_failed_disks_are_problems(void **state)
{
    struct cli_status status;

    cli_status_init(&status);
    add_worker(&status, "lost", false);
    add_worker(&status, "alive", true);
    cli_status_judge(&status);
    assert_int_equal(status.n_problems, 2);
    assert_int_equal(status.n_lost, 1);
    assert_int_equal(status.disk_total_bytes, 0);
    char *text = print_status(&status, false);
    assert_non_null(strstr(text, "problem: worker w-1 is lost, last heard 40 s ago\n"));
    assert_non_null(strstr(text, "problem: worker w-1: disk /disk1 is out of service\n"));
    assert_null(strstr(text, "no problems"));
    free(text);
    cli_status_fini(&status);
}

static void test_nobody_who_takes_data_is_a_problem(void **state)
{
    struct cli_status status;

    cli_status_init(&status);
    add_worker(&status, "draining", false);
    cli_status_judge(&status);
    assert_int_equal(status.n_problems, 1);
    char *text = print_status(&status, true);
    json_t *json = json_loads(text, 0, NULL);
    assert_int_equal(json_array_size(json_object_get(json, "problems")), 1);
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(json, "workers"), "draining")), 1);
    json_decref(json);
    free(text);
    cli_status_fini(&status);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_healthy_cluster_has_no_problems),
        cmocka_unit_test(test_lost_workers_and_failed_disks_are_problems),
        cmocka_unit_test(test_nobody_who_takes_data_is_a_problem),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
