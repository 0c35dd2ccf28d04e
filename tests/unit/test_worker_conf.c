/* The worker's table: sound defaults, distinct names, a valid example file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "core/conf_internal.h"
#include "core/mem.h"
#include "worker/worker_conf.h"

static void test_defaults_are_valid(void **state)
{
    struct conf *conf = conf_new(&worker_conf_table);
    struct worker_conf values;

    assert_int_equal(conf_finish(conf, &values), 0);
    assert_int_equal(values.listen_port, 9701);
    assert_int_equal(values.log_level, OVERHAND_LOG_INFO);
    conf_target_fini(&worker_conf_table, &values);
    conf_free(conf);
}

static void test_keys_and_their_variables_are_distinct(void **state)
{
    const struct conf_table *table = &worker_conf_table;

    for (unsigned i = 0; i < table->n_keys; i++) {
        char *variable = conf_variable(table, &table->keys[i]);
        for (unsigned j = 0; j < i; j++) {
            char *other = conf_variable(table, &table->keys[j]);
            assert_string_not_equal(variable, other);
            mem_free(other);
            assert_int_not_equal(table->keys[i].offset, table->keys[j].offset);
        }
        assert_true(table->keys[i].offset < table->target_bytes);
        assert_true(strlen(table->keys[i].help) > 0);
        assert_true((table->keys[i].initial != NULL) != (table->keys[i].derive != NULL));
        mem_free(variable);
    }
}

/* Finish with keys set, pairs (name, value) up to NULL. Returns what conf_finish said. */
static int finish_with(struct worker_conf *values, const char *name, ...)
{
    struct conf *conf = conf_new(&worker_conf_table);
    va_list args;

    va_start(args, name);
    for (; name != NULL; name = va_arg(args, const char *))
        assert_int_equal(conf_set(conf, name, va_arg(args, const char *), "test"), 0);
    va_end(args);
    int rc = conf_finish(conf, values);
    conf_free(conf);
    return rc;
}

static void test_the_advertised_host_follows_a_specific_listening_one(void **state)
{
    struct worker_conf values;

    assert_int_equal(finish_with(&values, "listen.host", "127.0.0.1", NULL), 0);
    assert_string_equal(values.advertise_host, "127.0.0.1");
    assert_int_equal(values.advertise_port, 0);
    conf_target_fini(&worker_conf_table, &values);
    assert_int_equal(finish_with(&values, "listen.host", "::", NULL), 0);
    assert_string_not_equal(values.advertise_host, "::");
    conf_target_fini(&worker_conf_table, &values);
    assert_int_equal(
        finish_with(&values, "listen.host", "::1", "advertise.host", "w.example", NULL), 0);
    assert_string_equal(values.advertise_host, "w.example");
    conf_target_fini(&worker_conf_table, &values);
}

static void test_every_shard_needs_some_memory(void **state)
{
    struct worker_conf values;

    assert_int_equal(finish_with(&values, "shards", "4", "memory.limit", "31MiB", NULL),
                     OVERHAND_E_CONFIG);
    assert_int_equal(finish_with(&values, "shards", "4", "memory.limit", "32MiB", NULL), 0);
    conf_target_fini(&worker_conf_table, &values);
}

static void test_the_longest_lease_is_not_below_the_default(void **state)
{
    struct worker_conf values;

    assert_int_equal(finish_with(&values, "lease.max", "60s", NULL), OVERHAND_E_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_are_valid),
        cmocka_unit_test(test_keys_and_their_variables_are_distinct),
        cmocka_unit_test(test_the_advertised_host_follows_a_specific_listening_one),
        cmocka_unit_test(test_every_shard_needs_some_memory),
        cmocka_unit_test(test_the_longest_lease_is_not_below_the_default),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
