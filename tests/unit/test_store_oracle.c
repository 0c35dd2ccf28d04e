/* Random walks: pushes, reads, unregisters, seals, restarts and crashes over a disk with random
 * delays, and with faults, compared with the model after each. Equal seeds walk equally; the seed
 * of a failing walk is printed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "store_fixture.h"

enum { SEEDS = 40, STEPS = 120 };

static const size_t payloads[] = {0, 10, 300, 3000, 30000, 100000, 400000};

/* Odd seeds have one shuffle of many partitions, which share packs, even ones a few of several. */
static bool packs;

static struct block_home random_home(struct store_fixture *f)
{
    if (packs)
        return (struct block_home){1, 0,
                                   (uint32_t)rng_below(&f->rng, STORE_FIXTURE_PARTITIONS_MAX)};
    return (struct block_home){.app_uid = 1 + rng_below(&f->rng, 2),
                               .shuffle_id = (uint32_t)rng_below(&f->rng, 3),
                               .partition = (uint32_t)rng_below(&f->rng, 6)};
}

static uint64_t newest_attempt(const struct model *model)
{
    uint64_t newest = 0;

    for (uint32_t i = 0; i < model->n_blocks; i++)
        if (model->blocks[i].attempt > newest)
            newest = model->blocks[i].attempt;
    return newest;
}

static bool is_known(struct store_fixture *f, const struct block_home *home)
{
    struct partition *partition = store_hold_partition(f->store, home);

    if (partition != NULL)
        partition_drop(partition);
    return partition != NULL;
}

/* Those that hold nothing newer went, but for some that are in packs with others that stayed. */
static void forget_shuffle(struct store_fixture *f, uint64_t app_uid, int64_t shuffle_id,
                           uint64_t attempts_below)
{
    bool some_stay = false;

    for (unsigned i = 0; i < STORE_FIXTURE_PARTITIONS_MAX; i++)
        some_stay |= packs && attempts_below > 0 && newest_attempt(&f->models[i]) >= attempts_below;
    for (unsigned i = 0; i < STORE_FIXTURE_PARTITIONS_MAX; i++) {
        struct model *model = &f->models[i];

        if (model->home.app_uid == app_uid &&
            (shuffle_id < 0 || model->home.shuffle_id == shuffle_id) &&
            (attempts_below == 0 || newest_attempt(model) < attempts_below) &&
            !(some_stay && is_known(f, &model->home)))
            store_fixture_forget(model);
    }
}

static int walk_push(struct store_fixture *f)
{
    struct block_home home = random_home(f);
    size_t n_payloads = packs ? 4 : sizeof payloads / sizeof *payloads;
    size_t payload_bytes = payloads[rng_below(&f->rng, n_payloads)];
    size_t sum_bytes = packs ? 6000 : 200000;
    unsigned n_blocks = 1 + (unsigned)rng_below(&f->rng, sum_bytes / (payload_bytes + 2000) + 1);

    return store_fixture_push(f, &home, rng_below(&f->rng, 6), n_blocks, payload_bytes);
}

static int walk_read(struct store_fixture *f)
{
    struct block_home home = random_home(f);
    struct attempt_range ranges[2] = {{rng_below(&f->rng, 2), 1 + rng_below(&f->rng, 2)},
                                      {4, rng_below(&f->rng, 3)}};
    struct attempt_set set = {ranges, rng_below(&f->rng, 3)};
    size_t max_bytes = rng_below(&f->rng, 3) == 0 ? 1 : rng_below(&f->rng, 1 << 20);
    bool known = store_fixture_model(f, &home)->n_blocks > 0;
    int rc = store_fixture_read(f, &home, &set, max_bytes);

    if (!known)
        assert_int_equal(rc, OVERHAND_E_UNKNOWN_SHUFFLE);
    return known ? rc : 0;
}

static void walk_unregister(struct store_fixture *f)
{
    struct block_home home = random_home(f);

    if (rng_below(&f->rng, 4) == 0) {
        store_drop_app(f->store, home.app_uid);
        forget_shuffle(f, home.app_uid, -1, 0);
    } else {
        uint64_t attempts_below = rng_below(&f->rng, 7);

        store_unregister(f->store, home.app_uid, home.shuffle_id, attempts_below);
        forget_shuffle(f, home.app_uid, home.shuffle_id, attempts_below);
    }
}

static void walk_restart(struct store_fixture *f)
{
    assert_int_equal(store_fixture_seal(f), 0);
    store_fixture_check_all(f, 1 << 20);
    store_fixture_close(f);
    store_fixture_open(f);
    assert_int_equal(store_fixture_stats(f).n_bad_files, 0);
}

enum { WALK_UNREGISTERS = 1, WALK_RESTARTS = 2 };

