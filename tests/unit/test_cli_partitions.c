/* The list of partitions: rows, where they lie, pages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "cli/cli_partitions.h"

/* What is printed. Owns: the caller, free. */
static char *print_partitions(const struct cli_partitions *list, bool json)
{
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    cli_partitions_print(list, json, out);
    fclose(out);
    return text;
}

static Overhand__Wire__PartitionRow row_make(uint64_t bytes, uint64_t memory_bytes, char *file)
{
    Overhand__Wire__PartitionRow row = OVERHAND__WIRE__PARTITION_ROW__INIT;

    row.app_uid = 0xab;
    row.shuffle_id = 3;
    row.partition = 17;
    row.bytes = bytes;
    row.memory_bytes = memory_bytes;
    row.file = file;
    return row;
}

static void test_rows_say_where_their_bytes_lie(void **state)
{
    Overhand__Wire__PartitionRow rows[] = {row_make(2048, 2048, ""), row_make(2048, 0, "/d/f.ovh"),
                                           row_make(2048, 1024, "/d/g.ovh")};
    const char *const places[] = {"memory", "disk", "memory+disk"};
    struct cli_partitions list;

    cli_partitions_init(&list);
    for (int i = 0; i < 3; i++)
        cli_partitions_add(&list, "w-0", i == 0 ? "app-1" : "", &rows[i]);
    char *text = print_partitions(&list, false);
    assert_non_null(strstr(text, "app-1"));
    assert_non_null(strstr(text, "00000000000000ab")); /* the uid where no name is known */
    assert_non_null(strstr(text, "memory       -\n"));
    assert_non_null(strstr(text, "disk         /d/f.ovh\n"));
    assert_non_null(strstr(text, "memory+disk  /d/g.ovh\n"));
    assert_non_null(strstr(text, "\n3 partitions, 6 KiB\n"));
    free(text);
    text = print_partitions(&list, true);
    json_t *json = json_loads(text, 0, NULL);
    assert_int_equal(json_array_size(json), 3);
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(json_string_value(json_object_get(json_array_get(json, i), "where")),
                            places[i]);
    json_decref(json);
    free(text);
    cli_partitions_fini(&list);
}

static void test_a_full_page_is_used_up_to_its_last_partition(void **state)
{
    Overhand__Wire__PartitionRow rows[4], *list[4];
    Overhand__Wire__ListReply reply = OVERHAND__WIRE__LIST_REPLY__INIT;
    const uint32_t partitions[] = {5, 6, 7, 7};
    uint32_t next = 0;

    for (int i = 0; i < 4; i++) {
        rows[i] = row_make(1, 1, "");
        rows[i].partition = partitions[i];
        list[i] = &rows[i];
    }
    reply.partitions = list;
    reply.n_partitions = 4;
    assert_int_equal(cli_partitions_whole(&reply, &next), 4);
    assert_int_equal(next, 0);
    reply.more = true;
    assert_int_equal(cli_partitions_whole(&reply, &next), 2);
    assert_int_equal(next, 7);
    reply.partitions = list + 2;
    reply.n_partitions = 2;
    assert_int_equal(cli_partitions_whole(&reply, &next), 0);
    reply.n_partitions = 0;
    assert_int_equal(cli_partitions_whole(&reply, &next), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_say_where_their_bytes_lie),
        cmocka_unit_test(test_a_full_page_is_used_up_to_its_last_partition),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
