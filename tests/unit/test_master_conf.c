/* The master's table: sound defaults, distinct names, a valid example file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "core/conf_internal.h"
#include "core/mem.h"
#include "master/master_conf.h"

static void test_defaults_are_valid(void **state)
{
    struct conf *conf = conf_new(&master_conf_table);
    struct master_conf values;

    assert_int_equal(conf_finish(conf, &values), 0);
    assert_int_equal(values.listen_port, 9700);
    assert_int_equal(values.log_level, OVERHAND_LOG_INFO);
    conf_target_fini(&master_conf_table, &values);
    conf_free(conf);
}

static void test_keys_and_their_variables_are_distinct(void **state)
{
    const struct conf_table *table = &master_conf_table;

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

/* Finish with two keys set. Returns what conf_finish said. */
static int finish_with(const char *name, const char *value)
{
    struct conf *conf = conf_new(&master_conf_table);
    struct master_conf values;

    assert_int_equal(conf_set(conf, name, value, "test"), 0);
    int rc = conf_finish(conf, &values);
    if (rc == 0)
        conf_target_fini(&master_conf_table, &values);
    conf_free(conf);
    return rc;
}

static void test_times_must_fit_each_other(void **state)
{
    assert_int_equal(finish_with("worker.lost_after", "3s"), OVERHAND_E_CONFIG);
    assert_int_equal(finish_with("worker.lost_after", "4s"), 0);
    assert_int_equal(finish_with("heartbeat.interval", "8s"), OVERHAND_E_CONFIG);
    assert_int_equal(finish_with("worker.forget_after", "14s"), OVERHAND_E_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_are_valid),
        cmocka_unit_test(test_keys_and_their_variables_are_distinct),
        cmocka_unit_test(test_times_must_fit_each_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
