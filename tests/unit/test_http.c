/* The HTTP server: the loop runs on a thread of its own, the test is the client. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <string.h>

#include "core/mem.h"
#include "http/http_inside.h"
#include "http_client.h"
#include "net/loop_uv.h"

enum { PATIENCE_MS = 300, CLIENTS = 8 };

struct fixture {
    struct loop *loop;
    struct http_server *server;
    pthread_t thread;
    bool running;
    uint16_t port;
    sem_t started; /* posted for each gathering of /slow */
    atomic_uint n_started;
    struct http_answer *slow; /* the loop's */
    uint64_t started_ms[2];   /* of the last two gatherings of /count */
    unsigned n_counted;
    unsigned n_posted; /* as last seen */
    sem_t done;        /* a task of fixture_do has run */
};

/* Something to be done on the loop, and waited for. */
struct errand {
    struct loop_task task;
    struct fixture *fixture;
    void (*run)(struct fixture *f);
};

static void errand_on_loop(struct loop_task *task)
{
    struct errand *errand = container_of(task, struct errand, task);

    errand->run(errand->fixture);
    sem_post(&errand->fixture->done);
}

static void fixture_do(struct fixture *f, void (*run)(struct fixture *f))
{
    struct errand errand = {.fixture = f, .run = run};

    loop_task_init(&errand.task, errand_on_loop);
    loop_post(f->loop, &errand.task);
    sem_wait(&f->done);
}

static void fixture_look(struct fixture *f)
{
    pthread_mutex_lock(&f->server->gate);
    f->n_posted = f->server->n_posted;
    pthread_mutex_unlock(&f->server->gate);
}

/* ---- pages ---- */

static void page_hello(struct http_answer *answer)
{
    http_answer_finish_line(answer, 200, "hello");
}

static void page_rest(struct http_answer *answer)
{
    uint64_t limit = 7;
    bool given = http_answer_number(answer, "limit", &limit);
    char *text =
        mem_printf("%s %d %llu", http_answer_rest(answer), given, (unsigned long long)limit);

    http_answer_finish(answer, 200, "application/json", text, strlen(text));
}

static void page_slow(struct http_answer *answer)
{
    struct fixture *f = http_answer_owner(answer);

    f->slow = answer;
    atomic_fetch_add(&f->n_started, 1);
    sem_post(&f->started);
}

static void page_count(struct http_answer *answer)
{
    struct fixture *f = http_answer_owner(answer);

    f->started_ms[f->n_counted++ % 2] = loop_now_ms(f->loop);
    http_answer_finish_line(answer, 200, "counted");
}

static const struct http_page pages[] = {
    {"/", page_hello},
    {"/below/", page_rest},
    {"/slow", page_slow},
    {"/count", page_count},
};

/* ---- the fixture ---- */

static void *fixture_run(void *arg)
{
    struct fixture *f = arg;

    loop_uv_run(f->loop);
    return NULL;
}

static void fixture_begin(struct fixture *f)
{
    f->running = pthread_create(&f->thread, NULL, fixture_run, f) == 0;
    assert_true(f->running);
    fixture_do(f, fixture_look); /* the loop turns */
}

static struct http_options fixture_options(struct fixture *f)
{
    return (struct http_options){.loop = f->loop,
                                 .listen = {.host = "127.0.0.1"},
                                 .pages = pages,
                                 .n_pages = sizeof pages / sizeof pages[0],
                                 .patience_ms = PATIENCE_MS,
                                 .owner = f};
}

static int setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);
    struct http_options options;

    assert_int_equal(loop_uv_new(&f->loop), 0);
    sem_init(&f->started, 0, 0);
    sem_init(&f->done, 0, 0);
    options = fixture_options(f);
    assert_int_equal(http_server_open(&options, &f->server), 0);
    f->port = http_server_port(f->server);
    *state = f;
    return 0;
}

static void fixture_on_closed(void *arg)
{
    struct fixture *f = arg;

    f->server = NULL;
    loop_uv_stop(f->loop);
}

static void fixture_close(struct fixture *f)
{
    http_server_close(f->server, fixture_on_closed, f);
}

/* The server was told to close: wait until it has. */
static void fixture_end(struct fixture *f)
{
    pthread_join(f->thread, NULL);
    f->running = false;
    assert_null(f->server);
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    if (f->server != NULL) {
        if (!f->running)
            fixture_begin(f);
        fixture_do(f, fixture_close);
    }
    if (f->running)
        pthread_join(f->thread, NULL);
    assert_null(f->server);
    loop_uv_free(f->loop);
    mem_free(f);
    return 0;
}

static void assert_reply(struct http_reply *reply, unsigned code, const char *body)
{
    assert_int_equal(reply->code, code);
    assert_string_equal(reply->body, body);
    http_reply_fini(reply);
}

static void assert_gets(struct fixture *f, const char *target, unsigned code, const char *body)
{
    struct http_reply reply;

    http_client_get(f->port, target, &reply);
    assert_reply(&reply, code, body);
}