static void walk(struct store_fixture *f, unsigned flags)
{
    for (unsigned step = 0; step < STEPS * (packs ? 4 : 1); step++) {
        uint64_t what = rng_below(&f->rng, 100);

        if (what < 60)
            (void)!walk_push(f);
        else if (what < 80)
            assert_int_equal(walk_read(f), 0);
        else if (what < 95)
            sim_loop_step(&f->disk.sim_loop);
        else if (what < 98 && flags & WALK_UNREGISTERS)
            walk_unregister(f);
        else if (flags & WALK_RESTARTS)
            walk_restart(f);
    }
}

static void walk_start(struct store_fixture *f, uint64_t seed)
{
    print_message("seed %llu\n", (unsigned long long)seed);
    assert_int_equal(store_fixture_init(f, DISK_FIXTURE_SIM, 1 + (unsigned)(seed % 3), seed), 0);
    f->options.flush_bytes = rng_below(&f->rng, 2 << 20);
    packs = seed % 2 == 1;
    if (packs)
        f->options.flush_bytes /= 32;
    f->options.run_bytes = 4096 << rng_below(&f->rng, 9);
    f->options.writes_per_disk = 1 + (uint32_t)rng_below(&f->rng, 4);
    f->options.open_files = 1 + (uint32_t)rng_below(&f->rng, 8);
    store_fixture_open(f);
}

static void walk_end(struct store_fixture *f)
{
    store_drop_app(f->store, 1);
    store_drop_app(f->store, 2);
    store_fixture_settle(f);
    assert_int_equal(store_fixture_stats(f).memory_used, 0);
    assert_int_equal(store_fixture_stats(f).n_partitions, 0);
    assert_int_equal(store_fixture_stats(f).n_files, 0);
    store_fixture_fini(f);
}

static void test_every_walk_reads_what_it_appended(void **state)
{
    static struct store_fixture f;

    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        walk_start(&f, seed);
        walk(&f, WALK_UNREGISTERS | WALK_RESTARTS);
        store_fixture_check_all(&f, 100000);
        walk_end(&f);
    }
}

static void test_walks_over_disks_that_run_full_or_fail_lose_nothing(void **state)
{
    static struct store_fixture f;

    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        walk_start(&f, seed);
        for (unsigned i = 0; i < 3; i++) {
            walk(&f, WALK_UNREGISTERS);
            sim_disk_fail(&f.disk.sim, rng_below(&f.rng, 2) == 0 ? DISK_WRITE : DISK_OPEN,
                          (unsigned)rng_below(&f.rng, 4),
                          rng_below(&f.rng, 3) == 0 ? OVERHAND_E_IO : OVERHAND_E_NO_SPACE);
            sim_loop_advance_ms(&f.disk.sim_loop, rng_below(&f.rng, 2) * 3000);
            sim_disk_heal(&f.disk.sim);
        }
        store_fixture_check_all(&f, 100000);
        walk_end(&f);
    }
}

/* Of the model, keep the beginning that the store still has. */
static void model_cut(struct store_fixture *f, struct model *model)
{
    struct partition *partition = store_hold_partition(f->store, &model->home);
    uint64_t len = 0;

    if (partition != NULL) {
        len = partition_bytes(partition);
        partition_drop(partition);
    }
    assert_true(len <= model->len);
    while (model->len > len)
        model->len -= model->blocks[--model->n_blocks].len;
    assert_int_equal(model->len, len);
}

static void check_what_is_left(struct store_fixture *f)
{
    for (unsigned i = 0; i < STORE_FIXTURE_PARTITIONS_MAX; i++) {
        struct model *model = &f->models[i];
        int rc;

        if (model->n_blocks == 0)
            continue;
        model_cut(f, model);
        rc = store_fixture_read(f, &model->home, NULL, 1);
        if (model->len == 0)
            assert_int_equal(rc, OVERHAND_E_UNKNOWN_SHUFFLE);
        else if (rc !=
                 0) /* of the run that was being written, a part may be missing: never wrong */
            assert_int_equal(rc, OVERHAND_E_CHECKSUM);
    }
}

static void test_after_a_crash_a_beginning_of_each_partition_is_read(void **state)
{
    static struct store_fixture f;

    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        walk_start(&f, seed);
        walk(&f, WALK_RESTARTS);
        sim_disk_crash(&f.disk.sim, seed % 4 < 2 ? SIM_DISK_KILLED : SIM_DISK_TORN);
        store_fixture_close(&f);
        sim_disk_restart(&f.disk.sim);
        store_fixture_open(&f);
        check_what_is_left(&f);
        walk_end(&f);
    }
}

static void ignore_line(void *arg, enum overhand_log_level level, const char *line)
{
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_walk_reads_what_it_appended),
        cmocka_unit_test(test_walks_over_disks_that_run_full_or_fail_lose_nothing),
        cmocka_unit_test(test_after_a_crash_a_beginning_of_each_partition_is_read),
    };

    log_set_sink(ignore_line, NULL); /* thousands of disks fail here */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
