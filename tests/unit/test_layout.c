/* Layouts: what a master may send is decoded and used; everything else is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client/layout.h"
#include "core/limits.h"
#include "core/mem.h"

struct parts {
    Overhand__Wire__Layout layout;
    Overhand__Wire__Worker workers[2], *pointers[2];
    uint32_t slot_worker[3], slot_shard[3], slot_replica_worker[3], slot_replica_shard[3];
};

static void parts_init(struct parts *parts)
{
    overhand__wire__layout__init(&parts->layout);
    for (int i = 0; i < 2; i++) {
        overhand__wire__worker__init(&parts->workers[i]);
        parts->workers[i].id = i == 0 ? "w-0" : "w-1";
        parts->workers[i].host = "fd00::1%eth0";
        parts->workers[i].port = 9701;
        parts->workers[i].n_shards = 2;
        parts->pointers[i] = &parts->workers[i];
    }
    memcpy(parts->slot_worker, (uint32_t[]){0, 1, 0}, sizeof parts->slot_worker);
    memcpy(parts->slot_shard, (uint32_t[]){0, 1, 1}, sizeof parts->slot_shard);
    parts->layout.version = 1;
    parts->layout.app_uid = 7;
    parts->layout.n_partitions = 100;
    parts->layout.run_length = 4;
    parts->layout.workers = parts->pointers;
    parts->layout.n_workers = 2;
    parts->layout.slot_worker = parts->slot_worker;
    parts->layout.n_slot_worker = 3;
    parts->layout.slot_shard = parts->slot_shard;
    parts->layout.n_slot_shard = 3;
}

/* Give every slot a second copy. */
static void parts_replicate(struct parts *parts)
{
    memcpy(parts->slot_replica_worker, (uint32_t[]){1, 0, 1}, sizeof parts->slot_replica_worker);
    memcpy(parts->slot_replica_shard, (uint32_t[]){1, 0, 0}, sizeof parts->slot_replica_shard);
    parts->layout.slot_replica_worker = parts->slot_replica_worker;
    parts->layout.slot_replica_shard = parts->slot_replica_shard;
    parts->layout.n_slot_replica_worker = parts->layout.n_slot_replica_shard = 3;
}

static int parts_decode(const struct parts *parts, struct layout *layout)
{
    size_t len = overhand__wire__layout__get_packed_size(&parts->layout);
    uint8_t *bytes = mem_alloc(len);
    int rc;

    overhand__wire__layout__pack(&parts->layout, bytes);
    rc = layout_decode(layout, bytes, len);
    mem_free(bytes);
    return rc;
}

static void test_a_layout_tells_where_partitions_live(void **state)
{
    struct parts parts;
    struct layout layout;

    parts_init(&parts);
    assert_int_equal(parts_decode(&parts, &layout), 0);
    assert_int_equal(layout.app_uid, 7);
    assert_string_equal(layout.workers[1].id, "w-1");
    assert_int_equal(layout_slot(&layout, 0), 0);
    assert_int_equal(layout_slot(&layout, 3), 0);
    assert_int_equal(layout_slot(&layout, 4), 1);
    assert_int_equal(layout_slot(&layout, 12), 0);
    assert_int_equal(layout_slot(&layout, 99), 0);
    assert_null(layout.slot_replica_worker);
    layout_fini(&layout);
}

static void test_a_layout_with_second_copies_tells_where_they_are(void **state)
{
    struct parts parts;
    struct layout layout;

    parts_init(&parts);
    parts_replicate(&parts);
    assert_int_equal(parts_decode(&parts, &layout), 0);
    assert_int_equal(layout.slot_replica_worker[1], 0);
    assert_int_equal(layout.slot_replica_shard[0], 1);
    layout_fini(&layout);
}

static void refuse(const struct parts *parts)
{
    struct layout layout;

    assert_int_equal(parts_decode(parts, &layout), OVERHAND_E_INVALID);
}

#define REFUSED_WITH(change)                                                                       \
    do {                                                                                           \
        struct parts parts;                                                                        \
        parts_init(&parts);                                                                        \
        parts_replicate(&parts);                                                                   \
        change;                                                                                    \
        refuse(&parts);                                                                            \
    } while (0)

static void test_a_layout_with_any_field_out_of_range_is_refused(void **state)
{
    REFUSED_WITH(parts.layout.version = 2);
    REFUSED_WITH(parts.layout.app_uid = 0);
    REFUSED_WITH(parts.layout.n_partitions = 0);
    REFUSED_WITH(parts.layout.n_partitions = LIMIT_PARTITIONS + 1);
    REFUSED_WITH(parts.layout.run_length = 0);
    REFUSED_WITH(parts.layout.n_workers = 0);
    REFUSED_WITH(parts.layout.n_slot_worker = 0);
    REFUSED_WITH(parts.layout.n_slot_shard = 2);
    REFUSED_WITH(parts.slot_worker[1] = 2);
    REFUSED_WITH(parts.slot_shard[2] = 2);
    REFUSED_WITH(parts.workers[0].n_shards = LIMIT_SHARDS + 1);
    REFUSED_WITH(parts.workers[0].n_shards = 0);
    REFUSED_WITH(parts.workers[1].port = 0);
    REFUSED_WITH(parts.workers[1].port = 65536);
    REFUSED_WITH(parts.workers[1].id = "");
    REFUSED_WITH(parts.workers[1].id = "a/b");
    REFUSED_WITH(parts.workers[1].host = "a b");
    REFUSED_WITH(parts.layout.n_slot_replica_worker = 0);
    REFUSED_WITH(parts.layout.n_slot_replica_shard = 0);
    REFUSED_WITH(parts.layout.n_slot_replica_shard = parts.layout.n_slot_replica_worker = 2);
    REFUSED_WITH(parts.slot_replica_worker[1] = 2);
    REFUSED_WITH(parts.slot_replica_worker[1] = 1); /* where the first copy is */
    REFUSED_WITH(parts.slot_replica_shard[1] = 2);
}

static void test_bytes_that_are_cut_off_or_nonsense_are_refused(void **state)
{
    struct parts parts;
    struct layout layout;
    uint8_t bytes[512];
    size_t len;

    parts_init(&parts);
    parts_replicate(&parts);
    len = overhand__wire__layout__pack(&parts.layout, bytes);
    for (size_t cut = 0; cut < len; cut++) {
        int rc = layout_decode(&layout, bytes, cut);

        if (rc == 0) /* cut between fields, what is left is whole */
            layout_fini(&layout);
        else
            assert_int_equal(rc, OVERHAND_E_INVALID);
    }
    memset(bytes, 0xff, sizeof bytes);
    assert_int_equal(layout_decode(&layout, bytes, sizeof bytes), OVERHAND_E_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_layout_tells_where_partitions_live),
        cmocka_unit_test(test_a_layout_with_second_copies_tells_where_they_are),
        cmocka_unit_test(test_a_layout_with_any_field_out_of_range_is_refused),
        cmocka_unit_test(test_bytes_that_are_cut_off_or_nonsense_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