/* ---- one request ---- */

static void test_a_page_is_served_by_get_and_head(void **state)
{
    struct fixture *f = *state;
    struct http_reply reply;
    int fd;

    fixture_begin(f);
    http_client_get(f->port, "/", &reply);
    assert_non_null(strstr(reply.text, "Content-Type: text/plain; charset=utf-8\r\n"));
    assert_non_null(strstr(reply.text, "Cache-Control: no-store\r\n"));
    assert_reply(&reply, 200, "hello\n");

    fd = http_client_connect(f->port);
    http_client_send(fd, "HEAD", "/", "");
    http_client_reply(fd, &reply);
    assert_non_null(strstr(reply.text, "Content-Length: 6\r\n"));
    assert_reply(&reply, 200, "");
}

static void test_paths_below_a_page_are_its_own_and_others_are_not_found(void **state)
{
    struct fixture *f = *state;

    fixture_begin(f);
    assert_gets(f, "/below/a/b", 200, "a/b 0 7");
    assert_gets(f, "/below/", 200, " 0 7");
    assert_gets(f, "/below", 404, "there is no such page\n");
    assert_gets(f, "/other", 404, "there is no such page\n");
    assert_gets(f, "/slower", 404, "there is no such page\n");
}

static void test_a_query_gives_numbers_by_name(void **state)
{
    struct fixture *f = *state;

    fixture_begin(f);
    assert_gets(f, "/below/?limit=12", 200, " 1 12");
    assert_gets(f, "/below/x?first=3&limit=5&", 200, "x 1 5");
    assert_gets(f, "/below/?limit=many", 200, " 0 7");
    assert_gets(f, "/below/?limits=3", 200, " 0 7");
    assert_gets(f, "/below/?", 200, " 0 7");
}

static void assert_refused(struct fixture *f, const char *method, const char *lines, unsigned code,
                           const char *words)
{
    struct http_reply reply;
    int fd = http_client_connect(f->port);

    http_client_send(fd, method, "/", lines);
    http_client_reply(fd, &reply);
    assert_int_equal(reply.code, code);
    assert_non_null(strstr(reply.text, words));
    http_reply_fini(&reply);
}

static void test_other_methods_and_bodies_are_refused(void **state)
{
    struct fixture *f = *state;

    fixture_begin(f);
    assert_refused(f, "POST", "Content-Length: 0\r\n", 405, "Allow: GET, HEAD\r\n");
    assert_refused(f, "DELETE", "", 405, "only GET and HEAD");
    assert_refused(f, "GET", "Content-Length: 5\r\n\r\nhello", 413, "must not have a body");
    assert_refused(f, "GET", "Transfer-Encoding: chunked\r\n", 413, "must not have a body");
    assert_gets(f, "/", 200, "hello\n");
}

static void test_long_targets_and_headers_are_refused(void **state)
{
    struct fixture *f = *state;
    char *target = mem_alloc(HTTP_CONNECTION_BYTES + 2);
    struct http_reply reply;
    char *line;

    fixture_begin(f);
    memset(target, 'x', HTTP_CONNECTION_BYTES + 1);
    target[0] = '/';
    target[HTTP_TARGET_BYTES + 1] = '\0';
    http_client_get(f->port, target, &reply);
    assert_reply(&reply, 414, "the target is too long\n");

    target[HTTP_TARGET_BYTES + 1] = 'x';
    target[HTTP_CONNECTION_BYTES + 1] = '\0';
    line = mem_printf("X-Long: %s\r\n", target);
    int fd = http_client_connect(f->port);
    http_client_send(fd, "GET", "/", line);
    http_client_reply(fd, &reply);
    assert_true(reply.code == 0 || reply.code == 413 || reply.code == 431);
    http_reply_fini(&reply);
    mem_free(line);
    mem_free(target);
    assert_gets(f, "/", 200, "hello\n");
}

static void test_before_the_loop_turns_the_answer_is_that_it_starts(void **state)
{
    struct fixture *f = *state;

    assert_gets(f, "/", 503, "starting\n");
    fixture_begin(f);
    assert_gets(f, "/", 200, "hello\n");
}

/* ---- gatherings ---- */

static void fixture_await_posted(struct fixture *f, unsigned n)
{
    do {
        sched_yield();
        fixture_do(f, fixture_look);
    } while (f->n_posted < n);
}

static void fixture_finish_slow(struct fixture *f)
{
    http_answer_finish_line(f->slow, 200, "slow");
}

static void test_who_comes_while_a_page_is_gathered_gets_that_result(void **state)
{
    struct fixture *f = *state;
    struct http_reply reply;
    int fds[CLIENTS];

    fixture_begin(f);
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = http_client_connect(f->port);
        http_client_send(fds[i], "GET", "/slow", "");
    }
    sem_wait(&f->started);
    fixture_await_posted(f, CLIENTS);
    fixture_do(f, fixture_finish_slow);
    for (int i = 0; i < CLIENTS; i++) {
        http_client_reply(fds[i], &reply);
        assert_reply(&reply, 200, "slow\n");
    }
    assert_int_equal(atomic_load(&f->n_started), 1);
}

