/* Draining among real processes, by the command line and by SIGTERM: a worker leaves with its disk in the
 * middle of writing or reading, no attempt fails and every row comes once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "cluster.h"
#include "core/mem.h"
#include "temp_dir.h"

enum { N_PARTITIONS = 8, N_ROWS = 400, N_MAPS = 3 };

static int setup(void **state)
{
    *state = mem_zalloc(sizeof(struct cluster));
    return 0;
}

static int teardown(void **state)
{
    cluster_fini(*state);
    mem_free(*state);
    return 0;
}

static void start_all(struct cluster *c, unsigned n_workers, bool drain_at_end)
{
    cluster_init(c, n_workers);
    c->drain_at_end = drain_at_end;
    for (unsigned i = 0; i < n_workers; i++)
        cluster_start_worker(c, i);
    cluster_open(c, N_PARTITIONS);
}

static void write_maps(struct cluster *c, uint32_t first, uint32_t end)
{
    for (uint32_t map = first; map < end; map++)
        if (cluster_write(c, map, N_ROWS) != 0)
            fail_msg("map %u: %s", map, c->error);
}

static void read_maps(struct cluster *c, uint32_t end)
{
    if (cluster_read(c, 0, end) != OVERHAND_END)
        fail_msg("%s", c->error);
}

/* Run the command line tool. Returns: its exit code; what it said, on both streams, in `text`. */
static int run(const struct cluster *c, const char *const *words, char *text, size_t size)
{
    char *masters = mem_printf("--masters=%s", c->masters);
    const char *args[8] = {masters};
    struct daemon_process process;
    size_t len;

    for (unsigned i = 0; words[i] != NULL; i++)
        args[i + 1] = words[i];
    daemon_process_start(&process, "overhand", args, NULL);
    len = fread(text, 1, size - 1, process.out);
    text[len] = '\0';
    mem_free(masters);
    return daemon_process_end(&process, 0);
}

/* Until `words` are in what a command says. */
static void await_words(const struct cluster *c, const char *const *command, const char *words)
{
    char text[8192];

    do
        assert_int_equal(run(c, command, text, sizeof text), 0);
    while (strstr(text, words) == NULL);
}

/* The worker ends without warning, and its disk with it. */
static void lose_worker(struct cluster *c, unsigned worker)
{
    assert_int_equal(cluster_end_worker(c, worker, SIGKILL), 128 + SIGKILL);
    temp_dir_remove_content(c->workers[worker].data);
}

static void test_a_drained_worker_may_be_lost_with_its_disk(void **state)
{
    static const char *const drain[] = {"drain", "w0", "--watch", NULL};
    static const char *const workers[] = {"workers", NULL};
    struct cluster *c = *state;
    char text[8192];

    start_all(c, 3, false);
    write_maps(c, 0, 2);
    if (run(c, drain, text, sizeof text) != 0 || strstr(text, "drained") == NULL)
        fail_msg("%s", text);
    await_words(c, workers, "drained");
    write_maps(c, 2, 3); /* by the same layout: elsewhere */
    assert_non_null(strstr(c->exceptions[2], "w"));
    read_maps(c, 3); /* it still serves */
    lose_worker(c, 0);
    read_maps(c, 3);
    write_maps(c, 3, 4);
    read_maps(c, 4);
}

static void test_one_after_the_other_may_leave_and_the_last_one_has_it_all(void **state)
{
    struct cluster *c = *state;

    start_all(c, 3, true);
    write_maps(c, 0, 2);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(cluster_end_worker(c, i, SIGTERM), 0);
        temp_dir_remove_content(c->workers[i].data);
        read_maps(c, 2 + i);
        write_maps(c, 2 + i, 3 + i);
    }
    read_maps(c, 4);
}

static void test_a_worker_that_leaves_in_the_middle_of_writing_costs_no_attempt(void **state)
{
    struct cluster *c = *state;

    start_all(c, 3, true);
    write_maps(c, 0, 1);
    c->kill.worker = 1;
    c->kill.signal = SIGTERM;
    c->kill.after = N_ROWS * N_PARTITIONS / 2;
    write_maps(c, 1, 3);
    assert_int_equal(c->workers[1].process.pid, 0);
    temp_dir_remove_content(c->workers[1].data);
    read_maps(c, 3);
}

static void test_a_worker_that_leaves_in_the_middle_of_reading_costs_nothing(void **state)
{
    struct cluster *c = *state;

    start_all(c, 3, true);
    write_maps(c, 0, N_MAPS);
    c->window_bytes = 256 << 10;
    c->kill.worker = 2;
    c->kill.signal = SIGTERM;
    c->kill.after = 3;
    read_maps(c, N_MAPS);
    assert_int_equal(c->workers[2].process.pid, 0);
}

static void test_a_drain_with_nowhere_to_go_is_refused(void **state)
{
    static const char *const drain[] = {"drain", "w0", "--watch", NULL};
    static const char *const stay[] = {"drain", "w0", "--no-move", NULL};
    static const char *const undrain[] = {"undrain", "w0", NULL};
    static const char *const nobody[] = {"drain", "w7", NULL};
    static const char *const workers[] = {"workers", NULL};
    struct cluster *c = *state;
    char text[8192];

    start_all(c, 1, false);
    write_maps(c, 0, 1);
    assert_int_equal(run(c, drain, text, sizeof text), 1);
    assert_non_null(strstr(text, "no other worker takes data"));
    assert_int_equal(run(c, nobody, text, sizeof text), 1);
    assert_non_null(strstr(text, "no worker w7"));
    write_maps(c, 1, 2); /* it was not told */
    assert_int_equal(run(c, stay, text, sizeof text), 0);
    await_words(c, workers, "draining");
    assert_true(cluster_write(c, 2, N_ROWS) != 0);
    assert_int_equal(run(c, undrain, text, sizeof text), 0);
    await_words(c, workers, "alive");
    write_maps(c, 2, 3);
    read_maps(c, 3);
}

static void test_a_drained_worker_comes_back_drained_and_is_undrained(void **state)
{
    static const char *const drain[] = {"drain", "w0", "--watch", NULL};
    static const char *const undrain[] = {"undrain", "w0", NULL};
    static const char *const workers[] = {"workers", NULL};
    struct cluster *c = *state;
    char text[8192];

    start_all(c, 2, false);
    write_maps(c, 0, 1);
    assert_int_equal(run(c, drain, text, sizeof text), 0);
    assert_int_equal(cluster_end_worker(c, 0, SIGTERM), 0);
    cluster_start_worker(c, 0);
    await_words(c, workers, "drained");
    read_maps(c, 1);
    assert_int_equal(run(c, undrain, text, sizeof text), 0);
    do /* writers avoid it until its masters know */
        assert_int_equal(run(c, workers, text, sizeof text), 0);
    while (strstr(text, "drained") != NULL);
    write_maps(c, 1, 2);
    assert_string_equal(c->exceptions[1], "");
    read_maps(c, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_a_drained_worker_may_be_lost_with_its_disk),
        TEST(test_one_after_the_other_may_leave_and_the_last_one_has_it_all),
        TEST(test_a_worker_that_leaves_in_the_middle_of_writing_costs_no_attempt),
        TEST(test_a_worker_that_leaves_in_the_middle_of_reading_costs_nothing),
        TEST(test_a_drain_with_nowhere_to_go_is_refused),
        TEST(test_a_drained_worker_comes_back_drained_and_is_undrained),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
