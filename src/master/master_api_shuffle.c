/* One shuffle: who holds how much of it, by their last heartbeats; and how its partitions differ, which
 * is asked of these workers (spread.c). One that does not answer is named, the others are shown. */
#include <string.h>

#include "core/mem.h"
#include "http/http_json.h"
#include "master/master_api.h"
#include "master/master_server.h"
#include "master/spread.h"
#include "show/show.h"

enum { API_OK = 200, API_BAD_REQUEST = 400, API_NOT_FOUND = 404, API_LARGEST = 100 };

/* Who holds how much of it. */
static json_t *api_holders(const struct master_server *server, uint64_t app_uid,
                           uint32_t shuffle_id)
{
    const struct master *master = master_server_master(server);
    json_t *holders = json_array();

    for (unsigned i = 0; i < master->n_members; i++) {
        const struct member *member = &master->members[i];

        for (size_t k = 0; k < member->last->n_held; k++) {
            const Overhand__Wire__HeldShuffle *held = member->last->held[k];

            if (held->app_uid != app_uid || held->shuffle_id != shuffle_id)
                continue;
            json_array_append_new(
                holders,
                json_pack(
                    "{so ss so so so}", "worker", show_text(member_worker(member)->id), "state",
                    member_state_name(member_state(master, member, master_server_now_ms(server))),
                    "partitions", show_number(held->n_partitions), "bytes",
                    show_number(held->bytes), "memory_bytes", show_number(held->memory_bytes)));
        }
    }
    return holders;
}

/* The shuffle's row. NULL: nobody holds anything of it. */
static json_t *api_find_shuffle(const struct http_answer *answer, uint64_t app_uid,
                                uint32_t shuffle_id)
{
    Overhand__Wire__ListReply reply;
    json_t *json = NULL;

    api_list(answer, OVERHAND__WIRE__LIST_KIND__LIST_SHUFFLES, app_uid, LIMIT_LIST_ROWS, &reply);
    for (size_t i = 0; i < reply.n_shuffles && json == NULL; i++)
        if (reply.shuffles[i]->shuffle_id == shuffle_id)
            json = show_shuffle(reply.shuffles[i]);
    listing_fini(&reply);
    return json;
}

/* Partitions being asked for. */
struct api_spread {
    struct spread spread;
    struct http_answer *answer;
    json_t *shuffle; /* its row */
};

static json_t *api_largest(const struct spread *spread, uint32_t limit)
{
    json_t *largest = json_array();

    for (size_t i = 0; i < spread->n_rows && i < limit; i++) {
        const struct spread_row *row = &spread->rows[i];

        json_array_append_new(
            largest, json_pack("{so so so so so}", "partition", show_number(row->partition),
                               "bytes", show_number(row->bytes), "memory_bytes",
                               show_number(row->memory_bytes), "blocks", show_number(row->n_blocks),
                               "workers", show_number(row->n_workers)));
    }
    return largest;
}

static void api_on_spread(struct spread *spread)
{
    struct api_spread *op = container_of(spread, struct api_spread, spread);
    size_t n = spread->n_rows;
    json_t *unreachable = json_array();

    for (unsigned i = 0; i < spread->n_workers; i++) {
        int status;
        const char *id = spread_worker(spread, i, &status);

        if (status != 0)
            json_array_append_new(unreachable, show_text(id));
    }
    json_object_set_new(op->shuffle, "partitions", show_number(n));
    json_object_set_new(op->shuffle, "bytes", show_number(spread->bytes));
    json_object_set_new(op->shuffle, "memory_bytes", show_number(spread->memory_bytes));
    json_object_set_new(op->shuffle, "largest_bytes",
                        show_number(n > 0 ? spread->rows[0].bytes : 0));
    json_object_set_new(op->shuffle, "median_bytes",
                        show_number(n > 0 ? spread->rows[n / 2].bytes : 0));
    json_object_set_new(op->shuffle, "unreachable", unreachable);
    json_object_set_new(op->shuffle, "more", json_boolean(spread->more));
    json_object_set_new(op->shuffle, "largest",
                        api_largest(spread, api_limit(op->answer, API_LARGEST)));
    http_answer_finish_json(op->answer, API_OK, op->shuffle);
    spread_fini(spread);
    mem_free(op);
}

static void api_on_cancel(void *arg)
{
    struct api_spread *op = arg;

    spread_cancel(&op->spread);
}

static void api_partitions(struct http_answer *answer, json_t *shuffle, uint64_t app_uid,
                           uint32_t shuffle_id)
{
    struct master_server *server = http_answer_owner(answer);
    struct api_spread *op = mem_zalloc(sizeof *op);

    op->answer = answer;
    op->shuffle = shuffle;
    http_answer_on_cancel(answer, api_on_cancel, op);
    spread_start(&op->spread, master_server_master(server), master_server_net(server),
                 master_server_now_ms(server), app_uid, shuffle_id, api_on_spread);
}

void api_shuffle(struct http_answer *answer)
{
    struct master_server *server = http_answer_owner(answer);
    uint64_t app_uid;
    uint32_t shuffle_id;
    const char *rest;
    json_t *shuffle;

    if (show_parse_shuffle(http_answer_rest(answer), &app_uid, &shuffle_id, &rest) != 0) {
        http_answer_finish_error(answer, API_BAD_REQUEST,
                                 "expected UID/ID: 16 hexadecimal digits and a number");
        return;
    }
    if (rest[0] != '\0' && strcmp(rest, "partitions") != 0) {
        http_answer_finish_error(answer, API_NOT_FOUND, "there is no such page");
        return;
    }
    shuffle = api_find_shuffle(answer, app_uid, shuffle_id);
    if (shuffle == NULL) {
        http_answer_finish_error(answer, API_NOT_FOUND, "no worker holds shuffle %u of %016llx",
                                 shuffle_id, (unsigned long long)app_uid);
    } else if (rest[0] != '\0') {
        api_partitions(answer, shuffle, app_uid, shuffle_id);
    } else {
        json_object_set_new(shuffle, "holders", api_holders(server, app_uid, shuffle_id));
        http_answer_finish_json(answer, API_OK, shuffle);
    }
}
