/* Every operation of a store's disk fails once, and for ever, with every error, in one scenario that
 * appends, flushes, reads, deletes, seals, closes and recovers. Whatever fails: no crash, no leak (the
 * fixture counts memory, ASan the rest), reads give exactly what was appended or an explicit error,
 * and a store that says it is sealed has everything after a restart.
 *
 * Elsewhere: test_store_end.c fails each operation of a seal, test_flush.c each write and open with two
 * directories, test_partition_read.c each open and read of a read, test_partition_file_scan.c each read
 * of a scan, test_data_file.c closes and unlinks, test_disk_uring.c short and interrupted transfers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/log.h"
#include "store_fixture.h"
#include "sweep.h"

enum { DELETED_SHUFFLE = 4, KEPT_SHUFFLE = 3 };

/* What is pushed, and how it comes to be written. */
struct shape {
    uint32_t n_partitions; /* every second one is of the shuffle that is deleted */
    uint64_t flush_bytes, run_bytes;
    unsigned payloads[3]; /* of a round's blocks */
};

static const struct shape shapes[] = {
    {6, 32 << 10, 16 << 10, {3000, 9000, 500}}, /* a file for each */
    {20, 16 << 10, 32 << 10, {400, 900, 100}},  /* packs */
};
enum { N_SHAPES = sizeof shapes / sizeof shapes[0] };

static const struct shape *shape;

static const int errors[] = {OVERHAND_E_IO, OVERHAND_E_NO_SPACE, OVERHAND_E_NO_MEMORY};
enum { N_ERRORS = sizeof errors / sizeof errors[0] };

static struct store_fixture fixture;

static struct block_home home_of(uint32_t shuffle, uint32_t partition)
{
    return (struct block_home){7, shuffle, partition};
}

static void begin(unsigned n_dirs)
{
    int rc = store_fixture_init(&fixture, DISK_FIXTURE_SIM, n_dirs, 1);

    ASSERT(rc == 0);
    fixture.options.flush_bytes = shape->flush_bytes;
    fixture.options.run_bytes = shape->run_bytes;
    fixture.options.open_files = 2; /* files are closed and opened again all the time */
    store_fixture_open(&fixture);
}

/* Appends are taken or refused by a name. */
static void push_round(unsigned payload)
{
    for (uint32_t i = 0; i < shape->n_partitions; i++) {
        struct block_home home = home_of(i % 2 == 0 ? KEPT_SHUFFLE : DELETED_SHUFFLE, i);
        int rc = store_fixture_push(&fixture, &home, i, 2, payload);

        ASSERT(rc == 0 || rc == OVERHAND_E_IO || rc == OVERHAND_E_NO_SPACE ||
               rc == OVERHAND_E_BUSY);
    }
    store_fixture_settle(&fixture);
}

/* store_fixture_read asserts that every byte that comes is right. */
static void read_round(bool must)
{
    for (uint32_t i = 0; i < shape->n_partitions; i += 2) {
        struct block_home home = home_of(KEPT_SHUFFLE, i);
        int rc = store_fixture_read(&fixture, &home, NULL, 20000);

        if (must && store_fixture_model(&fixture, &home)->n_blocks > 0)
            ASSERT(rc == 0);
        ASSERT(rc <= 0);
    }
}

/* Delete one of the two shuffles; its files go, or stay until somebody else wants the name. */
static void unregister(void)
{
    store_unregister(fixture.store, 7, DELETED_SHUFFLE, 0);
    for (uint32_t i = 1; i < shape->n_partitions; i += 2) {
        struct block_home home = home_of(DELETED_SHUFFLE, i);

        store_fixture_forget(store_fixture_model(&fixture, &home));
        ASSERT(store_hold_partition(fixture.store, &home) == NULL);
    }
    store_fixture_settle(&fixture);
}

/* Of each kept partition, a beginning is there: cut the model to it. */
static void cut_models(void)
{
    for (uint32_t i = 0; i < shape->n_partitions; i += 2) {
        struct block_home home = home_of(KEPT_SHUFFLE, i);
        struct model *model = store_fixture_model(&fixture, &home);
        struct partition *partition = store_hold_partition(fixture.store, &home);
        uint64_t len = partition == NULL ? 0 : partition_bytes(partition);

        if (partition != NULL)
            partition_drop(partition);
        ASSERT(len <= model->len);
        while (model->len > len)
            model->len -= model->blocks[--model->n_blocks].len;
        ASSERT(model->len == len);
    }
}

