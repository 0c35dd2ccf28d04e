/* Blocks on their way to the caller. On the loop: a segment's blocks become items; what nobody
 * expects or was seen is dropped at once; jobs are started while decompressed memory lasts. On a
 * compression thread: verify, decrypt, decompress, make rows of columns. On the loop again: accept
 * once, make ready.
 *
 * A block that fails its checksum or its authentication, or does not decompress to what its
 * header says, marks its source as damaged: reader.c decides whether to read again. A block that
 * contradicts another one, or is encrypted where this client has no key (or not encrypted where it
 * has one), ends the read. */
#include <inttypes.h>

#include "client/reader.h"
#include "core/bytes.h"
#include "core/mem.h"

static void item_run(struct work_job *job, struct codec *codec);
static void item_on_done(struct work_job *job);

void reader_release_segment(struct reader_segment *segment)
{
    struct reader_source *source = segment->source;
    uint32_t len = segment->len;

    mem_free(segment);
    source_on_released(source, len);
}

static void item_drop_segment(struct reader_item *item)
{
    struct reader_segment *segment = item->segment;

    item->segment = NULL;
    item->block = NULL;
    if (segment != NULL && --segment->n_items == 0)
        reader_release_segment(segment);
}

void reader_free_item(struct reader_item *item)
{
    item_drop_segment(item);
    raw_pool_give(&item->reader->client->raw_pool, item->raw);
    mem_free(item);
}

void reader_free_items(struct list *items)
{
    struct list *node;

    while ((node = list_pop_front(items)) != NULL)
        reader_free_item(container_of(node, struct reader_item, node));
}

static void reader_count_dropped(struct overhand_reader *reader)
{
    client_lock(reader->client);
    reader->stats.n_dropped++;
    client_unlock(reader->client);
}

int reader_receive(struct overhand_reader *reader, struct reader_segment *segment,
                   uint32_t partition, const uint8_t *data, uint32_t len)
{
    struct block_walk walk;
    struct block_header header;
    const uint8_t *block;
    int rc;

    block_walk_init(&walk, data, len);
    while ((rc = block_walk_next(&walk, &block, &header)) == 1) {
        enum check_answer answer = check_look(&reader->check, partition, &header);

        if (answer == CHECK_REPEAT || answer == CHECK_FOREIGN) {
            reader_count_dropped(reader);
            continue; /* a broken one is judged once its checksum is known to be right */
        }
        struct reader_item *item = mem_alloc(sizeof *item);
        *item = (struct reader_item){
            .job = {.run = item_run, .done = item_on_done},
            .reader = reader,
            .source = segment->source,
            .segment = segment,
            .block = block,
            .header = header,
            .partition = partition,
        };
        list_init(&item->node);
        segment->n_items++;
        list_push_back(&reader->received, &item->node);
    }
    return rc;
}

void reader_pump(struct overhand_reader *reader)
{
    struct overhand_client *client = reader->client;

    while (!list_empty(&reader->received) && !reader->over) {
        struct reader_item *item = container_of(reader->received.next, struct reader_item, node);
        uint32_t raw_len = item->header.raw_length;

        client_lock(client);
        bool fits = reader->raw_ahead_bytes == 0 ||
                    reader->raw_ahead_bytes + raw_len <= READER_RAW_AHEAD_BYTES;
        if (fits)
            reader->raw_ahead_bytes += raw_len;
        client_unlock(client);
        if (!fits)
            return;
        list_remove(&item->node);
        reader->n_jobs++;
        work_submit(client->work, &item->job, true);
    }
}

/* The payload in the clear. Returns: 0, OVERHAND_E_CHECKSUM. */
static int item_decrypt(struct reader_item *item, struct codec *codec,
                        const struct block_home *home, const uint8_t **payload, size_t *len)
{
    const struct cipher_key *key = &item->reader->client->key;
    const struct block_header *header = &item->header;
    const uint8_t *stored = item->block + BLOCK_HEADER_BYTES;
    uint8_t *clear;

    *payload = stored;
    *len = header->stored_length;
    if (!header->encrypted)
        return 0;
    *len -= BLOCK_TAG_BYTES;
    *payload = clear = codec_scratch(codec, *len);
    return cipher_open(codec_cipher(codec), key, header, home, stored, clear);
}

