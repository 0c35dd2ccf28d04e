/* Rates between heartbeats, the order of workers, what fits a screen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "cli/cli_top.h"
#include "core/mem.h"

enum { WORKERS = 3, MIB = 1 << 20 };

struct fixture {
    struct cli_top top;
    Overhand__Wire__Worker workers[WORKERS];
    Overhand__Wire__Heartbeat last[WORKERS];
    Overhand__Wire__WorkerRow rows[WORKERS], *row_list[WORKERS];
    Overhand__Wire__ShuffleRow shuffle, *shuffle_list[1];
    Overhand__Wire__ListReply list, shuffles;
    char ids[WORKERS][16];
    char *text; /* owned: what was printed last */
};

static int setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);

    cli_top_init(&f->top);
    overhand__wire__list_reply__init(&f->list);
    overhand__wire__list_reply__init(&f->shuffles);
    f->list.workers = f->row_list;
    f->list.n_workers = WORKERS;
    for (int i = 0; i < WORKERS; i++) {
        snprintf(f->ids[i], sizeof f->ids[i], "w%d", i);
        overhand__wire__worker__init(&f->workers[i]);
        overhand__wire__heartbeat__init(&f->last[i]);
        overhand__wire__worker_row__init(&f->rows[i]);
        f->workers[i].id = f->ids[i];
        f->workers[i].incarnation = 1;
        f->rows[i].worker = &f->workers[i];
        f->rows[i].last = &f->last[i];
        f->rows[i].state = (char *)"alive";
        f->row_list[i] = &f->rows[i];
    }
    overhand__wire__shuffle_row__init(&f->shuffle);
    f->shuffle.app_id = (char *)"app-1";
    f->shuffle.bytes = MIB;
    f->shuffle_list[0] = &f->shuffle;
    f->shuffles.shuffles = f->shuffle_list;
    f->shuffles.n_shuffles = 1;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    cli_top_fini(&f->top);
    mem_free(f->text);
    mem_free(f);
    return 0;
}

static void heartbeat(struct fixture *f, int i, uint64_t pushed_bytes, uint64_t read_bytes)
{
    f->last[i].sequence++;
    f->last[i].pushed_bytes = pushed_bytes;
    f->last[i].read_bytes = read_bytes;
}

static const char *print(struct fixture *f, unsigned lines)
{
    size_t len;
    FILE *out;

    mem_free(f->text);
    out = open_memstream(&f->text, &len);
    cli_top_print(&f->top, &f->list, &f->shuffles, lines, out);
    fclose(out);
    return f->text;
}

static void test_rates_are_those_between_two_heartbeats(void **state)
{
    struct fixture *f = *state;

    heartbeat(f, 0, 10 * MIB, 0);
    cli_top_add(&f->top, &f->list, 1000);
    assert_true(f->top.workers[0].pushed_per_s == 0);
    heartbeat(f, 0, 30 * MIB, MIB);
    f->rows[0].heard_ms_ago = 500; /* it came at 3000 - 500 */
    cli_top_add(&f->top, &f->list, 3000);
    assert_true(f->top.workers[0].pushed_per_s == 20.0 * MIB / 1.5);
    assert_true(f->top.workers[0].read_per_s == MIB / 1.5);
    cli_top_add(&f->top, &f->list, 4000); /* nothing new: as before */
    assert_true(f->top.workers[0].pushed_per_s == 20.0 * MIB / 1.5);
}

static void test_a_restarted_worker_begins_anew(void **state)
{
    struct fixture *f = *state;

    heartbeat(f, 0, 10 * MIB, 0);
    cli_top_add(&f->top, &f->list, 1000);
    f->workers[0].incarnation = 2;
    heartbeat(f, 0, 20 * MIB, 0);
    cli_top_add(&f->top, &f->list, 2000);
    assert_true(f->top.workers[0].pushed_per_s == 0);
}

static void test_the_busiest_worker_comes_first(void **state)
{
    struct fixture *f = *state;

    cli_top_add(&f->top, &f->list, 1000);
    heartbeat(f, 1, 0, 2 * MIB);
    heartbeat(f, 2, 5 * MIB, 0);
    cli_top_add(&f->top, &f->list, 2000);
    print(f, 0);
    assert_true(strstr(f->text, "\nw2 ") < strstr(f->text, "\nw1 "));
    assert_true(strstr(f->text, "\nw1 ") < strstr(f->text, "\nw0 "));
    assert_non_null(strstr(f->text, "3 of 3 workers alive"));
    assert_non_null(strstr(f->text, "pushed 5 MiB/s, read 2 MiB/s\n"));
    assert_non_null(strstr(f->text, "\napp-1 "));
}

static void test_what_does_not_fit_the_screen_is_counted(void **state)
{
    struct fixture *f = *state;

    cli_top_add(&f->top, &f->list, 1000);
    print(f, 10);
    assert_non_null(strstr(f->text, "\nw0 "));
    assert_null(strstr(f->text, "\nw2 "));
    assert_non_null(strstr(f->text, "and 1 more\n"));
    print(f, 1);
    assert_non_null(strstr(f->text, "and 2 more\n"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_rates_are_those_between_two_heartbeats),
        TEST(test_a_restarted_worker_begins_anew),
        TEST(test_the_busiest_worker_comes_first),
        TEST(test_what_does_not_fit_the_screen_is_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
