/* What goes wrong. A timer strikes at random intervals: one of the enabled classes, a random
 * victim, a random duration; what lasts is undone by a timer of its own. At the end everything is
 * undone and all machines start again. */
#include "sim_faults.h"

#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "sim_disk_file.h"
#include "world.h"

enum {
    SHORT_MS = 300,
    MIDDLE_MS = 15000,
    LONG_MS = 150000,
    LEASE_RISK_MS = 20000, /* what lasts longer may cost a lease */
};

/* A strike that ends by itself. */
struct strike {
    struct list node;
    struct sim_faults *faults;
    struct loop_timer end;
    enum fault_class class;
    void (*undo)(struct strike *strike);
    struct sim_worker *worker;
    const char *a, *b; /* hosts */
    unsigned dir;
    bool long_enough; /* to cost a lease */
};

static void faults_on_strike(struct loop_timer *timer);

/* ---- accounts ---- */

void sim_faults_begin(struct sim_faults *faults, enum fault_class class)
{
    faults->n_active[class]++;
}

void sim_faults_act(struct sim_faults *faults, enum fault_class class)
{
    faults->acted_ns[class] = faults->world->loop.now_ns;
}

void sim_faults_end(struct sim_faults *faults, enum fault_class class)
{
    ASSERT(faults->n_active[class] > 0);
    faults->n_active[class]--;
    sim_faults_act(faults, class);
}

bool sim_faults_acted(const struct sim_faults *faults, unsigned classes, uint64_t since_ns)
{
    for (unsigned class = 0; class < FAULT_CLASSES; class ++) {
        if ((classes & FAULT_BIT(class)) != 0 &&
            (faults->n_active[class] > 0 ||
             (faults->acted_ns[class] > 0 && faults->acted_ns[class] >= since_ns)))
            return true;
    }
    return false;
}

const char *sim_faults_names(unsigned classes, char *text, unsigned text_size)
{
    static const char *const names[FAULT_CLASSES] = {"kills", "stops", "masters",   "network",
                                                     "write", "read",  "space",     "flips",
                                                     "slow",  "clock", "executors", "leases"};
    unsigned len = 0;

    text[0] = '\0';
    for (unsigned class = 0; class < FAULT_CLASSES && len < text_size; class ++) {
        if ((classes & FAULT_BIT(class)) != 0)
            len += (unsigned)snprintf(text + len, text_size - len, "%s%s", len > 0 ? " " : "",
                                      names[class]);
    }
    return text;
}

/* ---- strikes that last ---- */

static void strike_end(struct strike *strike)
{
    struct sim_faults *faults = strike->faults;

    strike->undo(strike);
    sim_faults_end(faults, strike->class);
    loop_timer_stop(&strike->end);
    list_remove(&strike->node);
    mem_free(strike);
}

static void strike_on_end(struct loop_timer *timer)
{
    strike_end(container_of(timer, struct strike, end));
}

static struct strike *strike_begin(struct sim_faults *faults, enum fault_class class,
                                   uint32_t duration_ms, void (*undo)(struct strike *strike))
{
    struct strike *strike = mem_zalloc(sizeof *strike);

    strike->faults = faults;
    strike->class = class;
    strike->undo = undo;
    loop_timer_init(&strike->end, &faults->world->loop.loop, strike_on_end);
    loop_timer_start(&strike->end, duration_ms);
    list_init(&strike->node);
    list_push_back(&faults->under_way, &strike->node);
    sim_faults_begin(faults, class);
    return strike;
}

/* ---- chance ---- */

static uint32_t faults_below(struct sim_faults *faults, uint32_t n)
{
    return (uint32_t)rng_below(&faults->rng, n);
}

static uint32_t faults_duration_ms(struct sim_faults *faults)
{
    if (faults_below(faults, faults->long_one_in) == 0)
        return faults_below(faults, LONG_MS);
    return faults_below(faults, 2) == 0 ? faults_below(faults, SHORT_MS)
                                        : faults_below(faults, MIDDLE_MS);
}

/* How long a machine stays down. */
static uint32_t faults_restart_ms(struct sim_faults *faults)
{
    return faults_below(faults, 8) == 0 ? SIM_NEVER_MS : faults_duration_ms(faults);
}