static void scenario(void)
{
    push_round(shape->payloads[0]);
    read_round(false);
    push_round(shape->payloads[1]);
    unregister();
    push_round(shape->payloads[2]);
    read_round(false);
}

struct sweep_kind {
    int kind;
    unsigned n_dirs;
};

static bool run_kind(const struct sweep_point *point, void *arg)
{
    const struct sweep_kind *what = arg;
    struct sim_disk *sim = &fixture.disk.sim;
    int status;

    begin(what->n_dirs);
    sim_disk_add_fault(sim, (struct sim_disk_fault){.kind = what->kind,
                                                    .skip = point->nth,
                                                    .status = point->status,
                                                    .forever = point->forever});
    scenario();
    status = store_fixture_seal(&fixture);
    ASSERT(status <= 0);
    read_round(false);
    store_fixture_close(&fixture);
    bool reached = sim->n_started[what->kind] > point->nth;

    sim_disk_heal(sim);
    store_fixture_open(&fixture);
    if (status != 0)
        cut_models(); /* the worker takes a new incarnation: nobody takes its acks for kept */
    read_round(status == 0);
    store_fixture_fini(&fixture);
    return reached;
}

static void test_each_operation_of_a_store_may_fail_once_or_for_ever(void **state)
{
    static const int kinds[] = {DISK_OPEN, DISK_WRITE, DISK_READ,
                                DISK_SYNC, DISK_CLOSE, DISK_UNLINK};

    for (unsigned i = 0; i < N_SHAPES * 2 * sizeof kinds / sizeof kinds[0]; i++) {
        struct sweep_kind what = {kinds[i / N_SHAPES / 2], 1 + i / N_SHAPES % 2};

        shape = &shapes[i % N_SHAPES];
        print_message("kind %d, %u directories, %u partitions: %u points\n", what.kind, what.n_dirs,
                      shape->n_partitions, sweep_run(run_kind, &what, errors, N_ERRORS));
    }
}

/* A start whose nth look at the disk fails says so, or counts the file it left alone; what it does
 * serve is right. */
static bool run_recovery(const struct sweep_point *point, void *arg)
{
    struct sim_disk *sim = &fixture.disk.sim;
    unsigned n_before;
    bool reached;
    int rc;

    (void)arg;
    begin(2);
    scenario();
    rc = store_fixture_seal(&fixture);
    ASSERT(rc == 0);
    store_fixture_close(&fixture);

    n_before = sim->n_looks;
    sim_disk_fail_look(sim, point->nth, point->status, point->forever);
    fixture.store = store_new(&fixture.options);
    rc = store_recover(fixture.store, 1);
    reached = sim->n_looks - n_before > point->nth;
    ASSERT(rc == 0 || rc == OVERHAND_E_IO);
    ASSERT(!reached || rc != 0 || store_fixture_stats(&fixture).n_bad_files > 0);
    sim_disk_heal(sim);
    if (rc == 0) {
        cut_models();
        read_round(true);
    }
    store_fixture_close(&fixture);

    store_fixture_open(&fixture); /* a look that failed has changed nothing */
    ASSERT(store_fixture_stats(&fixture).n_bad_files == 0);
    store_fixture_fini(&fixture);
    return reached;
}

static void test_each_look_at_the_disk_of_a_starting_worker_may_fail(void **state)
{
    for (shape = shapes; shape < shapes + N_SHAPES; shape++)
        print_message("%u partitions: %u points\n", shape->n_partitions,
                      sweep_run(run_recovery, NULL, errors, 1));
}

static void ignore_line(void *arg, enum overhand_log_level level, const char *line)
{
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_operation_of_a_store_may_fail_once_or_for_ever),
        cmocka_unit_test(test_each_look_at_the_disk_of_a_starting_worker_may_fail),
    };

    log_set_sink(ignore_line, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
