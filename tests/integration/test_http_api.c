/* The JSON of real daemons: as docs/openapi.yaml describes it, and true. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "cluster.h"
#include "core/mem.h"
#include "http_client.h"

enum { PARTITIONS = 40, ROWS = 3, MAPS = 2 };

static int setup(void **state)
{
    struct cluster *c = mem_zalloc(sizeof *c);

    cluster_init(c, 2);
    cluster_start_worker(c, 0);
    cluster_start_worker(c, 1);
    cluster_open(c, PARTITIONS);
    for (uint32_t map = 0; map < MAPS; map++)
        assert_int_equal(cluster_write(c, map, ROWS), 0);
    *state = c;
    return 0;
}

static int teardown(void **state)
{
    cluster_fini(*state);
    mem_free(*state);
    return 0;
}

/* Ask, with the application's uid in place of "%s". Owns: the caller, json_decref. */
static json_t *get(const struct cluster *c, uint16_t port, const char *path, unsigned code)
{
    char *uid = mem_printf("%016llx", (unsigned long long)c->app_uid);
    const char *at = strstr(path, "%s");
    char *target = at == NULL ? mem_strdup(path)
                              : mem_printf("%.*s%s%s", (int)(at - path), path, uid, at + 2);
    struct http_reply reply;
    json_t *json;

    http_client_get(port, target, &reply);
    assert_int_equal(reply.code, code);
    json = json_loads(reply.body, 0, NULL);
    assert_non_null(json);
    http_reply_fini(&reply);
    mem_free(target);
    mem_free(uid);
    return json;
}

static json_int_t number(json_t *json, const char *name)
{
    assert_true(json_is_integer(json_object_get(json, name)));
    return json_integer_value(json_object_get(json, name));
}

/* Wait until the master has heard of all that was written. Returns: the bytes of the shuffle. */
static json_int_t await_heard(const struct cluster *c)
{
    json_int_t written = 0, heard = -1;

    for (unsigned i = 0; i < c->n_workers; i++) {
        json_t *json = get(c, c->workers[i].http_port, "/api/v1/shuffles", 200);

        written += number(json_array_get(json_object_get(json, "shuffles"), 0), "bytes");
        json_decref(json);
    }
    while (heard != written) {
        json_t *json = get(c, c->http_port, "/api/v1/cluster", 200);

        heard = number(json, "held_bytes");
        json_decref(json);
    }
    return written;
}

static void test_every_path_answers_as_openapi_describes_it(void **state)
{
    struct cluster *c = *state;
    char *command;

    (void)await_heard(c);
    json_t *rows = get(c, c->workers[0].http_port, "/api/v1/shuffles/%s/1/partitions?limit=1", 200);
    json_t *first = json_array_get(json_object_get(rows, "partitions"), 0);
    command = mem_printf("%s/http/openapi.py %u %u id=w0 uid=%016llx shuffle=1 partition=%lld",
                         TESTS_DIR, c->http_port, c->workers[0].http_port,
                         (unsigned long long)c->app_uid, (long long)number(first, "partition"));
    json_decref(rows);
    assert_int_equal(system(command), 0); // NOLINT(cert-env33-c): our own words
    mem_free(command);
}

static void test_the_largest_partitions_are_summed_over_all_workers(void **state)
{
    struct cluster *c = *state;
    json_int_t bytes = await_heard(c), sum = 0;
    json_t *json = get(c, c->http_port, "/api/v1/shuffles/%s/1/partitions?limit=1000", 200);
    json_t *largest = json_object_get(json, "largest");

    assert_int_equal(number(json, "partitions"), PARTITIONS);
    assert_int_equal(number(json, "bytes"), bytes);
    assert_int_equal(json_array_size(largest), PARTITIONS);
    for (size_t i = 0; i < PARTITIONS; i++) {
        json_int_t row = number(json_array_get(largest, i), "bytes");

        assert_true(i == 0 || row <= number(json_array_get(largest, i - 1), "bytes"));
        sum += row;
    }
    assert_int_equal(sum, bytes);
    assert_int_equal(number(json, "largest_bytes"), number(json_array_get(largest, 0), "bytes"));
    assert_int_equal(json_array_size(json_object_get(json, "unreachable")), 0);
    json_decref(json);

    json = get(c, c->http_port, "/api/v1/shuffles/%s/1/partitions?limit=3", 200);
    assert_int_equal(json_array_size(json_object_get(json, "largest")), 3);
    json_decref(json);
}

static void test_a_worker_that_does_not_answer_is_named_and_the_others_are_shown(void **state)
{
    struct cluster *c = *state;
    json_t *json, *unreachable;

    (void)await_heard(c);
    daemon_process_freeze(&c->workers[1].process);
    json = get(c, c->http_port, "/api/v1/shuffles/%s/1/partitions", 200);
    unreachable = json_object_get(json, "unreachable");
    assert_int_equal(json_array_size(unreachable), 1);
    assert_string_equal(json_string_value(json_array_get(unreachable, 0)), "w1");
    assert_true(number(json, "partitions") > 0);
    assert_true(number(json, "partitions") < PARTITIONS);
    json_decref(json);
    assert_int_equal(kill(c->workers[1].process.pid, SIGCONT), 0);
}