static struct sim_worker *faults_worker(struct sim_faults *faults)
{
    if (faults->world->victim != NULL)
        return faults->world->victim;
    return &faults->world->workers[faults_below(faults, faults->world->n_workers)];
}

static const char *faults_host(struct sim_faults *faults)
{
    struct world *world = faults->world;
    struct sim_app *app = &world->apps[faults_below(faults, world->n_apps)];

    switch (faults_below(faults, 5)) {
    case 0:
        return world->masters[faults_below(faults, world->n_masters)].host;
    case 1:
        return app->driver_host;
    case 2:
    case 3:
        return app->executors[faults_below(faults, app->n_executors)].host;
    default:
        return faults_worker(faults)->id;
    }
}

/* ---- machines ---- */

void sim_faults_kill(struct sim_faults *faults, struct sim_worker *worker)
{
    static const enum sim_disk_crash crashes[] = {SIM_DISK_KILLED, SIM_DISK_KILLED,
                                                  SIM_DISK_SYNCED_ONLY, SIM_DISK_TORN};
    static const char *const names[] = {"killed", "killed", "without power", "without power, torn"};
    uint32_t how = faults_below(faults, 4), restart_ms = faults_restart_ms(faults);

    sim_report_note(&faults->world->report, "FAULT %s is %s, again in %d ms", worker->id,
                    names[how], (int)restart_ms);
    sim_worker_kill(worker, crashes[how], restart_ms);
}

static void strike_loss(struct sim_faults *faults)
{
    sim_faults_kill(faults, faults_worker(faults));
}

static void strike_stop(struct sim_faults *faults)
{
    struct sim_worker *worker = faults_worker(faults);
    uint32_t restart_ms = faults_restart_ms(faults);

    sim_report_note(&faults->world->report, "FAULT %s is stopped, again in %d ms", worker->id,
                    (int)restart_ms);
    sim_worker_stop(worker, restart_ms);
}

static void strike_master(struct sim_faults *faults)
{
    struct world *world = faults->world;
    bool all = faults_below(faults, 3) == 0;
    unsigned one = faults_below(faults, world->n_masters);
    uint32_t restart_ms = faults_restart_ms(faults);

    sim_report_note(&world->report, "FAULT %s killed, again in %d ms",
                    all ? "all masters are" : world->masters[one].host, (int)restart_ms);
    for (unsigned i = 0; i < world->n_masters; i++) {
        if (all || i == one)
            sim_master_kill(&world->masters[i], restart_ms);
    }
}

static void strike_executor(struct sim_faults *faults)
{
    struct world *world = faults->world;
    struct sim_app *app = &world->apps[faults_below(faults, world->n_apps)];

    app->executors[faults_below(faults, app->n_executors)].kill_wanted = true;
}

/* ---- network ---- */

static void undo_cut(struct strike *strike)
{
    if (strike->long_enough)
        sim_faults_act(strike->faults, FAULT_LEASE);
    sim_net_heal(strike->faults->world->net, strike->a, strike->b);
    sim_report_note(&strike->faults->world->report, "      %s - %s is mended", strike->a,
                    strike->b);
}

static void undo_slow_link(struct strike *strike)
{
    sim_net_slow(strike->faults->world->net, strike->a, strike->b, 0);
}

static void net_strike_begin(struct sim_faults *faults, const char *a, const char *b, uint32_t ms,
                             void (*undo)(struct strike *strike))
{
    struct strike *strike = strike_begin(faults, FAULT_NET, ms, undo);

    strike->a = a;
    strike->b = b;
    strike->long_enough = ms > LEASE_RISK_MS;
}

void sim_faults_cut(struct sim_faults *faults, const char *a, const char *b, uint32_t ms)
{
    net_strike_begin(faults, a, b, ms, undo_cut);
    sim_report_note(&faults->world->report, "FAULT %s - %s is cut for %u ms", a, b, ms);
    sim_net_cut(faults->world->net, a, b);
}

