/* Membership: who is there, in which state, holding what.
 *
 *   register   -> a member appears, or a restarted one takes its former place (same id, new incarnation)
 *   heartbeat  -> its numbers are replaced as a whole; one from an incarnation we do not know asks for a register
 *   silence    -> lost after lost_after_ms, or at once when its connection breaks; forgotten after forget_after_ms
 *
 * "Lost" is advice: writers and readers avoid such a worker, nobody deletes anything because of it. */
#include "master/master.h"

#include <string.h>

#include "core/log.h"
#include "core/mem.h"

enum {
    APPS_MAX = 100000,
    HOT_MEMORY_PERCENT = 95, /* memory in use above this */
    HOT_FREE_PERCENT = 5,    /* a disk with less of it free */
};

void master_init(struct master *master, const struct master_options *options, uint64_t seed,
                 uint64_t now_ms)
{
    memset(master, 0, sizeof *master);
    master->options = *options;
    rng_init(&master->rng, seed);
    master->started_ms = now_ms;
}

static void member_fini(struct member *member)
{
    overhand__wire__heartbeat__free_unpacked(member->last, NULL);
    mem_free(member->software);
}

void master_fini(struct master *master)
{
    for (unsigned i = 0; i < master->n_members; i++)
        member_fini(&master->members[i]);
    for (unsigned i = 0; i < master->n_apps; i++)
        mem_free(master->apps[i].app_id);
    moved_forget(master, UINT64_MAX);
    mem_free(master->drained);
    mem_free(master->members);
    mem_free(master->apps);
    memset(master, 0, sizeof *master);
}

int master_ready(const struct master *master, uint64_t now_ms)
{
    return now_ms - master->started_ms >= master->options.ready_after_ms ? 0 : OVERHAND_E_NOT_READY;
}

const Overhand__Wire__Worker *member_worker(const struct member *member)
{
    return member->last->worker;
}

enum worker_state member_state(const struct master *master, const struct member *member,
                               uint64_t now_ms)
{
    if (!member->connected || now_ms - member->heard_ms >= master->options.lost_after_ms)
        return WORKER_LOST;
    if (member->last->drained)
        return WORKER_DRAINED;
    if (member->last->draining)
        return WORKER_DRAINING;
    return member->last->excluded ? WORKER_EXCLUDED : WORKER_ALIVE;
}

bool member_takes_data(const struct master *master, const struct member *member, uint64_t now_ms)
{
    if (member_state(master, member, now_ms) != WORKER_ALIVE)
        return false;
    for (size_t i = 0; i < member->last->n_disks; i++)
        if (!member->last->disks[i]->failed)
            return true;
    return member->last->n_disks ==
           0; /* just registered: its disks come with the first heartbeat */
}

bool member_is_hot(const struct member *member)
{
    const Overhand__Wire__Heartbeat *last = member->last;

    if (last->memory_used > last->memory_bytes / 100 * HOT_MEMORY_PERCENT)
        return true;
    for (size_t i = 0; i < last->n_disks; i++)
        if (last->disks[i]->failed ||
            last->disks[i]->free_bytes < last->disks[i]->total_bytes / 100 * HOT_FREE_PERCENT)
            return true;
    return false;
}

