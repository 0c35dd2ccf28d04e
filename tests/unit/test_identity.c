/* The worker's identity on a real directory: who keeps an incarnation, who is refused, and what a
 * crash at any step leaves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/mem.h"
#include "worker/identity.h"

struct fixture {
    struct rng rng;
    char root[64];
    char *directories[2];
};

static int fixture_setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);

    rng_init(&f->rng, 1);
    snprintf(f->root, sizeof f->root, "/tmp/overhand-identity-XXXXXX");
    assert_non_null(mkdtemp(f->root));
    f->directories[0] = mem_printf("%s/a", f->root);
    f->directories[1] = mem_printf("%s/b", f->root);
    *state = f;
    return 0;
}

static int fixture_teardown(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 2; i++) {
        char *names[] = {mem_printf("%s/worker.state", f->directories[i]),
                         mem_printf("%s/worker.state.new", f->directories[i])};

        for (int k = 0; k < 2; k++) {
            (void)unlink(names[k]);
            mem_free(names[k]);
        }
        (void)rmdir(f->directories[i]);
        mem_free(f->directories[i]);
    }
    (void)rmdir(f->root);
    mem_free(f);
    return 0;
}

static int identity_of(struct fixture *f, struct identity *identity, const char *id, unsigned n)
{
    return identity_open(identity, id, f->directories, n, &f->rng);
}

/* A run of a worker; returns its incarnation. */
static uint64_t run(struct fixture *f, bool clean)
{
    struct identity identity;

    assert_int_equal(identity_of(f, &identity, "w1", 2), 0);
    assert_int_equal(identity_write(&identity, false), 0);
    if (clean)
        assert_int_equal(identity_write(&identity, true), 0);
    identity_close(&identity);
    return identity.incarnation;
}

static void state_replace(struct fixture *f, const char *text)
{
    char *name = mem_printf("%s/worker.state", f->directories[0]);
    FILE *file = fopen(name, "w");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    mem_free(name);
}

static void test_a_clean_end_keeps_the_incarnation_and_a_crash_does_not(void **state)
{
    uint64_t first = run(*state, true), second = run(*state, true), third, fourth;

    assert_int_not_equal(first, 0);
    assert_int_equal(second, first);
    third = run(*state, false);
    assert_int_equal(third, first);
    fourth = run(*state, true);
    assert_int_not_equal(fourth, first);
    assert_int_equal(run(*state, true), fourth);
}

static void test_a_start_that_never_served_changes_nothing(void **state)
{
    struct fixture *f = *state;
    uint64_t first = run(f, true);
    struct identity identity;

    assert_int_equal(identity_of(f, &identity, "w1", 2), 0);
    assert_true(identity.kept);
    identity_close(&identity);
    assert_int_equal(run(f, true), first);
}

static void test_a_directory_of_another_worker_is_refused(void **state)
{
    struct fixture *f = *state;
    struct identity identity;

    (void)run(f, true);
    assert_int_equal(identity_of(f, &identity, "w2", 2), OVERHAND_E_INVALID);
    assert_int_equal(identity_of(f, &identity, "w1", 2), 0);
    identity_close(&identity);
}

static void test_a_directory_in_use_is_refused_and_free_again_afterwards(void **state)
{
    struct fixture *f = *state;
    struct identity identity, other;
    char *second = f->directories[1];

    assert_int_equal(identity_of(f, &identity, "w1", 2), 0);
    assert_int_equal(identity_of(f, &other, "w1", 2), OVERHAND_E_EXISTS);
    assert_int_equal(identity_open(&other, "w9", &second, 1, &f->rng), OVERHAND_E_EXISTS);
    identity_close(&identity);
    assert_int_equal(identity_of(f, &other, "w1", 2), 0);
    identity_close(&other);
}

static void test_a_directory_that_is_missing_now_costs_the_incarnation(void **state)
{
    struct fixture *f = *state;
    uint64_t first = run(f, true);
    struct identity identity;

    assert_int_equal(identity_of(f, &identity, "w1", 1), 0);
    assert_false(identity.kept);
    assert_int_not_equal(identity.incarnation, first);
    identity_close(&identity);
}

static void test_a_damaged_state_costs_the_incarnation_and_not_the_start(void **state)
{
    struct fixture *f = *state;
    static const char *const texts[] = {"",
                                        "nonsense\n",
                                        "id w1\nincarnation zz\nclean 1\n",
                                        "id w1\nclean 1\n",
                                        "id w1\nincarnation 0\nclean 1\n",
                                        "id w1\nincarnation 5\nclean 1\nwhat is this\n"};

    (void)run(f, true);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct identity identity;

        state_replace(f, texts[i]);
        assert_int_equal(identity_of(f, &identity, "w1", 2), 0);
        assert_false(identity.kept);
        assert_int_not_equal(identity.incarnation, 5);
        identity_close(&identity);
    }
}

static void test_a_path_that_is_no_directory_is_refused(void **state)
{
    struct fixture *f = *state;
    struct identity identity;
    char *paths[] = {"/dev/null", "/proc/overhand/nowhere"};

    for (int i = 0; i < 2; i++) {
        char *both[] = {f->directories[0], paths[i]};

        assert_int_not_equal(identity_open(&identity, "w1", &paths[i], 1, &f->rng), 0);
        assert_int_not_equal(identity_open(&identity, "w1", both, 2, &f->rng), 0);
    }
    assert_int_equal(identity_open(&identity, "w1", paths, 0, &f->rng), OVERHAND_E_INVALID);
    assert_int_equal(identity_of(f, &identity, "w1", 1), 0); /* no lock was left behind */
    identity_close(&identity);
}

static void test_a_state_that_cannot_be_written_is_reported(void **state)
{
    struct fixture *f = *state;
    struct identity identity;
    char *obstacle = mem_printf("%s/worker.state.new", f->directories[0]);

    assert_int_equal(identity_of(f, &identity, "w1", 1), 0);
    assert_int_equal(mkdir(obstacle, 0700), 0);
    assert_int_not_equal(identity_write(&identity, true), 0);
    assert_int_equal(rmdir(obstacle), 0);
    assert_int_equal(identity_write(&identity, true), 0);
    identity_close(&identity);
    mem_free(obstacle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        TEST(test_a_clean_end_keeps_the_incarnation_and_a_crash_does_not),
        TEST(test_a_start_that_never_served_changes_nothing),
        TEST(test_a_directory_of_another_worker_is_refused),
        TEST(test_a_directory_in_use_is_refused_and_free_again_afterwards),
        TEST(test_a_directory_that_is_missing_now_costs_the_incarnation),
        TEST(test_a_damaged_state_costs_the_incarnation_and_not_the_start),
        TEST(test_a_path_that_is_no_directory_is_refused),
        TEST(test_a_state_that_cannot_be_written_is_reported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