static void strike_net(struct sim_faults *faults)
{
    struct world *world = faults->world;
    uint32_t kind = faults_below(faults, 3), ms = faults_duration_ms(faults);
    const char *a = world->victim != NULL ? world->victim->id : faults_host(faults);
    const char *b = faults_host(faults);

    if (strcmp(a, b) == 0)
        return;
    if (kind == 0) {
        sim_report_note(&world->report, "FAULT %s - %s is reset", a, b);
        sim_net_reset(world->net, a, b);
        sim_faults_act(faults, FAULT_NET);
        return;
    }
    if (kind == 1) {
        sim_faults_cut(faults, a, b, ms);
    } else {
        uint32_t bytes_per_ms = 1u << faults_below(faults, 10);

        net_strike_begin(faults, a, b, ms, undo_slow_link);
        sim_report_note(&world->report, "FAULT %s - %s is slow for %u ms: %u bytes/ms", a, b, ms,
                        bytes_per_ms);
        sim_net_slow(world->net, a, b, bytes_per_ms);
    }
}

/* ---- disks ---- */

static void undo_disk(struct strike *strike)
{
    sim_disk_heal(&strike->worker->disk);
}

static void strike_disk(struct sim_faults *faults, enum fault_class class)
{
    static const int writes[] = {DISK_WRITE, DISK_WRITE,  DISK_OPEN,
                                 DISK_SYNC,  DISK_UNLINK, DISK_CLOSE};
    struct sim_worker *worker = faults_worker(faults);
    uint32_t ms = faults_duration_ms(faults);
    struct sim_disk_fault fault = {
        .kind = class == FAULT_READ ? DISK_READ : writes[faults_below(faults, 6)],
        .path = faults_below(faults, 2) == 0 ? NULL
                                             : sim_worker_dir(faults_below(faults, worker->n_dirs)),
        .skip = faults_below(faults, 6),
        .status = OVERHAND_E_IO,
        .forever = faults_below(faults, 2) == 0,
    };

    if (worker->disk.n_faults == SIM_DISK_FAULTS_MAX)
        return;
    sim_report_note(&faults->world->report, "FAULT %s fails operation %d, skip %u%s, for %u ms",
                    worker->id, fault.kind, fault.skip, fault.forever ? ", all of them" : "", ms);
    worker->disk_struck = true;
    sim_disk_add_fault(&worker->disk, fault);
    strike_begin(faults, class, ms, undo_disk)->worker = worker;
}

static void strike_write(struct sim_faults *faults)
{
    strike_disk(faults, FAULT_WRITE);
}

static void strike_read(struct sim_faults *faults)
{
    strike_disk(faults, FAULT_READ);
}

static struct sim_dir *worker_sim_dir(struct sim_worker *worker, unsigned dir)
{
    return sim_dir_get(&worker->disk.dirs, sim_worker_dir(dir));
}

static void undo_space(struct strike *strike)
{
    worker_sim_dir(strike->worker, strike->dir)->total_bytes = 1ull << 40;
}

static void strike_space(struct sim_faults *faults)
{
    struct sim_worker *worker = faults_worker(faults);
    unsigned dir_number = faults_below(faults, worker->n_dirs);
    struct sim_dir *dir = worker_sim_dir(worker, dir_number);
    uint64_t used_bytes = dir->total_bytes - sim_dir_free_bytes(dir);
    uint32_t more_bytes = 1u << faults_below(faults, 20), ms = faults_duration_ms(faults);
    struct strike *strike = strike_begin(faults, FAULT_SPACE, ms, undo_space);

    strike->worker = worker;
    strike->dir = dir_number;
    dir->total_bytes = used_bytes + more_bytes;
    sim_report_note(&faults->world->report, "FAULT %s has %u bytes left in %s for %u ms",
                    worker->id, more_bytes, dir->path, ms);
}

static void strike_flip(struct sim_faults *faults)
{
    struct sim_worker *worker = faults_worker(faults);
    struct sim_dir *dir = worker_sim_dir(worker, faults_below(faults, worker->n_dirs));
    unsigned n = 0, chosen;
    struct list *node;

    list_for_each(node, &dir->files)
        n++;
    if (n == 0)
        return;
    chosen = faults_below(faults, n);
    list_for_each(node, &dir->files) {
        struct sim_file *file = container_of(node, struct sim_file, node);
        uint64_t bit;

        if (chosen-- > 0 || file->cached.len == 0)
            continue;
        bit = rng_below(&faults->rng, file->cached.len * 8);
        sim_report_note(&faults->world->report, "FAULT %s: bit %llu of %s is flipped", worker->id,
                        (unsigned long long)bit, file->name);
        sim_disk_flip_bit(&worker->disk, dir->path, file->name, bit);
        sim_faults_act(faults, FAULT_FLIP);
        return;
    }
}

