/* Texts and numbers, and the rows made of them. */
#include "show/show.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

enum { SHOW_UID_DIGITS = 16 };

static const Overhand__Wire__Worker show_no_worker = OVERHAND__WIRE__WORKER__INIT;
static const Overhand__Wire__Heartbeat show_no_heartbeat = OVERHAND__WIRE__HEARTBEAT__INIT;

json_t *show_text(const char *text)
{
    json_t *json = json_string(text);

    if (json != NULL)
        return json;
    char *ascii = mem_strdup(text);
    for (char *c = ascii; *c != '\0'; c++)
        if ((unsigned char)*c >= 0x80)
            *c = '?';
    json = json_string(ascii);
    mem_free(ascii);
    return json;
}

json_t *show_uid(uint64_t uid)
{
    return json_sprintf("%016llx", (unsigned long long)uid);
}

int show_parse_uid(const char *text, uint64_t *uid)
{
    static const char digits[] = "0123456789abcdefABCDEF";

    if (strlen(text) != SHOW_UID_DIGITS || text[strspn(text, digits)] != '\0')
        return OVERHAND_E_INVALID;
    *uid = strtoull(text, NULL, 16);
    return 0;
}

int show_parse_shuffle(const char *path, uint64_t *app_uid, uint32_t *shuffle_id, const char **rest)
{
    char uid[SHOW_UID_DIGITS + 1];
    uint64_t number = 0;
    size_t n_digits;

    if (strcspn(path, "/") != SHOW_UID_DIGITS)
        return OVERHAND_E_INVALID;
    snprintf(uid, sizeof uid, "%s", path);
    path += SHOW_UID_DIGITS;
    path += *path == '/';
    n_digits = strspn(path, "0123456789");
    for (size_t i = 0; i < n_digits && number <= UINT32_MAX; i++)
        number = 10 * number + (unsigned)(path[i] - '0');
    if (n_digits == 0 || number > UINT32_MAX || (path[n_digits] != '\0' && path[n_digits] != '/'))
        return OVERHAND_E_INVALID;
    *shuffle_id = (uint32_t)number;
    *rest = path + n_digits + (path[n_digits] == '/');
    return show_parse_uid(uid, app_uid);
}

json_t *show_number(uint64_t number)
{
    return json_integer(number <= INT64_MAX ? (json_int_t)number : INT64_MAX);
}

/* ---- workers ---- */

static const Overhand__Wire__Heartbeat *show_last(const Overhand__Wire__WorkerRow *row)
{
    return row->last != NULL ? row->last : &show_no_heartbeat;
}

void show_sum_worker(const Overhand__Wire__WorkerRow *row, struct show_worker_sums *sums)
{
    const Overhand__Wire__Heartbeat *last = show_last(row);

    *sums = (struct show_worker_sums){.n_disks = (unsigned)last->n_disks};
    for (size_t i = 0; i < last->n_disks; i++) {
        if (last->disks[i]->failed) {
            sums->n_failed_disks++;
            continue;
        }
        sums->disk_total_bytes += last->disks[i]->total_bytes;
        sums->disk_free_bytes += last->disks[i]->free_bytes;
    }
    for (size_t i = 0; i < last->n_held; i++)
        sums->held_bytes += last->held[i]->bytes;
}

static json_t *show_disks(const Overhand__Wire__Heartbeat *last)
{
    json_t *disks = json_array();

    for (size_t i = 0; i < last->n_disks; i++) {
        const Overhand__Wire__Disk *disk = last->disks[i];
        json_array_append_new(disks,
                              json_pack("{so so so sb}", "path", show_text(disk->path),
                                        "total_bytes", show_number(disk->total_bytes), "free_bytes",
                                        show_number(disk->free_bytes), "failed", disk->failed));
    }
    return disks;
}

json_t *show_worker(const Overhand__Wire__WorkerRow *row)
{
    const Overhand__Wire__Worker *worker = row->worker != NULL ? row->worker : &show_no_worker;
    const Overhand__Wire__Heartbeat *last = show_last(row);
    struct show_worker_sums sums;

    show_sum_worker(row, &sums);
    json_t *json = json_pack(
        "{so so so so si so si so si so so so}", "id", show_text(worker->id), "state",
        show_text(row->state), "incarnation", show_uid(worker->incarnation), "host",
        show_text(worker->host), "port", (int)worker->port, "zone", show_text(worker->zone),
        "shards", (int)worker->n_shards, "software", show_text(row->software), "heard_ms_ago",
        (int)row->heard_ms_ago, "memory_used", show_number(last->memory_used), "memory_bytes",
        show_number(last->memory_bytes), "held_bytes", show_number(sums.held_bytes));
    json_object_set_new(json, "pushed_bytes", show_number(last->pushed_bytes));
    json_object_set_new(json, "read_bytes", show_number(last->read_bytes));
    json_object_set_new(json, "connections", show_number(last->n_connections));
    json_object_set_new(json, "refused_frames", show_number(last->refused_frames));
    json_object_set_new(json, "move_total_bytes", show_number(last->move_total_bytes));
    json_object_set_new(json, "moved_bytes", show_number(last->moved_bytes));
    json_object_set_new(json, "move_text", show_text(last->move_text));
    json_object_set_new(json, "disks", show_disks(last));
    return json;
}

/* ---- the others ---- */

json_t *show_app(const Overhand__Wire__AppRow *row)
{
    return json_pack("{so so so so so so}", "app", show_text(row->app_id), "uid",
                     show_uid(row->app_uid), "shuffles", show_number(row->n_shuffles), "workers",
                     show_number(row->n_workers), "bytes", show_number(row->bytes), "memory_bytes",
                     show_number(row->memory_bytes));
}

json_t *show_shuffle(const Overhand__Wire__ShuffleRow *row)
{
    return json_pack("{so so so so so so so}", "app", show_text(row->app_id), "uid",
                     show_uid(row->app_uid), "shuffle", show_number(row->shuffle_id), "workers",
                     show_number(row->n_workers), "partitions", show_number(row->n_partitions),
                     "bytes", show_number(row->bytes), "memory_bytes",
                     show_number(row->memory_bytes));
}

const char *show_partition_place(const Overhand__Wire__PartitionRow *row)
{
    if (row->memory_bytes >= row->bytes)
        return "memory";
    return row->memory_bytes == 0 ? "disk" : "memory+disk";
}

json_t *show_partition(const char *worker_id, const char *app_id,
                       const Overhand__Wire__PartitionRow *row)
{
    return json_pack("{so so so so so so so so so so ss so}", "worker", show_text(worker_id),
                     "shard", show_number(row->shard), "app", show_text(app_id), "uid",
                     show_uid(row->app_uid), "shuffle", show_number(row->shuffle_id), "partition",
                     show_number(row->partition), "bytes", show_number(row->bytes), "memory_bytes",
                     show_number(row->memory_bytes), "blocks", show_number(row->n_blocks),
                     "attempts", show_number(row->n_attempts), "where", show_partition_place(row),
                     "file", show_text(row->file));
}

json_t *show_block(const Overhand__Wire__BlockRow *row)
{
    return json_pack("{so so so so so so sb}", "attempt", show_number(row->attempt), "map",
                     show_number(row->map_index), "sequence", show_number(row->sequence), "flags",
                     show_number(row->flags), "stored_bytes", show_number(row->stored_length),
                     "raw_bytes", show_number(row->raw_length), "in_memory", row->in_memory);
}
