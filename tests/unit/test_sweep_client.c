/* Every connect, write and delivery of a client's network fails once, and for ever, and every pool of
 * the client refuses once where it may: maps are written and read back. Whatever fails: no crash, no
 * leak, each record once, or an explicit error; and what fails once is survived.
 *
 * A pool is made to refuse by lowering its limit for one call, and only while something of it is in
 * use, as in life: otherwise nobody would ever come to say that there is room again.
 *
 * Elsewhere: test_writer.c loses an ack and breaks the connection at every push, test_reader.c at every
 * frame, test_client_faults.c mixes faults from seeds, test_driver.c takes the masters away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/budget.h"
#include "client/window.h"
#include "client/writer_arena.h"
#include "client_fixture.h"
#include "sweep.h"

enum {
    RECORDS = 40,
    RECORD_MAX = 900,
    LARGE = 9000,
    ARENA_BYTES = 16 << 10,
    WINDOW_BYTES = 12 << 10
};

/* ---- pools that refuse by number ---- */

enum pool { POOL_ARENA, POOL_CHUNK, POOL_BUDGET, POOL_WINDOW, POOLS };

static unsigned n_calls[POOLS];         /* while something was in use */
static unsigned refuse_at, refuse_some; /* of the pool that is swept */
static enum pool refuse_pool = POOLS;

static bool pool_refuses(enum pool pool, uint64_t used_bytes)
{
    unsigned n;

    if (used_bytes == 0)
        return false;
    n = n_calls[pool]++;
    return pool == refuse_pool && n - refuse_at < refuse_some;
}

/* Of the wrapped functions' own types: --wrap itself checks none. */
__typeof__(writer_arena_take) __real_writer_arena_take, __wrap_writer_arena_take;
__typeof__(writer_arena_take_chunk) __real_writer_arena_take_chunk, __wrap_writer_arena_take_chunk;
__typeof__(budget_take) __real_budget_take, __wrap_budget_take;
__typeof__(window_take) __real_window_take, __wrap_window_take;

struct arena_block *__wrap_writer_arena_take(struct writer_arena *arena, size_t need,
                                             size_t wish_bytes)
{
    return pool_refuses(POOL_ARENA, arena->used_bytes)
               ? NULL
               : __real_writer_arena_take(arena, need, wish_bytes);
}

struct arena_block *__wrap_writer_arena_take_chunk(struct writer_arena *arena, size_t need)
{
    return pool_refuses(POOL_CHUNK, arena->used_bytes)
               ? NULL
               : __real_writer_arena_take_chunk(arena, need);
}

bool __wrap_budget_take(struct budget *budget, struct budget_wait *wait, uint64_t bytes,
                        uint64_t *taken)
{
    uint64_t limit_bytes = budget->limit_bytes;
    bool took;

    if (!wait->granted && pool_refuses(POOL_BUDGET, budget->used_bytes))
        budget->limit_bytes = budget->used_bytes;
    took = __real_budget_take(budget, wait, bytes, taken);
    budget->limit_bytes = limit_bytes;
    return took;
}

bool __wrap_window_take(struct window *window, uint64_t bytes)
{
    return !pool_refuses(POOL_WINDOW, window->used_bytes) && __real_window_take(window, bytes);
}

/* ---- the scenario ---- */

static void begin(struct client_fixture *f)
{
    client_fixture_init(f, 1);
    for (int pool = 0; pool < POOLS; pool++)
        n_calls[pool] = 0;
    refuse_pool = POOLS;
    sim_net_set_segment(f->net, 2000); /* breaks come in the middle of frames */
    for (int i = 0; i < FIXTURE_WORKERS; i++)
        f->workers[i].frame_bytes = 4000;
}

/* One map: small records, large ones and whole batches. Returns: 0 when it was finished. */
static int write_map(struct client_fixture *f, uint32_t map)
{
    uint64_t attempt = 100 + map;
    struct overhand_writer *writer = fixture_open_writer(f, map, attempt, 0, ARENA_BYTES);
    int rc = fixture_append(f, writer, map, RECORDS, RECORD_MAX);

    if (rc == 0)
        rc = fixture_append(f, writer, map, 4, LARGE);
    for (uint32_t partition = 0; partition < 3 && rc == 0; partition++)
        rc = fixture_batch(f, writer, map, partition, LARGE);
    if (rc == 0)
        rc = fixture_finish(f, writer, map, attempt);
    if (rc != 0)
        overhand_writer_close(writer);
    return rc;
}

/* fixture_read_all checks each record. Returns: what ended it. */
static int read_maps(struct client_fixture *f)
{
    struct overhand_reader *reader = fixture_open_reader(f, WINDOW_BYTES);
    int rc = fixture_read_all(f, reader);

    overhand_reader_close(reader);
    return rc;
}

static void scenario(struct client_fixture *f, bool must)
{
    int rc = 0;

    for (uint32_t map = 0; map < 2; map++) {
        rc = write_map(f, map);
        ASSERT(rc <= 0 && rc != OVERHAND_E_AGAIN && (rc == 0 || !must));
    }
    rc = read_maps(f);
    ASSERT(rc == OVERHAND_END || (!must && rc < 0 && rc != OVERHAND_E_AGAIN));
}

static bool run_net(const struct sweep_point *point, void *arg)
{
    enum sim_net_event event = *(const enum sim_net_event *)arg;
    struct client_fixture f;
    bool reached;

    begin(&f);
    sim_net_fail(f.net, event, point->nth, point->forever);
    scenario(&f, !point->forever);
    reached = sim_net_n_events(f.net, event) > point->nth;
    sim_net_fail_none(f.net);
    client_fixture_fini(&f);
    return reached;
}

static void test_each_connect_write_and_delivery_may_fail_once_or_for_ever(void **state)
{
    static const int broken[] = {OVERHAND_E_DISCONNECTED};

    for (int event = 0; event < SIM_NET_EVENTS; event++) {
        enum sim_net_event arg = (enum sim_net_event)event;

        print_message("event %d: %u points\n", event, sweep_run(run_net, &arg, broken, 1));
    }
}

static bool run_pool(const struct sweep_point *point, void *arg)
{
    enum pool pool = *(const enum pool *)arg;
    struct client_fixture f;

    begin(&f);
    refuse_pool = pool;
    refuse_at = point->nth;
    refuse_some = point->forever ? 3 : 1;
    scenario(&f, true);
    client_fixture_fini(&f);
    return n_calls[pool] > point->nth;
}

static void test_each_pool_may_refuse_at_any_time(void **state)
{
    static const int busy[] = {OVERHAND_E_BUSY};

    for (int i = 0; i < POOLS; i++) {
        enum pool pool = (enum pool)i;

        print_message("pool %d: %u points\n", i, sweep_run(run_pool, &pool, busy, 1));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_connect_write_and_delivery_may_fail_once_or_for_ever),
        cmocka_unit_test(test_each_pool_may_refuse_at_any_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
