/* Lists are those of listing.c, row for row as the CLI shows them; all of it is known here. One shuffle
 * is in master_api_shuffle.c.
 *
 * Lists have ?limit=N rows, 1000 by default and LIMIT_LIST_ROWS at the most, and say with "more" that
 * rows were left out. Unknown things are 404, names that cannot be read 400. */
#include "master/master_api.h"

#include <string.h>

#include "core/mem.h"
#include "core/units.h"
#include "http/http_json.h"
#include "master/master_server.h"
#include "show/show.h"

enum {
    API_OK = 200,
    API_BAD_REQUEST = 400,
    API_NOT_FOUND = 404,
    API_ROWS = 1000,
};

uint32_t api_limit(const struct http_answer *answer, uint32_t initial)
{
    uint64_t limit = initial;

    (void)http_answer_number(answer, "limit", &limit); /* without one the default stays */
    return limit == 0 || limit > LIMIT_LIST_ROWS ? LIMIT_LIST_ROWS : (uint32_t)limit;
}

void api_list(const struct http_answer *answer, Overhand__Wire__ListKind kind, uint64_t app_uid,
              uint32_t limit, Overhand__Wire__ListReply *reply)
{
    const struct master_server *server = http_answer_owner(answer);
    Overhand__Wire__List list = OVERHAND__WIRE__LIST__INIT;
    int rc;

    list.kind = kind;
    list.app_uid = app_uid;
    list.limit = limit;
    rc = listing_make(master_server_master(server), &list, master_server_now_ms(server), reply);
    ASSERT(rc == 0); /* masters list these kinds */
}

static json_t *api_rows_of_workers(const Overhand__Wire__ListReply *reply)
{
    json_t *rows = json_array();

    for (size_t i = 0; i < reply->n_workers; i++)
        json_array_append_new(rows, show_worker(reply->workers[i]));
    return rows;
}

static json_t *api_rows_of_apps(const Overhand__Wire__ListReply *reply)
{
    json_t *rows = json_array();

    for (size_t i = 0; i < reply->n_apps; i++)
        json_array_append_new(rows, show_app(reply->apps[i]));
    return rows;
}

static json_t *api_rows_of_shuffles(const Overhand__Wire__ListReply *reply)
{
    json_t *rows = json_array();

    for (size_t i = 0; i < reply->n_shuffles; i++)
        json_array_append_new(rows, show_shuffle(reply->shuffles[i]));
    return rows;
}

static void api_finish_list(struct http_answer *answer, Overhand__Wire__ListKind kind,
                            const char *name,
                            json_t *(*make)(const Overhand__Wire__ListReply *reply))
{
    Overhand__Wire__ListReply reply;
    json_t *json;

    api_list(answer, kind, 0, api_limit(answer, API_ROWS), &reply);
    json = json_pack("{so sb}", name, make(&reply), "more", (int)reply.more);
    listing_fini(&reply);
    http_answer_finish_json(answer, API_OK, json);
}

void api_workers(struct http_answer *answer)
{
    api_finish_list(answer, OVERHAND__WIRE__LIST_KIND__LIST_WORKERS, "workers",
                    api_rows_of_workers);
}

void api_apps(struct http_answer *answer)
{
    api_finish_list(answer, OVERHAND__WIRE__LIST_KIND__LIST_APPS, "apps", api_rows_of_apps);
}

void api_shuffles(struct http_answer *answer)
{
    api_finish_list(answer, OVERHAND__WIRE__LIST_KIND__LIST_SHUFFLES, "shuffles",
                    api_rows_of_shuffles);
}

/* ---- the cluster ---- */

struct api_sums {
    uint64_t memory_used, memory_bytes, pushed_bytes, read_bytes, held_bytes;
    uint64_t disk_total_bytes, disk_free_bytes;
    unsigned n_disks, n_failed_disks;
};

static void api_add_problem(json_t *problems, char *text)
{
    json_array_append_new(problems, show_text(text));
    mem_free(text);
}

static void api_add_worker(struct api_sums *sums, const Overhand__Wire__WorkerRow *row,
                           json_t *problems)
{
    struct show_worker_sums worker;
    char heard[UNITS_TEXT_BYTES];

    if (strcmp(row->state, "lost") == 0) {
        api_add_problem(problems,
                        mem_printf("worker %s is lost, last heard %s ago", row->worker->id,
                                   units_format_duration_about(row->heard_ms_ago, heard)));
        return;
    }
    show_sum_worker(row, &worker);
    sums->memory_used += row->last->memory_used;
    sums->memory_bytes += row->last->memory_bytes;
    sums->pushed_bytes += row->last->pushed_bytes;
    sums->read_bytes += row->last->read_bytes;
    sums->held_bytes += worker.held_bytes;
    sums->disk_total_bytes += worker.disk_total_bytes;
    sums->disk_free_bytes += worker.disk_free_bytes;
    sums->n_disks += worker.n_disks;
    sums->n_failed_disks += worker.n_failed_disks;
    for (size_t i = 0; i < row->last->n_disks; i++)
        if (row->last->disks[i]->failed)
            api_add_problem(problems, mem_printf("worker %s: disk %s is out of service",
                                                 row->worker->id, row->last->disks[i]->path));
    if (row->last->draining && row->last->move_text[0] != '\0')
        api_add_problem(problems, mem_printf("worker %s drains and does not get on: %s",
                                             row->worker->id, row->last->move_text));
}

/* One more worker in this state. */
static void api_count(json_t *states, const char *state)
{
    json_int_t n = json_integer_value(json_object_get(states, state));

    json_object_set_new(states, state, json_integer(n + 1));
}