/* The raw bytes of a payload in the clear. Returns: 0, OVERHAND_E_PROTOCOL, OVERHAND_E_NO_MEMORY. */
static int item_unpack(const struct reader_item *item, struct codec *codec, const uint8_t *payload,
                       size_t len)
{
    const struct block_header *header = &item->header;

    if (header->layout == BLOCK_LAYOUT_PLAIN)
        return codec_decompress(codec, header->codec, payload, len, item->raw, header->raw_length);
    size_t image_len = bytes_get_u32(payload);
    if (image_len > header->raw_length)
        return OVERHAND_E_PROTOCOL;
    uint8_t *image = codec_output(codec, image_len);
    int rc = codec_decompress(codec, header->codec, payload + BLOCK_IMAGE_LENGTH_BYTES,
                              len - BLOCK_IMAGE_LENGTH_BYTES, image, image_len);
    return rc != 0
               ? rc
               : rows_decode(codec_rows(codec), image, image_len, item->raw, header->raw_length);
}

static void item_run(struct work_job *job, struct codec *codec)
{
    struct reader_item *item = container_of(job, struct reader_item, job);
    const struct overhand_reader *reader = item->reader;
    const struct block_header *header = &item->header;
    struct block_home home = {
        .app_uid = reader->layout.app_uid,
        .shuffle_id = reader->layout.shuffle_id,
        .partition = item->partition,
    };
    const uint8_t *payload;
    size_t len;

    item->status = block_verify(item->block, header, &home);
    if (item->status != 0)
        return;
    item->key_differs = header->encrypted != cipher_key_given(&reader->client->key);
    if (item->key_differs)
        return;
    item->status = item_decrypt(item, codec, &home, &payload, &len);
    item->unauthentic = item->status != 0;
    if (item->status != 0 || header->raw_length == 0)
        return;
    item->raw = raw_pool_take(&reader->client->raw_pool, header->raw_length);
    item->status = item_unpack(item, codec, payload, len);
}

static void reader_give_raw(struct overhand_reader *reader, uint32_t raw_len)
{
    client_lock(reader->client);
    reader->raw_ahead_bytes -= raw_len;
    client_unlock(reader->client);
}

static void item_make_ready(struct reader_item *item)
{
    struct overhand_reader *reader = item->reader;

    item_drop_segment(item); /* its memory may take new frames */
    client_lock(reader->client);
    list_push_back(&reader->ready, &item->node);
    pthread_cond_signal(&reader->cond);
    client_unlock(reader->client);
}

static struct overhand_expected item_expected(const struct reader_item *item)
{
    return (struct overhand_expected){
        .attempt = item->header.attempt,
        .map_index = item->header.map_index,
        .partition = item->partition,
    };
}

/* A verified block: deliver it, drop it, or end the read. */
static void item_judge(struct reader_item *item)
{
    struct overhand_reader *reader = item->reader;
    const struct block_header *header = &item->header;
    struct overhand_expected lost = item_expected(item);
    enum check_answer answer = check_accept(&reader->check, item->partition, header);

    if (answer == CHECK_NEW && header->raw_length > 0) {
        item_make_ready(item);
        return;
    }
    reader_give_raw(reader, header->raw_length);
    if (answer == CHECK_BROKEN)
        reader_fail(reader, OVERHAND_E_LOST, &lost,
                    "block %" PRIu32 " contradicts what was read before of this attempt",
                    header->sequence);
    else if (answer != CHECK_NEW)
        reader_count_dropped(reader);
    reader_free_item(item);
}

/* Damaged, or sealed by another rule: another copy may be well, another rule is everywhere. */
static void item_refuse(struct reader_item *item)
{
    struct overhand_reader *reader = item->reader;
    struct overhand_expected lost = item_expected(item);

    reader_give_raw(reader, item->header.raw_length);
    if (item->key_differs) {
        reader_fail(reader, OVERHAND_E_CHECKSUM, &lost,
                    "block %" PRIu32 " is %sencrypted and this client has %s key: encryption_key "
                    "(spark.io.encryption.enabled) must be the same in all processes of the "
                    "application",
                    item->header.sequence, item->header.encrypted ? "" : "not ",
                    item->header.encrypted ? "no" : "a");
    } else {
        item->source->damaged = true;
        item->source->unauthentic |= item->unauthentic;
    }
    reader_free_item(item);
}

static void item_on_done(struct work_job *job)
{
    struct reader_item *item = container_of(job, struct reader_item, job);
    struct overhand_reader *reader = item->reader;

    reader->n_jobs--;
    if (reader->over) {
        reader_give_raw(reader, item->header.raw_length);
        reader_free_item(item);
    } else if (item->status != 0 || item->key_differs) {
        item_refuse(item);
    } else {
        item_judge(item);
    }
    reader_pump(reader);
    reader_check_end(reader);
    reader_free_if_over(reader);
}