static void test_a_master_that_ends_while_it_asks_workers_ends_well(void **state)
{
    struct cluster *c = *state;
    struct http_reply reply;
    char *target =
        mem_printf("/api/v1/shuffles/%016llx/1/partitions", (unsigned long long)c->app_uid);
    int fd;

    (void)await_heard(c);
    daemon_process_freeze(&c->workers[1].process);
    fd = http_client_connect(c->http_port);
    http_client_send(fd, "GET", target, "");
    assert_int_equal(daemon_process_end(&c->master, SIGTERM), 0);
    http_client_reply(fd, &reply); /* refused, or the end of the connection */
    assert_int_not_equal(reply.code, 200);
    http_reply_fini(&reply);
    mem_free(target);
    assert_int_equal(kill(c->workers[1].process.pid, SIGCONT), 0);
}

static void test_lists_are_cut_and_say_so(void **state)
{
    struct cluster *c = *state;
    json_t *json;

    (void)await_heard(c);
    json = get(c, c->http_port, "/api/v1/workers?limit=1", 200);
    assert_int_equal(json_array_size(json_object_get(json, "workers")), 1);
    assert_true(json_is_true(json_object_get(json, "more")));
    json_decref(json);
    json = get(c, c->workers[0].http_port, "/api/v1/shuffles/%s/1/partitions?first=1&limit=2", 200);
    assert_int_equal(json_array_size(json_object_get(json, "partitions")), 2);
    assert_true(json_is_true(json_object_get(json, "more")));
    json_decref(json);
}

static void test_a_worker_that_drains_is_shown_so(void **state)
{
    struct cluster *c = *state;
    const char *args[] = {"drain", "w1", "--no-move", "--masters", c->masters, NULL};
    struct daemon_process drain;
    json_t *json;

    daemon_process_start(&drain, "overhand", args, NULL);
    assert_int_equal(daemon_process_end(&drain, 0), 0);
    json = get(c, c->workers[1].http_port, "/api/v1/worker", 200);
    assert_true(json_is_true(json_object_get(json, "draining")));
    json_decref(json);
}

static void test_lost_workers_are_a_problem_and_shown_as_lost(void **state)
{
    struct cluster *c = *state;
    json_t *json, *problems;
    const char *problem;

    assert_int_equal(cluster_end_worker(c, 1, SIGKILL), 128 + SIGKILL);
    do {
        json = get(c, c->http_port, "/api/v1/cluster", 200);
        problems = json_object_get(json, "problems");
        problem = json_string_value(json_array_get(problems, 0));
        if (problem != NULL)
            assert_non_null(strstr(problem, "worker w1 is lost"));
        json_decref(json);
    } while (problem == NULL);
    json = get(c, c->http_port, "/api/v1/workers/w1", 200);
    assert_string_equal(json_string_value(json_object_get(json, "state")), "lost");
    json_decref(json);
}

static void test_names_that_cannot_be_read_and_strangers_are_told_apart(void **state)
{
    static const struct {
        const char *path;
        unsigned code;
    } cases[] = {
        {"/api/v1/shuffles/xyz/1", 400},   {"/api/v1/shuffles/%s", 400},
        {"/api/v1/shuffles/%s/x", 400},    {"/api/v1/shuffles/%s/99999999999", 400},
        {"/api/v1/shuffles/%s/7", 404},    {"/api/v1/shuffles/%s/1/nothing", 404},
        {"/api/v1/apps/%sx", 400},         {"/api/v1/apps/0000000000000001", 404},
        {"/api/v1/workers/somebody", 404},
    };
    struct cluster *c = *state;

    (void)await_heard(c);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *json = get(c, c->http_port, cases[i].path, cases[i].code);

        assert_true(json_is_string(json_object_get(json, "error")));
        json_decref(json);
    }
    json_decref(get(c, c->workers[0].http_port, "/api/v1/shuffles/%s/1/partitions/16000000", 404));
    json_decref(get(c, c->workers[0].http_port, "/api/v1/shuffles/%s/1/partitions/x", 404));
    json_decref(get(c, c->workers[0].http_port, "/api/v1/shuffles/%s/1", 404));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_every_path_answers_as_openapi_describes_it),
        TEST(test_the_largest_partitions_are_summed_over_all_workers),
        TEST(test_a_worker_that_does_not_answer_is_named_and_the_others_are_shown),
        TEST(test_a_master_that_ends_while_it_asks_workers_ends_well),
        TEST(test_lists_are_cut_and_say_so),
        TEST(test_a_worker_that_drains_is_shown_so),
        TEST(test_lost_workers_are_a_problem_and_shown_as_lost),
        TEST(test_names_that_cannot_be_read_and_strangers_are_told_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