static size_t api_n_rows(const struct http_answer *answer, Overhand__Wire__ListKind kind)
{
    Overhand__Wire__ListReply reply;
    size_t n;

    api_list(answer, kind, 0, LIMIT_LIST_ROWS, &reply);
    n = reply.n_apps + reply.n_shuffles;
    listing_fini(&reply);
    return n;
}

void api_cluster(struct http_answer *answer)
{
    const struct master_server *server = http_answer_owner(answer);
    const struct master *master = master_server_master(server);
    json_t *states = json_pack("{si si si}", "alive", 0, "draining", 0, "lost", 0);
    json_t *problems = json_array();
    struct api_sums sums = {0};
    Overhand__Wire__ListReply reply;

    api_list(answer, OVERHAND__WIRE__LIST_KIND__LIST_WORKERS, 0, LIMIT_LIST_ROWS, &reply);
    for (size_t i = 0; i < reply.n_workers; i++) {
        api_count(states, reply.workers[i]->state);
        api_add_worker(&sums, reply.workers[i], problems);
    }
    listing_fini(&reply);
    if (json_integer_value(json_object_get(states, "alive")) == 0)
        json_array_append_new(problems, json_string("no worker takes data"));
    http_answer_finish_json(
        answer, API_OK,
        json_pack("{ss sb so s{so so} s{si si so so} so so so so so so}", "software",
                  "overhand " OVERHAND_VERSION, "ready",
                  master_ready(master, master_server_now_ms(server)) == 0, "workers", states,
                  "memory", "used", show_number(sums.memory_used), "bytes",
                  show_number(sums.memory_bytes), "disks", "count", (int)sums.n_disks, "failed",
                  (int)sums.n_failed_disks, "total_bytes", show_number(sums.disk_total_bytes),
                  "free_bytes", show_number(sums.disk_free_bytes), "apps",
                  show_number(api_n_rows(answer, OVERHAND__WIRE__LIST_KIND__LIST_APPS)), "shuffles",
                  show_number(api_n_rows(answer, OVERHAND__WIRE__LIST_KIND__LIST_SHUFFLES)),
                  "held_bytes", show_number(sums.held_bytes), "pushed_bytes",
                  show_number(sums.pushed_bytes), "read_bytes", show_number(sums.read_bytes),
                  "problems", problems));
}

void api_history(struct http_answer *answer)
{
    const struct master_server *server = http_answer_owner(answer);
    const struct history *history = master_server_history(server);
    uint64_t now_ms = master_server_now_ms(server);
    json_t *samples = json_array();

    for (unsigned i = 0; i < history->n_samples; i++) {
        const struct history_sample *sample = history_get(history, i);

        json_array_append_new(samples, json_pack("{so so so so so}", "ms_ago",
                                                 show_number(now_ms - sample->at_ms),
                                                 "pushed_bytes", show_number(sample->pushed_bytes),
                                                 "read_bytes", show_number(sample->read_bytes),
                                                 "held_bytes", show_number(sample->held_bytes),
                                                 "memory_used", show_number(sample->memory_used)));
    }
    http_answer_finish_json(
        answer, API_OK,
        json_pack("{si so}", "interval_ms", HISTORY_INTERVAL_MS, "samples", samples));
}

/* ---- one of them ---- */

void api_worker(struct http_answer *answer)
{
    const char *id = http_answer_rest(answer);
    Overhand__Wire__ListReply reply;
    json_t *json = NULL;

    api_list(answer, OVERHAND__WIRE__LIST_KIND__LIST_WORKERS, 0, LIMIT_LIST_ROWS, &reply);
    for (size_t i = 0; i < reply.n_workers && json == NULL; i++) {
        const Overhand__Wire__WorkerRow *row = reply.workers[i];

        if (strcmp(row->worker->id, id) != 0)
            continue;
        json = show_worker(row);
        json_t *held = json_array();
        for (size_t k = 0; k < row->last->n_held; k++) {
            const Overhand__Wire__HeldShuffle *shuffle = row->last->held[k];

            json_array_append_new(held, json_pack("{so so so so so so}", "app",
                                                  show_text(shuffle->app_id), "uid",
                                                  show_uid(shuffle->app_uid), "shuffle",
                                                  show_number(shuffle->shuffle_id), "partitions",
                                                  show_number(shuffle->n_partitions), "bytes",
                                                  show_number(shuffle->bytes), "memory_bytes",
                                                  show_number(shuffle->memory_bytes)));
        }
        json_object_set_new(json, "held", held);
    }
    listing_fini(&reply);
    if (json != NULL)
        http_answer_finish_json(answer, API_OK, json);
    else
        http_answer_finish_error(answer, API_NOT_FOUND, "no worker %s", id);
}

void api_app(struct http_answer *answer)
{
    const char *name = http_answer_rest(answer);
    Overhand__Wire__ListReply apps, shuffles;
    uint64_t app_uid;
    json_t *json;

    if (show_parse_uid(name, &app_uid) != 0) {
        http_answer_finish_error(answer, API_BAD_REQUEST,
                                 "expected the uid of an application, 16 hexadecimal digits");
        return;
    }
    api_list(answer, OVERHAND__WIRE__LIST_KIND__LIST_APPS, app_uid, LIMIT_LIST_ROWS, &apps);
    if (apps.n_apps == 0) {
        listing_fini(&apps);
        http_answer_finish_error(answer, API_NOT_FOUND, "no application %s", name);
        return;
    }
    api_list(answer, OVERHAND__WIRE__LIST_KIND__LIST_SHUFFLES, app_uid, LIMIT_LIST_ROWS, &shuffles);
    json = show_app(apps.apps[0]);
    json_object_set_new(json, "shuffle_rows", api_rows_of_shuffles(&shuffles));
    listing_fini(&apps);
    listing_fini(&shuffles);
    http_answer_finish_json(answer, API_OK, json);
}
