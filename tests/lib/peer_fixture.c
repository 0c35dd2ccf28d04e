/* Two simulated workers that copy for each other: see peer_fixture.h. */
#include "peer_fixture.h"

#include <string.h>

#include "core/mem.h"

static struct block_home peer_fixture_home(uint32_t partition)
{
    return (struct block_home){WORKER_FIXTURE_APP, PEER_FIXTURE_SHUFFLE, partition};
}

int peer_fixture_setup(void **state)
{
    struct peer_fixture *f = mem_zalloc(sizeof *f);
    struct block_home home = peer_fixture_home(PEER_FIXTURE_PARTITION);

    worker_fixture_init(&f->workers[0]);
    worker_fixture_init_beside(&f->workers[1], &f->workers[0]);
    sim_net_set_buffer(f->workers[0].net, 256 << 10);
    sim_net_set_segment(f->workers[0].net, 64 << 10);
    for (unsigned i = 0; i < 2; i++) {
        f->workers[i].memory_bytes = 16 << 20;
        worker_fixture_start(&f->workers[i], 77 + i);
        worker_fixture_executor(&f->workers[i], &f->writers[i]);
    }
    worker_peer_block(f->block, &home, 9, 4, 0, true, PEER_FIXTURE_PAYLOAD);
    *state = f;
    return 0;
}

void peer_fixture_advance(struct peer_fixture *f, uint64_t ms)
{
    sim_loop_advance_ms(&f->workers[0].loop, ms);
}

int peer_fixture_teardown(void **state)
{
    struct peer_fixture *f = *state;

    sim_net_heal(f->workers[0].net, "worker", "worker-2");
    for (unsigned i = 0; i < 2; i++) {
        sim_disk_release_all(&f->workers[i].disk);
        worker_peer_close(&f->writers[i]);
    }
    for (unsigned i = 0; i < f->n_pushes; i++) {
        ASSERT(f->pushes[i].n_answers == 1);
        mem_free(f->pushes[i].body.iov_base);
    }
    worker_fixture_fini(&f->workers[1]);
    worker_fixture_fini(&f->workers[0]);
    mem_free(f);
    return 0;
}

/* ---- pushing ---- */

static void peer_fixture_push_on_answer(struct rpc_call *call, int status, const uint8_t *header,
                                        size_t len, const char *error_text)
{
    struct peer_fixture_push *push = container_of(call, struct peer_fixture_push, call);
    Overhand__Wire__Status *reply = NULL;

    push->n_answers++;
    push->status = status;
    snprintf(push->error, sizeof push->error, "%s", error_text);
    if (status != 0)
        return;
    reply = overhand__wire__status__unpack(NULL, len, header);
    ASSERT(reply != NULL);
    push->replica_incarnation = reply->replica_incarnation;
    overhand__wire__status__free_unpacked(reply, NULL);
}

Overhand__Wire__Worker peer_fixture_named(const char *id, const char *host)
{
    Overhand__Wire__Worker worker = OVERHAND__WIRE__WORKER__INIT;

    worker.id = (char *)id;
    worker.host = (char *)host;
    worker.port = WORKER_FIXTURE_PORT;
    return worker;
}

struct peer_fixture_push *peer_fixture_push_start(struct peer_fixture *f, unsigned at,
                                                  uint32_t partition, uint32_t payload)
{
    const struct worker_fixture *other = &f->workers[1 - at];
    Overhand__Wire__Push message = OVERHAND__WIRE__PUSH__INIT;
    struct peer_fixture_push *push = &f->pushes[f->n_pushes];
    struct block_home home = peer_fixture_home(partition);
    uint32_t length = BLOCK_HEADER_BYTES + payload;

    *push = (struct peer_fixture_push){.status = PEER_FIXTURE_UNANSWERED, .partition = partition};
    push->replica = peer_fixture_named(other->id, other->host);
    push->body = (struct iovec){mem_alloc(length), length};
    worker_peer_block(push->body.iov_base, &home, 100 + f->n_pushes, 1, 0, true, payload);
    f->n_pushes++;
    message.shuffle_id = PEER_FIXTURE_SHUFFLE;
    message.incarnation = f->writers[at].incarnation;
    message.n_partitions = message.n_lengths = 1;
    message.partitions = &push->partition;
    message.lengths = &length;
    message.replica = &push->replica;
    rpc_call(f->writers[at].conn, &push->call, FRAME_PUSH, &message.base, &push->body, 1, 0,
             peer_fixture_push_on_answer);
    return push;
}

static bool peer_fixture_push_answered(void *arg)
{
    return ((struct peer_fixture_push *)arg)->status != PEER_FIXTURE_UNANSWERED;
}

void peer_fixture_push_await(struct peer_fixture *f, struct peer_fixture_push *push)
{
    ASSERT(sim_loop_run_until(&f->workers[0].loop, peer_fixture_push_answered, push));
}

int peer_fixture_push_naming(struct peer_fixture *f, const Overhand__Wire__Worker *replica,
                             uint32_t shard)
{
    Overhand__Wire__Push message = OVERHAND__WIRE__PUSH__INIT;
    uint32_t partition = PEER_FIXTURE_PARTITION, length = PEER_FIXTURE_BLOCK;

    message.shuffle_id = PEER_FIXTURE_SHUFFLE;
    message.incarnation = f->writers[0].incarnation;
    message.n_partitions = message.n_lengths = 1;
    message.partitions = &partition;
    message.lengths = &length;
    message.replica = (Overhand__Wire__Worker *)replica;
    message.replica_shard = shard;
    return worker_peer_call(&f->writers[0], FRAME_PUSH, &message.base, f->block,
                            PEER_FIXTURE_BLOCK);
}

bool peer_fixture_has(struct peer_fixture *f, unsigned at, uint32_t partition, const void *bytes,
                      size_t len)
{
    struct worker_stream stream;
    struct worker_peer reader;
    bool has;

    ASSERT(worker_fixture_peer(&f->workers[at], &reader, OVERHAND__WIRE__ROLE__ROLE_EXECUTOR,
                               WORKER_FIXTURE_APP, 1) == 0);
    worker_stream_open(&reader, &stream, PEER_FIXTURE_SHUFFLE, partition, 1, 1 << 30);
    ASSERT(worker_stream_wait(&stream) == 0);
    has = stream.len > 0 && memmem(stream.bytes, stream.len, bytes, len) != NULL;
    worker_stream_free(&stream);
    worker_peer_close(&reader);
    return has;
}

bool peer_fixture_push_is_at(struct peer_fixture *f, const struct peer_fixture_push *push,
                             unsigned at)
{
    return peer_fixture_has(f, at, push->partition, push->body.iov_base, push->body.iov_len);
}