/* The member's position, or where it belongs. */
static unsigned master_find(const struct master *master, const char *worker_id, bool *found)
{
    unsigned low = 0, high = master->n_members;

    while (low < high) {
        unsigned middle = (low + high) / 2;
        int order = strcmp(member_worker(&master->members[middle])->id, worker_id);
        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *found = false;
    return low;
}

static struct member *master_add_member(struct master *master, unsigned at)
{
    if (master->n_members == master->members_capacity) {
        master->members_capacity = master->members_capacity == 0 ? 16
                                                                 : 2 * master->members_capacity;
        master->members =
            mem_reallocarray(master->members, master->members_capacity, sizeof *master->members);
    }
    memmove(&master->members[at + 1], &master->members[at],
            (master->n_members - at) * sizeof *master->members);
    master->n_members++;
    memset(&master->members[at], 0, sizeof master->members[at]);
    return &master->members[at];
}

/* A worker's own words are input: nothing of it may be out of range. */
static int worker_check(const Overhand__Wire__Worker *worker)
{
    size_t id_len = worker == NULL ? 0 : strlen(worker->id);

    if (id_len == 0 || id_len > LIMIT_WORKER_ID_BYTES || worker->incarnation == 0)
        return OVERHAND_E_INVALID;
    if (strspn(worker->id, "abcdefghijklmnopqrstuvwxyz0123456789.-") != id_len)
        return OVERHAND_E_INVALID;
    if (worker->host[0] == '\0' || strlen(worker->host) > LIMIT_HOST_BYTES)
        return OVERHAND_E_INVALID;
    if (worker->port == 0 || worker->port > UINT16_MAX)
        return OVERHAND_E_INVALID;
    if (worker->n_shards == 0 || worker->n_shards > LIMIT_SHARDS)
        return OVERHAND_E_INVALID;
    return 0;
}

/* An owned message with the same content; protobuf-c has no copy but by bytes. */
static Overhand__Wire__Heartbeat *heartbeat_copy(const Overhand__Wire__Heartbeat *message)
{
    size_t len = overhand__wire__heartbeat__get_packed_size(message);
    uint8_t *bytes = mem_alloc(len + 1);
    Overhand__Wire__Heartbeat *copy;

    overhand__wire__heartbeat__pack(message, bytes);
    copy = overhand__wire__heartbeat__unpack(NULL, len, bytes);
    mem_free(bytes);
    ASSERT(copy != NULL);
    return copy;
}

/* Another process of this id, at another address, is alive. */
static bool member_is_other(const struct master *master, const struct member *member,
                            const Overhand__Wire__Worker *worker, uint64_t now_ms)
{
    const Overhand__Wire__Worker *known = member_worker(member);

    return known->incarnation != worker->incarnation &&
           (known->port != worker->port || strcmp(known->host, worker->host) != 0) &&
           member_state(master, member, now_ms) != WORKER_LOST;
}

const Overhand__Wire__Worker *master_find_worker(const struct master *master, const char *worker_id)
{
    bool found;
    unsigned at = master_find(master, worker_id, &found);

    return found ? member_worker(&master->members[at]) : NULL;
}

int master_on_register(struct master *master, const Overhand__Wire__RegisterWorker *message,
                       uint64_t now_ms)
{
    Overhand__Wire__Heartbeat first = OVERHAND__WIRE__HEARTBEAT__INIT;
    struct member *member, former = {0};
    bool found, same = false;
    unsigned at;

    if (worker_check(message->worker) != 0)
        return OVERHAND_E_INVALID;
    at = master_find(master, message->worker->id, &found);
    if (!found && master->n_members == LIMIT_WORKERS)
        return OVERHAND_E_NO_MEMORY;
    if (found && member_is_other(master, &master->members[at], message->worker, now_ms))
        return OVERHAND_E_EXISTS;

    if (found) {
        member = &master->members[at];
        same = member_worker(member)->incarnation == message->worker->incarnation;
        log_info("master", "worker %s is back%s", message->worker->id,
                 same ? "" : " as a new incarnation");
        former = *member;
    } else {
        log_info("master", "worker %s at %s:%u has %u shards, zone \"%s\"", message->worker->id,
                 message->worker->host, message->worker->port, message->worker->n_shards,
                 message->worker->zone);
        member = master_add_member(master, at);
    }
    first.worker = message->worker;
    first.memory_bytes = message->memory_bytes;
    *member = (struct member){.last = heartbeat_copy(&first),
                              .software = mem_strdup(message->software),
                              .heard_ms = now_ms,
                              .connected = true};
    if (same) {
        member->returned = former.last->stopping || former.returned;
        member->returned_ms = former.last->stopping ? now_ms : former.returned_ms;
    }
    if (found)
        member_fini(&former);
    master->numbered = false;
    return 0;
}

static bool worker_same_place(const Overhand__Wire__Worker *a, const Overhand__Wire__Worker *b)
{
    return strcmp(a->zone, b->zone) == 0 && strcmp(a->host, b->host) == 0;
}

int master_on_heartbeat(struct master *master, Overhand__Wire__Heartbeat *message, uint64_t now_ms,
                        bool *unknown)
{
    struct member *member;
    bool found;
    unsigned at;

    *unknown = false;
    if (worker_check(message->worker) != 0 || message->n_held > LIMIT_HELD_SHUFFLES)
        return OVERHAND_E_INVALID;
    at = master_find(master, message->worker->id, &found);
    member = found ? &master->members[at] : NULL;
    if (member == NULL || member_worker(member)->incarnation != message->worker->incarnation) {
        *unknown = true;
        return 0;
    }
    if (message->sequence < member->last->sequence)
        return 0;
    if (member_state(master, member, now_ms) == WORKER_LOST)
        log_info("master", "worker %s is heard again", message->worker->id);
    if (!worker_same_place(member_worker(member), message->worker))
        master->numbered = false;
    overhand__wire__heartbeat__free_unpacked(member->last, NULL);
    member->last = heartbeat_copy(message);
    member->heard_ms = now_ms;
    member->connected = true;
    member->assigned_since_heard = 0;
    if (message->drained)
        moved_note_drained(master, message->worker, now_ms);
    else
        moved_forget_drained(master, message->worker);
    return 0;
}

void master_on_disconnected(struct master *master, const char *worker_id, uint64_t incarnation)
{
    bool found;
    unsigned at = master_find(master, worker_id, &found);

    if (!found || member_worker(&master->members[at])->incarnation != incarnation)
        return;
    log_warn("master",
             "worker %s: connection lost, assigning nothing to it until it is heard again",
             worker_id);
    master->members[at].connected = false;
}

/* The application's position, or where it belongs. */
static unsigned master_find_app(const struct master *master, uint64_t app_uid, bool *found)
{
    unsigned low = 0, high = master->n_apps;

    while (low < high) {
        unsigned middle = low + (high - low) / 2;

        if (master->apps[middle].app_uid < app_uid)
            low = middle + 1;
        else
            high = middle;
    }
    *found = low < master->n_apps && master->apps[low].app_uid == app_uid;
    return low;
}

int master_on_app(struct master *master, uint64_t app_uid, const char *app_id, uint64_t now_ms)
{
    bool found;
    unsigned at = master_find_app(master, app_uid, &found);

    if (found) {
        master->apps[at].renewed_ms = now_ms;
        return 0;
    }
    if (master->n_apps == APPS_MAX)
        return OVERHAND_E_NO_MEMORY;
    if (master->n_apps == master->apps_capacity) {
        master->apps_capacity = master->apps_capacity == 0 ? 16 : 2 * master->apps_capacity;
        master->apps = mem_reallocarray(master->apps, master->apps_capacity, sizeof *master->apps);
    }
    memmove(&master->apps[at + 1], &master->apps[at], (master->n_apps - at) * sizeof *master->apps);
    master->apps[at] =
        (struct known_app){.app_uid = app_uid, .app_id = mem_strdup(app_id), .renewed_ms = now_ms};
    master->n_apps++;
    return 0;
}

void master_on_app_end(struct master *master, uint64_t app_uid)
{
    bool found;
    unsigned at = master_find_app(master, app_uid, &found);

    if (!found)
        return;
    mem_free(master->apps[at].app_id);
    master->n_apps--;
    memmove(&master->apps[at], &master->apps[at + 1], (master->n_apps - at) * sizeof *master->apps);
}

void master_forget(struct master *master, uint64_t now_ms)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < master->n_members; i++) {
        if (now_ms - master->members[i].heard_ms < master->options.forget_after_ms)
            master->members[kept++] = master->members[i];
        else
            member_fini(&master->members[i]);
    }
    if (kept < master->n_members)
        master->numbered = false;
    master->n_members = kept;
    moved_forget(master, now_ms);

    kept = 0;
    for (unsigned i = 0; i < master->n_apps; i++) {
        if (now_ms - master->apps[i].renewed_ms < master->options.lease_ms)
            master->apps[kept++] = master->apps[i];
        else
            mem_free(master->apps[i].app_id);
    }
    master->n_apps = kept;
}

unsigned master_n_alive(const struct master *master, uint64_t now_ms)
{
    unsigned n = 0;

    for (unsigned i = 0; i < master->n_members; i++)
        n += member_state(master, &master->members[i], now_ms) == WORKER_ALIVE;
    return n;
}

static bool member_holds(const struct member *member, uint64_t app_uid)
{
    for (size_t i = 0; i < member->last->n_held; i++)
        if (member->last->held[i]->app_uid == app_uid)
            return true;
    return false;
}

unsigned master_holders(const struct master *master, uint64_t app_uid, uint64_t now_ms,
                        Overhand__Wire__Worker ***workers)
{
    unsigned n = 0;

    *workers = mem_alloc((master->n_members + 1) * sizeof **workers);
    for (unsigned i = 0; i < master->n_members; i++) {
        const struct member *member = &master->members[i];
        if (member_state(master, member, now_ms) != WORKER_LOST && member_holds(member, app_uid))
            (*workers)[n++] = member->last->worker;
    }
    return n;
}