static void undo_slow_disk(struct strike *strike)
{
    strike->worker->disk.delay_max_ms = 10;
    sim_disk_release_all(&strike->worker->disk);
}

static void strike_slow(struct sim_faults *faults)
{
    struct sim_worker *worker = faults_worker(faults);
    uint32_t ms = faults_below(faults, MIDDLE_MS), delay_ms = 1u << faults_below(faults, 11);
    bool hold = faults_below(faults, 2) == 0 && !worker->disk.crashed;

    sim_report_note(&faults->world->report, "FAULT %s has a disk that %s for %u ms", worker->id,
                    hold ? "hangs" : "is slow", ms);
    worker->disk_struck = true;
    strike_begin(faults, FAULT_SLOW, ms, undo_slow_disk)->worker = worker;
    if (hold)
        sim_disk_hold(&worker->disk, SIM_DISK_ANY);
    else
        worker->disk.delay_max_ms = delay_ms;
}

/* ---- time ---- */

static void strike_time(struct sim_faults *faults)
{
    uint32_t ms = faults_duration_ms(faults);

    sim_report_note(&faults->world->report, "FAULT nothing runs for %u ms", ms);
    sim_faults_act(faults, FAULT_TIME);
    faults->world->loop.now_ns += ms * 1000000ull;
    sim_faults_act(faults, FAULT_TIME);
    if (ms > LEASE_RISK_MS)
        sim_faults_act(faults, FAULT_LEASE);
}

/* ---- striking ---- */

static void (*const strikes[FAULT_DRAWN])(struct sim_faults *faults) = {
    [FAULT_LOSS] = strike_loss,         [FAULT_AWAY] = strike_stop,
    [FAULT_MASTER] = strike_master,     [FAULT_NET] = strike_net,
    [FAULT_WRITE] = strike_write,       [FAULT_READ] = strike_read,
    [FAULT_SPACE] = strike_space,       [FAULT_FLIP] = strike_flip,
    [FAULT_SLOW] = strike_slow,         [FAULT_TIME] = strike_time,
    [FAULT_EXECUTOR] = strike_executor,
};

void sim_faults_init(struct sim_faults *faults, struct world *world, bool none)
{
    *faults = (struct sim_faults){.world = world};
    rng_init(&faults->rng, rng_next(&world->rng));
    for (unsigned class = 0; class < FAULT_DRAWN && !none; class ++) {
        if (faults_below(faults, 10) < 3)
            faults->enabled |= FAULT_BIT(class);
    }
    if (world->victim != NULL) /* these strike everybody */
        faults->enabled &= ~(FAULT_BIT(FAULT_MASTER) | FAULT_BIT(FAULT_TIME));
    faults->interval_ms = 200u << faults_below(faults, 6);
    faults->long_one_in = faults_below(faults, 2) == 0 ? 10 : 1000;
    loop_timer_init(&faults->strike, &world->loop.loop, faults_on_strike);
    list_init(&faults->under_way);
}

void sim_faults_start(struct sim_faults *faults)
{
    if (faults->enabled != 0)
        loop_timer_start(&faults->strike, faults_below(faults, 2 * faults->interval_ms));
}

static void faults_on_strike(struct loop_timer *timer)
{
    struct sim_faults *faults = container_of(timer, struct sim_faults, strike);
    unsigned class = faults_below(faults, FAULT_DRAWN);

    while ((faults->enabled & FAULT_BIT(class)) == 0)
        class = (class + 1) % FAULT_DRAWN;
    sim_faults_strike(faults, class);
    sim_faults_start(faults);
}

void sim_faults_strike(struct sim_faults *faults, enum fault_class class)
{
    faults->n_strikes++;
    strikes[class](faults);
}

void sim_faults_stop(struct sim_faults *faults)
{
    struct world *world = faults->world;

    sim_report_note(&world->report, "no more faults");
    faults->over = true;
    loop_timer_stop(&faults->strike);
    while (!list_empty(&faults->under_way))
        strike_end(container_of(faults->under_way.next, struct strike, node));
    for (unsigned i = 0; i < world->n_workers; i++)
        sim_worker_heal(&world->workers[i]);
    for (unsigned i = 0; i < world->n_masters; i++)
        sim_master_heal(&world->masters[i]);
}
