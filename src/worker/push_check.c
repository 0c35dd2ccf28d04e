/* May a push be taken? Looked at when its header is here, and again when its body is; nothing is
 * changed here.
 *
 * Each answer but 0 comes with words that name shuffle, partition and who refused. */
#include "worker/push_check.h"

#include <string.h>

#include "worker/worker.h"

/* The parts and their lengths. */
static int push_check_parts(const Overhand__Wire__Push *header, const struct frame *request,
                            char *why, size_t size)
{
    uint64_t sum = 0;

    if (header->n_partitions != header->n_lengths || header->n_partitions == 0) {
        snprintf(why, size, "%zu partitions and %zu lengths", header->n_partitions,
                 header->n_lengths);
        return OVERHAND_E_PROTOCOL;
    }
    for (size_t i = 0; i < header->n_partitions; i++) {
        sum += header->lengths[i];
        if (header->lengths[i] < BLOCK_HEADER_BYTES) {
            snprintf(why, size, "partition %u: length %u is less than a block's header",
                     header->partitions[i], header->lengths[i]);
            return OVERHAND_E_PROTOCOL;
        }
        if (header->partitions[i] >= LIMIT_PARTITIONS) {
            snprintf(why, size, "partition id %u out of range, the limit is %d",
                     header->partitions[i], LIMIT_PARTITIONS);
            return OVERHAND_E_INVALID;
        }
    }
    if (sum != request->body_length) {
        snprintf(why, size, "lengths add up to %llu, the body has %u bytes",
                 (unsigned long long)sum, request->body_length);
        return OVERHAND_E_PROTOCOL;
    }
    if (sum > LIMIT_PUSH_BODY_BYTES && header->n_partitions > 1) {
        snprintf(why, size, "only a single block may exceed the limit of a body");
        return OVERHAND_E_TOO_BIG;
    }
    return 0;
}

/* Who shall have the other copy. */
static int push_check_replica(const struct session *session, const Overhand__Wire__Push *header,
                              char *why, size_t size)
{
    if (header->brought && session->peer.role != OVERHAND__WIRE__ROLE__ROLE_WORKER) {
        snprintf(why, size, "only a worker that drains brings what was acked elsewhere");
        return OVERHAND_E_DENIED;
    }
    if (header->replica == NULL)
        return 0;
    if (session->peer.role == OVERHAND__WIRE__ROLE__ROLE_WORKER) {
        snprintf(why, size, "a copy is not forwarded once more");
        return OVERHAND_E_INVALID;
    }
    if (!peer_name_valid(header->replica, header->replica_shard)) {
        snprintf(why, size, "the replica's id, host, port or shard is out of range");
        return OVERHAND_E_INVALID;
    }
    if (strcmp(header->replica->id, session->shard->options.worker->options.id) == 0) {
        snprintf(why, size, "worker %s cannot be its own replica", header->replica->id);
        return OVERHAND_E_INVALID;
    }
    return 0;
}

enum store_body_kind push_body_kind(const struct session *session,
                                    const Overhand__Wire__Push *header)
{
    if (session->peer.role == OVERHAND__WIRE__ROLE__ROLE_WORKER)
        return BODY_COPY;
    return header->replica != NULL ? BODY_FORWARDED : BODY_PLAIN;
}

int push_check(const struct session *session, const Overhand__Wire__Push *header,
               const struct frame *request, char text[LIMIT_TEXT_BYTES])
{
    int n = snprintf(text, LIMIT_TEXT_BYTES, "shuffle %u: ", header->shuffle_id);
    char *why = text + n;
    size_t size = LIMIT_TEXT_BYTES - (size_t)n;
    size_t body_max = store_body_max(session->shard->store, push_body_kind(session, header));
    int rc = push_check_parts(header, request, why, size);

    if (rc == 0)
        rc = push_check_replica(session, header, why, size);
    if (rc == 0 && request->body_length > body_max) {
        snprintf(why, size,
                 "a body of %u bytes is more than this worker's memory allows (%zu%s): raise "
                 "memory.limit",
                 request->body_length, body_max, header->replica != NULL ? " with two copies" : "");
        rc = OVERHAND_E_TOO_BIG;
    }
    return rc;
}

int push_admit(const struct session *session, const Overhand__Wire__Push *header,
               char text[LIMIT_TEXT_BYTES])
{
    struct shard *shard = session->shard;
    uint64_t incarnation = shard->options.worker->wire.incarnation;
    int rc = apps_check(&shard->apps, session->peer.app_uid);

    if (rc == 0 && header->incarnation != incarnation)
        rc = OVERHAND_E_INCARNATION;
    if (rc == 0)
        rc = store_accepts(shard->store);
    if (rc != 0)
        snprintf(text, LIMIT_TEXT_BYTES,
                 "shuffle %u partition %u: worker %s, incarnation %016llx: %s", header->shuffle_id,
                 header->partitions[0], shard->options.worker->options.id,
                 (unsigned long long)incarnation, overhand_strerror(rc));
    return rc;
}

size_t push_full_partitions(const struct session *session, const Overhand__Wire__Push *header,
                            uint32_t *partitions)
{
    size_t n = 0;

    for (size_t i = 0; i < header->n_partitions; i++) {
        struct block_home home = {session->peer.app_uid, header->shuffle_id, header->partitions[i]};

        if (store_is_full(session->shard->store, &home))
            partitions[n++] = header->partitions[i];
    }
    return n;
}
