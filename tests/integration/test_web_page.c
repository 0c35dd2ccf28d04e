/* The web page in a real browser: what it shows of a real cluster, and that it asks nobody else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "cluster.h"
#include "core/mem.h"
#include "http_client.h"
#include "temp_dir.h"

enum { PARTITIONS = 24, ROWS = 3, DOM_BYTES = 1 << 20 };

#define HOSTILE_NAME "<b id=evil>&\"app\"</b>"

static int setup(void **state)
{
    struct cluster *c = mem_zalloc(sizeof *c);

    cluster_init(c, 2);
    cluster_start_worker(c, 0);
    cluster_start_worker(c, 1);
    cluster_open(c, PARTITIONS);
    assert_int_equal(cluster_write(c, 0, ROWS), 0);
    *state = c;
    return 0;
}

static int teardown(void **state)
{
    cluster_fini(*state);
    mem_free(*state);
    return 0;
}

/* Has the master's list of shuffles ours, as both workers told it? */
static bool cluster_is_heard(const struct cluster *c)
{
    struct http_reply reply;
    bool heard;

    http_client_get(c->http_port, "/api/v1/shuffles", &reply);
    heard = strstr(reply.body, "\"workers\":2") != NULL;
    http_reply_fini(&reply);
    return heard;
}

/* Open the page in a browser until it has shown one answer. Returns: the document as it is then, and
 * behind it what the browser's console said. Owns: the caller, mem_free. */
static char *browse(const struct cluster *c, const char *fragment)
{
    char *profile = temp_dir_make();
    char *command = mem_printf("chromium --headless --no-sandbox --disable-gpu --user-data-dir=%s "
                               "--enable-logging=stderr --virtual-time-budget=4000 --dump-dom "
                               "'http://127.0.0.1:%u/%s' 2>%s/log; grep CONSOLE %s/log",
                               profile, c->http_port, fragment, profile, profile);
    FILE *browser = popen(command, "r"); // NOLINT(cert-env33-c): our own words
    char *text = mem_alloc(DOM_BYTES);
    size_t len;

    assert_non_null(browser);
    len = fread(text, 1, DOM_BYTES - 1, browser);
    text[len] = '\0';
    pclose(browser);
    assert_null(strstr(text, "CONSOLE")); /* no error, nothing the page's policy forbids */
    assert_non_null(strstr(text, "data-polled=\"yes\""));
    mem_free(command);
    temp_dir_remove(profile);
    return text;
}

static void assert_shows(const char *document, const char *words)
{
    if (strstr(document, words) == NULL)
        fail_msg("the page does not show: %s", words);
}

static void test_the_page_shows_workers_disks_applications_and_shuffles(void **state)
{
    struct cluster *c = *state;
    char *document;

    while (!cluster_is_heard(c))
        ;
    document = browse(c, "");
    assert_shows(document, ">ready</span>");
    assert_shows(document, "Workers alive<b>2</b>");
    assert_shows(document, "<td>w0</td><td><span class=\"good\">alive</span>");
    assert_shows(document, c->workers[1].data);
    assert_shows(document, ">app-of-a-test</td>");
    assert_shows(document, "aria-label=\"Largest partitions of shuffle 1 of app-of-a-test\"");
    assert_shows(document, "<section aria-labelledby=\"h-partitions\" id=\"partitions\" hidden");
    mem_free(document);
}

static void test_the_address_of_a_shuffle_shows_its_largest_partitions(void **state)
{
    struct cluster *c = *state;
    char *fragment = mem_printf("#%016llx/1", (unsigned long long)c->app_uid);
    char *document;

    while (!cluster_is_heard(c))
        ;
    document = browse(c, fragment);
    assert_shows(document, ">Largest partitions of shuffle 1 of app-of-a-test</h2>");
    assert_shows(document, ">24 partitions with data, ");
    assert_shows(document, " times the median</p>");
    assert_shows(document, "<span class=\"bar\" style=\"width: 100%;\">");
    mem_free(document);
    mem_free(fragment);
}

static void test_a_lost_worker_is_a_problem_on_the_page(void **state)
{
    struct cluster *c = *state;
    char *document;

    while (!cluster_is_heard(c))
        ;
    assert_int_equal(cluster_end_worker(c, 1, SIGKILL), 128 + SIGKILL);
    while (cluster_is_heard(c))
        ;
    document = browse(c, "");
    assert_shows(document, "<li>worker w1 is lost, last heard ");
    assert_shows(document, "<span class=\"bad\">lost</span>");
    mem_free(document);
}

static void test_names_of_applications_are_text_and_never_markup(void **state)
{
    struct cluster *c = *state;
    struct overhand_client_options options = cluster_client_options(c);
    struct overhand_client *client;
    char *document;

    options.app_id = HOSTILE_NAME;
    options.app_uid = overhand_app_uid_new();
    assert_int_equal(overhand_client_open(&options, &client), 0);
    assert_int_equal(overhand_app_open(client, 10000), 0);
    document = browse(c, "");
    assert_shows(document, "&lt;b id=evil&gt;&amp;\"app\"&lt;/b&gt;");
    assert_null(strstr(document, "<b id="));
    mem_free(document);
    overhand_client_close(client);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_page_shows_workers_disks_applications_and_shuffles),
        TEST(test_the_address_of_a_shuffle_shows_its_largest_partitions),
        TEST(test_a_lost_worker_is_a_problem_on_the_page),
        TEST(test_names_of_applications_are_text_and_never_markup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
