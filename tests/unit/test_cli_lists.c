/* How workers, applications and shuffles are shown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli_lists.h"
#include "show/show.h"

typedef void (*print_cb)(const Overhand__Wire__ListReply *reply, bool json, FILE *out);

/* What is printed. Owns: the caller, free. */
static char *print_list(print_cb print, const Overhand__Wire__ListReply *reply, bool json)
{
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    print(reply, json, out);
    fclose(out);
    return text;
}

/* Two workers: one full of everything, one of which nothing is known but its row. */
struct fixture {
    Overhand__Wire__Worker worker;
    Overhand__Wire__Disk disks[2], *disk_list[2];
    Overhand__Wire__HeldShuffle held, *held_list[1];
    Overhand__Wire__Heartbeat last;
    Overhand__Wire__WorkerRow rows[2], *row_list[2];
    Overhand__Wire__ListReply reply;
};

static void fixture_init(struct fixture *f)
{
    overhand__wire__worker__init(&f->worker);
    f->worker.id = "w-0";
    f->worker.host = "host";
    f->worker.port = 9701;
    f->worker.n_shards = 4;
    f->worker.incarnation = 0xabc;
    for (int i = 0; i < 2; i++) {
        overhand__wire__disk__init(&f->disks[i]);
        f->disks[i].path = i == 0 ? "/a" : "/b";
        f->disks[i].total_bytes = 10ull << 30;
        f->disks[i].free_bytes = 4ull << 30;
        f->disk_list[i] = &f->disks[i];
    }
    f->disks[1].failed = true;
    overhand__wire__held_shuffle__init(&f->held);
    f->held.bytes = 3 << 20;
    f->held_list[0] = &f->held;
    overhand__wire__heartbeat__init(&f->last);
    f->last.memory_used = 1 << 20;
    f->last.memory_bytes = 8 << 20;
    f->last.disks = f->disk_list;
    f->last.n_disks = 2;
    f->last.held = f->held_list;
    f->last.n_held = 1;
    for (int i = 0; i < 2; i++) {
        overhand__wire__worker_row__init(&f->rows[i]);
        f->row_list[i] = &f->rows[i];
    }
    f->rows[0].worker = &f->worker;
    f->rows[0].last = &f->last;
    f->rows[0].state = "alive";
    f->rows[0].heard_ms_ago = 1500;
    overhand__wire__list_reply__init(&f->reply);
    f->reply.workers = f->row_list;
    f->reply.n_workers = 2;
}

static void test_a_worker_is_summed_over_its_disks_in_service(void **state)
{
    struct show_worker_sums sums;
    struct fixture f;

    fixture_init(&f);
    show_sum_worker(&f.rows[0], &sums);
    assert_int_equal(sums.n_disks, 2);
    assert_int_equal(sums.n_failed_disks, 1);
    assert_true(sums.disk_free_bytes == 4ull << 30);
    assert_int_equal(sums.held_bytes, 3 << 20);
    show_sum_worker(&f.rows[1], &sums);
    assert_int_equal(sums.n_disks, 0);
}

static void test_workers_are_shown_even_when_half_is_missing(void **state)
{
    struct fixture f;

    fixture_init(&f);
    char *text = print_list(cli_workers_print, &f.reply, false);
    assert_non_null(strstr(text, "w-0  alive  host:9701  -"));
    assert_non_null(strstr(text, "1/2"));
    assert_non_null(strstr(text, "1.5 s ago\n"));
    free(text);
}

static void test_workers_as_json_parse_and_have_every_field(void **state)
{
    struct fixture f;

    fixture_init(&f);
    char *text = print_list(cli_workers_print, &f.reply, true);
    json_t *json = json_loads(text, 0, NULL);
    assert_int_equal(json_array_size(json), 2);
    json_t *worker = json_array_get(json, 0);
    assert_string_equal(json_string_value(json_object_get(worker, "id")), "w-0");
    assert_string_equal(json_string_value(json_object_get(worker, "incarnation")),
                        "0000000000000abc");
    assert_int_equal(json_integer_value(json_object_get(worker, "held_bytes")), 3 << 20);
    assert_int_equal(json_array_size(json_object_get(worker, "disks")), 2);
    json_decref(json);
    free(text);
}

static void test_apps_and_shuffles_are_shown_in_both_forms(void **state)
{
    Overhand__Wire__AppRow app = OVERHAND__WIRE__APP_ROW__INIT, *apps[] = {&app};
    Overhand__Wire__ShuffleRow shuffle = OVERHAND__WIRE__SHUFFLE_ROW__INIT,
                               *shuffles[] = {&shuffle};
    Overhand__Wire__ListReply reply = OVERHAND__WIRE__LIST_REPLY__INIT;
    const print_cb prints[] = {cli_apps_print, cli_shuffles_print};

    app.app_id = shuffle.app_id = "app-1";
    app.app_uid = shuffle.app_uid = 0x1234;
    app.bytes = shuffle.bytes = 2048;
    reply.apps = apps;
    reply.shuffles = shuffles;
    reply.n_apps = reply.n_shuffles = 1;
    for (int i = 0; i < 2; i++) {
        char *text = print_list(prints[i], &reply, false);
        assert_non_null(strstr(text, "app-1  0000000000001234"));
        assert_non_null(strstr(text, "2 KiB"));
        free(text);
        text = print_list(prints[i], &reply, true);
        json_t *json = json_loads(text, 0, NULL);
        json_t *row = json_array_get(json, 0);
        assert_string_equal(json_string_value(json_object_get(row, "uid")), "0000000000001234");
        assert_int_equal(json_integer_value(json_object_get(row, "bytes")), 2048);
        json_decref(json);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_worker_is_summed_over_its_disks_in_service),
        cmocka_unit_test(test_workers_are_shown_even_when_half_is_missing),
        cmocka_unit_test(test_workers_as_json_parse_and_have_every_field),
        cmocka_unit_test(test_apps_and_shuffles_are_shown_in_both_forms),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
