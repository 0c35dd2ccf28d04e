/* Each page is a census or a query of all shards, shown row for row as the CLI shows it.
 *
 *   worker                                 who it is, its memory and its directories
 *   shuffles                               the largest first, ?limit=N, 1000 by default
 *   shuffles/UID/ID/partitions             in their order, ?first=N&limit=N
 *   shuffles/UID/ID/partitions/PARTITION   its blocks, ?limit=N
 *
 * Names that cannot be read are 400, unknown ones 404; a shuffle without data here has no
 * partitions. */
#include "worker/worker_api.h"

#include <string.h>

#include "core/mem.h"
#include "core/units.h"
#include "http/http_json.h"
#include "show/show.h"
#include "worker/query.h"
#include "worker/worker.h"

enum { API_OK = 200, API_BAD_REQUEST = 400, API_NOT_FOUND = 404, API_ROWS = 1000 };

/* A census or query under way. */
struct api_look {
    struct http_answer *answer;
    union {
        struct census census;
        struct query_partitions partitions;
        struct query_blocks blocks;
    };
};

static uint32_t api_number(const struct http_answer *answer, const char *name, uint32_t initial,
                           uint32_t most)
{
    uint64_t number = initial;

    (void)http_answer_number(answer, name, &number); /* without one the default stays */
    return number > most ? most : (uint32_t)number;
}

static struct api_look *api_look_new(struct http_answer *answer)
{
    struct api_look *look = mem_zalloc(sizeof *look);

    look->answer = answer;
    return look;
}

/* ---- worker ---- */

static json_t *api_directories(const struct census *census)
{
    static const char *const states[] = {[DIRECTORY_OPEN] = "open",
                                         [DIRECTORY_LOW] = "low",
                                         [DIRECTORY_FULL] = "full",
                                         [DIRECTORY_FAILED] = "failed"};
    json_t *directories = json_array();

    for (unsigned i = 0; i < census->n_disks; i++) {
        const struct store_directory_info *disk = &census->disks[i];

        json_array_append_new(directories,
                              json_pack("{so ss sb so so}", "path", show_text(disk->path), "state",
                                        states[disk->state], "hangs", (int)disk->hangs,
                                        "total_bytes", show_number(disk->total_bytes), "free_bytes",
                                        show_number(disk->free_bytes)));
    }
    return directories;
}

static void api_worker_on_census(struct census *census)
{
    struct api_look *look = container_of(census, struct api_look, census);
    const struct worker *worker = census->scatter.worker;
    Overhand__Wire__Heartbeat told = OVERHAND__WIRE__HEARTBEAT__INIT;
    json_t *json;

    service_fill(&worker->service, &told);
    json = json_pack("{ss so ss si ss si ss sb sb sb sb}", "id", worker->options.id, "incarnation",
                     show_uid(worker->wire.incarnation), "host", worker->options.advertise_host,
                     "port", (int)worker->wire.port, "zone", worker->options.zone, "shards",
                     (int)worker->options.n_shards, "software", "overhand " OVERHAND_VERSION,
                     "serving", worker->listener != NULL, "draining",
                     told.draining || worker_stopping(worker), "drained", (int)told.drained,
                     "excluded", (int)told.excluded);

    json_object_set_new(json, "memory_used", show_number(census->stats.memory_used));
    json_object_set_new(json, "memory_bytes", show_number(census->stats.memory_bytes));
    json_object_set_new(json, "move_total_bytes", show_number(census->move.total_bytes));
    json_object_set_new(json, "moved_bytes", show_number(census->move.moved_bytes));
    json_object_set_new(json, "pushed_bytes", show_number(census->stats.appended_bytes));
    json_object_set_new(
        json, "read_bytes",
        show_number(census->stats.read_disk_bytes + census->stats.read_memory_bytes));
    json_object_set_new(json, "partitions", show_number(census->stats.n_partitions));
    json_object_set_new(json, "shuffles", show_number(census->n_shuffles));
    json_object_set_new(json, "connections", show_number(atomic_load(&worker->n_connections)));
    json_object_set_new(json, "directories", api_directories(census));
    http_answer_finish_json(look->answer, API_OK, json);
    census_fini(census);
    mem_free(look);
}

void api_worker(struct http_answer *answer)
{
    census_start(&api_look_new(answer)->census, http_answer_owner(answer), api_worker_on_census);
}

/* ---- shuffles ---- */

