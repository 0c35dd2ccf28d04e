/* `config check` over files of both daemons, of neither, and with errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "conf_example.h"
#include "core/mem.h"

static char *said; /* what the last command printed */

/* Check a file with this text; what is printed is in `said`, with FILE for the file's name. */
static int check(const char *text, const char *as, bool json)
{
    char *path = text != NULL ? conf_example_file(text) : mem_strdup("/nonexistent.yaml");
    const char *operands[] = {"check", path};
    struct cli_args args = {.as = as, .json = json, .operands = operands, .n_operands = 2};
    char *printed;
    size_t len;

    FILE *out = open_memstream(&printed, &len);
    int saved = dup(STDERR_FILENO);
    close(STDERR_FILENO);
    int exit_code = cli_command_config.run(&args, out);
    dup2(saved, STDERR_FILENO);
    close(saved);
    fclose(out);
    mem_free(said);
    said = mem_strdup("");
    for (char *at = printed, *found; at != NULL; at = found != NULL ? found + strlen(path) : NULL) {
        found = strstr(at, path);
        int n = found != NULL ? (int)(found - at) : (int)strlen(at);
        char *longer = mem_printf("%s%.*s%s", said, n, at, found != NULL ? "FILE" : "");
        mem_free(said);
        said = longer;
    }
    free(printed);
    if (text != NULL)
        conf_example_remove(path);
    else
        mem_free(path);
    return exit_code;
}

static int fini(void **state)
{
    mem_free(said);
    said = NULL;
    return 0;
}

static void test_a_file_is_checked_as_that_of_the_daemon_whose_keys_it_has(void **state)
{
    assert_int_equal(check("ready_after: 5s\nlisten: {port: 1}\n", NULL, false), CLI_OK);
    assert_string_equal(said, "FILE: fine for overhand-master\n");
    assert_int_equal(check("disk: {reserve: 1GiB}\nlisten: {port: 1}\n", NULL, false), CLI_OK);
    assert_string_equal(said, "FILE: fine for overhand-worker\n");
    assert_int_equal(check("listen: {port: 1}\n", NULL, false), CLI_OK);
    assert_string_equal(said, "FILE: fine for overhand-master and overhand-worker\n");
    assert_int_equal(check("listen: {port: 1}\n", "worker", false), CLI_OK);
    assert_string_equal(said, "FILE: fine for overhand-worker\n");
}

static void test_every_error_is_said_with_its_line(void **state)
{
    assert_int_equal(
        check("shards: 2\ndisk:\n  resrve: 1GiB\n  backend: tape\nzone: a\n", NULL, false),
        CLI_PROBLEM);
    assert_string_equal(said,
                        "FILE:3: disk.resrve: unknown key; did you mean disk.reserve?\n"
                        "FILE:4: disk.backend: \"tape\" is not one of (auto|io_uring|threads)\n"
                        "FILE: 2 errors, read as overhand-worker\n");
    assert_int_equal(check("shards: 2\n", "master", false), CLI_PROBLEM);
    assert_non_null(strstr(said, "FILE:1: shards: unknown key"));
    assert_non_null(strstr(said, "FILE: 1 error, read as overhand-master\n"));
}

static void test_what_keys_must_satisfy_together_is_checked_too(void **state)
{
    assert_int_equal(check("shards: 4\nmemory: {limit: 16MiB}\n", NULL, false), CLI_PROBLEM);
    assert_non_null(strstr(said, "memory.limit must be at least 8MiB for each of the shards"));
    assert_int_equal(check("lease: {default: 2h}\n", NULL, false), CLI_OK);
    assert_string_equal(said, "FILE: fine for overhand-master\n");
    assert_int_equal(check("heartbeat: {interval: 20s}\nready_after: 1s\n", NULL, false),
                     CLI_PROBLEM);
    assert_non_null(strstr(said, "worker.lost_after must be at least twice"));
}

static void test_what_is_no_file_or_no_yaml_is_a_problem_of_whichever_daemon(void **state)
{
    assert_int_equal(check(NULL, NULL, false), CLI_PROBLEM);
    assert_non_null(strstr(said, "FILE: cannot open: "));
    assert_int_equal(check("'\n", NULL, false), CLI_PROBLEM);
    assert_non_null(strstr(said, "not valid YAML"));
    assert_non_null(strstr(said, "read as overhand-master and overhand-worker\n"));
}

static void test_who_is_meant_must_be_said_where_it_cannot_be_told(void **state)
{
    assert_int_equal(check("qqqqqqqqqqqqqqqq: 1\n", NULL, false), CLI_USAGE);
    assert_string_equal(said, "");
    assert_int_equal(check("qqqqqqqqqqqqqqqq: 1\n", "master", false), CLI_PROBLEM);
    assert_int_equal(check("listen: {port: 1}\n", "client", false), CLI_USAGE);
}

static void test_json_has_files_daemons_and_errors(void **state)
{
    assert_int_equal(check("shards: 2\nzone: a\nnope: 1\n", NULL, true), CLI_PROBLEM);
    json_t *json = json_loads(said, 0, NULL);
    json_t *file = json_array_get(json, 0);
    assert_string_equal(json_string_value(json_object_get(file, "file")), "FILE");
    assert_string_equal(json_string_value(json_array_get(json_object_get(file, "daemons"), 0)),
                        "overhand-worker");
    assert_int_equal(json_array_size(json_object_get(file, "errors")), 1);
    json_decref(json);
}

static void test_check_is_all_that_can_be_asked(void **state)
{
    const char *operands[] = {"chekc", "file"};
    struct cli_args args = {.operands = operands, .n_operands = 2};
    int saved = dup(STDERR_FILENO);

    close(STDERR_FILENO);
    assert_int_equal(cli_command_config.run(&args, stdout), CLI_USAGE);
    dup2(saved, STDERR_FILENO);
    close(saved);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_file_is_checked_as_that_of_the_daemon_whose_keys_it_has),
        cmocka_unit_test(test_every_error_is_said_with_its_line),
        cmocka_unit_test(test_what_keys_must_satisfy_together_is_checked_too),
        cmocka_unit_test(test_what_is_no_file_or_no_yaml_is_a_problem_of_whichever_daemon),
        cmocka_unit_test(test_who_is_meant_must_be_said_where_it_cannot_be_told),
        cmocka_unit_test(test_json_has_files_daemons_and_errors),
        cmocka_unit_test(test_check_is_all_that_can_be_asked),
    };

    return cmocka_run_group_tests(tests, NULL, fini);
}