static void test_between_two_gatherings_lies_a_pause(void **state)
{
    struct fixture *f = *state;

    fixture_begin(f);
    for (int i = 0; i < 4; i++) {
        assert_gets(f, "/count", 200, "counted\n");
        if (i > 0)
            assert_true(f->started_ms[i % 2] - f->started_ms[(i + 1) % 2] >= HTTP_PAUSE_MS);
    }
    assert_int_equal(f->n_counted, 4);
}

static void test_a_gathering_that_takes_too_long_is_told_and_goes_on(void **state)
{
    struct fixture *f = *state;
    struct http_reply reply;
    int fd;

    fixture_begin(f);
    assert_gets(f, "/slow", 504, "not all loops have answered in time\n");
    assert_gets(f, "/slow", 504, "not all loops have answered in time\n");
    fd = http_client_connect(f->port);
    http_client_send(fd, "GET", "/slow", "");
    fixture_await_posted(f, 1);
    fixture_do(f, fixture_finish_slow);
    http_client_reply(fd, &reply);
    assert_reply(&reply, 200, "slow\n");
    assert_int_equal(atomic_load(&f->n_started), 1);
}

static void test_only_so_many_targets_are_gathered_at_a_time(void **state)
{
    struct fixture *f = *state;
    struct http_reply reply;
    char target[32];
    int fds[HTTP_ANSWERS_MAX];

    fixture_begin(f);
    for (int i = 0; i < HTTP_ANSWERS_MAX; i++) {
        snprintf(target, sizeof target, "/below/%d", i);
        fds[i] = http_client_connect(f->port);
        http_client_send(fds[i], "GET", target, "");
        http_client_reply(fds[i], &reply);
        if (reply.code == 503)
            assert_string_equal(reply.body, "too many different pages are asked for\n");
        else
            assert_int_equal(reply.code, 200);
        http_reply_fini(&reply);
    }
    while (true) { /* after their pauses there is room again */
        unsigned code;

        http_client_get(f->port, "/below/last", &reply);
        code = reply.code;
        http_reply_fini(&reply);
        if (code == 200)
            break;
        assert_int_equal(code, 503);
    }
}

/* ---- opening and closing ---- */

static void test_closing_answers_who_waits_and_lets_the_gathering_end(void **state)
{
    struct fixture *f = *state;
    struct http_reply reply;
    int fd;

    fixture_begin(f);
    fd = http_client_connect(f->port);
    http_client_send(fd, "GET", "/slow", "");
    sem_wait(&f->started);
    fixture_do(f, fixture_close);
    http_client_reply(fd, &reply);
    assert_reply(&reply, 503, "ending\n");
    assert_gets(f, "/", 503, "ending\n");
    assert_non_null(f->server);
    fixture_do(f, fixture_finish_slow);
    fixture_end(f);
}

static unsigned count_files(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned n = 0;

    assert_non_null(dir);
    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    return n;
}

static void test_a_port_that_is_taken_is_refused_and_nothing_stays_open(void **state)
{
    struct fixture *f = *state;
    struct http_options options = fixture_options(f);
    struct http_server *other;
    unsigned n_files = count_files();

    options.listen.port = f->port;
    assert_int_equal(http_server_open(&options, &other), OVERHAND_E_EXISTS);
    snprintf(options.listen.host, sizeof options.listen.host, "192.0.2.1");
    assert_int_equal(http_server_open(&options, &other), OVERHAND_E_CONNECT);
    assert_int_equal(count_files(), n_files);
}

static void test_closing_leaves_no_descriptor_and_no_port(void **state)
{
    struct fixture *f = *state;
    struct http_options options = fixture_options(f);
    unsigned n_files = count_files();

    fixture_begin(f);
    assert_gets(f, "/", 200, "hello\n");
    fixture_do(f, fixture_close);
    fixture_end(f);
    assert_true(count_files() < n_files);
    options.listen.port = f->port;
    assert_int_equal(http_server_open(&options, &f->server), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_page_is_served_by_get_and_head, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_paths_below_a_page_are_its_own_and_others_are_not_found, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_query_gives_numbers_by_name, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_methods_and_bodies_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_targets_and_headers_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_before_the_loop_turns_the_answer_is_that_it_starts,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_comes_while_a_page_is_gathered_gets_that_result,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_between_two_gatherings_lies_a_pause, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_gathering_that_takes_too_long_is_told_and_goes_on,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_only_so_many_targets_are_gathered_at_a_time, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_closing_answers_who_waits_and_lets_the_gathering_end,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_port_that_is_taken_is_refused_and_nothing_stays_open,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_closing_leaves_no_descriptor_and_no_port, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