static void api_shuffles_on_census(struct census *census)
{
    struct api_look *look = container_of(census, struct api_look, census);
    uint32_t limit = api_number(look->answer, "limit", API_ROWS, LIMIT_LIST_ROWS);
    json_t *rows = json_array();

    for (size_t i = 0; i < census->n_shuffles && i < limit; i++) {
        const struct census_shuffle *shuffle = &census->shuffles[i];
        Overhand__Wire__ShuffleRow row = OVERHAND__WIRE__SHUFFLE_ROW__INIT;

        row.app_id = shuffle->app_id;
        row.app_uid = shuffle->app_uid;
        row.shuffle_id = shuffle->shuffle_id;
        row.n_workers = 1;
        row.n_partitions = shuffle->n_partitions;
        row.bytes = shuffle->bytes;
        row.memory_bytes = shuffle->memory_bytes;
        json_array_append_new(rows, show_shuffle(&row));
    }
    http_answer_finish_json(
        look->answer, API_OK,
        json_pack("{so sb}", "shuffles", rows, "more", census->n_shuffles > limit));
    census_fini(census);
    mem_free(look);
}

void api_shuffles(struct http_answer *answer)
{
    census_start(&api_look_new(answer)->census, http_answer_owner(answer), api_shuffles_on_census);
}

/* ---- one shuffle ---- */

static void api_on_partitions(struct query_partitions *query)
{
    struct api_look *look = container_of(query, struct api_look, partitions);
    const struct worker *worker = query->scatter.worker;
    json_t *rows = json_array();

    for (size_t i = 0; i < query->result.n; i++)
        json_array_append_new(rows, show_partition(worker->options.id, "", &query->result.rows[i]));
    http_answer_finish_json(
        look->answer, API_OK,
        json_pack("{so sb}", "partitions", rows, "more", (int)query->result.more));
    query_partitions_fini(query);
    mem_free(look);
}

static void api_partitions(struct http_answer *answer, uint64_t app_uid, uint32_t shuffle_id)
{
    Overhand__Wire__List list = OVERHAND__WIRE__LIST__INIT;

    list.kind = OVERHAND__WIRE__LIST_KIND__LIST_PARTITIONS;
    list.app_uid = app_uid;
    list.one_shuffle = true;
    list.shuffle_id = shuffle_id;
    list.first_partition = api_number(answer, "first", 0, UINT32_MAX);
    list.limit = api_number(answer, "limit", API_ROWS, LIMIT_LIST_ROWS);
    query_partitions_start(&api_look_new(answer)->partitions, http_answer_owner(answer), &list,
                           api_on_partitions);
}

static void api_on_blocks(struct query_blocks *query)
{
    struct api_look *look = container_of(query, struct api_look, blocks);
    const struct worker *worker = query->scatter.worker;
    json_t *json, *rows = json_array();

    for (size_t i = 0; i < query->n_rows; i++)
        json_array_append_new(rows, show_block(&query->rows[i]));
    if (query->found) {
        json = show_partition(worker->options.id, "", &query->partition);
        json_object_set_new(json, "block_rows", rows);
        json_object_set_new(json, "more", json_boolean(query->more));
        http_answer_finish_json(look->answer, API_OK, json);
    } else {
        json_decref(rows);
        http_answer_finish_error(look->answer, API_NOT_FOUND,
                                 "nothing of partition %u of shuffle %u is here",
                                 query->inspect.partition, query->inspect.shuffle_id);
    }
    query_blocks_fini(query);
    mem_free(look);
}

static void api_blocks(struct http_answer *answer, uint64_t app_uid, uint32_t shuffle_id,
                       uint32_t partition)
{
    Overhand__Wire__Inspect inspect = OVERHAND__WIRE__INSPECT__INIT;

    inspect.app_uid = app_uid;
    inspect.shuffle_id = shuffle_id;
    inspect.partition = partition;
    inspect.limit = api_number(answer, "limit", API_ROWS, LIMIT_LIST_ROWS);
    query_blocks_start(&api_look_new(answer)->blocks, http_answer_owner(answer), &inspect,
                       api_on_blocks);
}

void api_shuffle(struct http_answer *answer)
{
    static const char partitions[] = "partitions";
    size_t len = sizeof partitions - 1;
    uint64_t app_uid, partition;
    uint32_t shuffle_id;
    const char *rest;

    if (show_parse_shuffle(http_answer_rest(answer), &app_uid, &shuffle_id, &rest) != 0)
        http_answer_finish_error(answer, API_BAD_REQUEST,
                                 "expected UID/ID: 16 hexadecimal digits and a number");
    else if (strcmp(rest, partitions) == 0)
        api_partitions(answer, app_uid, shuffle_id);
    else if (strncmp(rest, partitions, len) == 0 && rest[len] == '/' &&
             units_parse_count(rest + len + 1, &partition) == 0 && partition < LIMIT_PARTITIONS)
        api_blocks(answer, app_uid, shuffle_id, (uint32_t)partition);
    else
        http_answer_finish_error(answer, API_NOT_FOUND, "there is no such page");
}
