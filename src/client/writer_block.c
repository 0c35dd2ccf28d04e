/* From a chain to a sealed block, on a compression thread: tell its rows as columns if that is
 * what they are, or gather it; compress, encrypt, seal; give the arena memory back. Works in the
 * thread's scratch memory and allocates the block once, with its final size.
 *
 * What is no rows, has few of them, or does not become shorter is stored plain; what does not
 * shrink at all, as it is. */
#include <string.h>

#include "client/writer.h"
#include "core/bytes.h"
#include "core/mem.h"

/* What a block will hold, still in scratch or arena memory. */
struct content {
    const uint8_t *data; /* NULL: the chain as it is */
    size_t len;
};

/* ---- rows ---- */

/* The image of the chain's rows. Returns its length; 0: to be stored plain. */
static size_t block_make_image(const struct writer_block *block, struct rows *rows,
                               const uint8_t **image)
{
    const struct overhand_writer *writer = block->writer;

    if (writer->n_row_fields == 0 || writer->codec == OVERHAND_CODEC_NONE)
        return 0;
    rows_begin(rows, writer->n_row_fields);
    for (const struct arena_block *part = block->chain; part != NULL; part = part->next) {
        if (!rows_add(rows, part->data, part->used))
            return 0; /* not rows after all */
    }
    return rows_encode(rows, image);
}

static bool block_compress_rows(const struct writer_block *block, struct codec *codec,
                                struct content *content)
{
    const struct overhand_writer *writer = block->writer;
    const uint8_t *image;
    size_t image_len = block_make_image(block, codec_rows(codec), &image);

    if (image_len == 0)
        return false;
    uint8_t *output = codec_output(codec, block->raw_len);
    size_t len = codec_compress(codec, writer->codec, writer->codec_level, image, image_len,
                                output + BLOCK_IMAGE_LENGTH_BYTES,
                                block->raw_len - 1 - BLOCK_IMAGE_LENGTH_BYTES);
    bytes_put_u32(output, (uint32_t)image_len);
    *content = (struct content){.data = output, .len = BLOCK_IMAGE_LENGTH_BYTES + len};
    return len > 0;
}

/* ---- plain ---- */

static void block_copy_chain(const struct writer_block *block, uint8_t *to)
{
    for (const struct arena_block *part = block->chain; part != NULL; part = part->next) {
        memcpy(to, part->data, part->used);
        to += part->used;
    }
}

/* The chain's data in one piece. */
static const uint8_t *block_gather(const struct writer_block *block, struct codec *codec)
{
    if (block->chain == NULL || block->chain->next == NULL)
        return block->chain != NULL ? block->chain->data : NULL;
    uint8_t *raw = codec_scratch(codec, block->raw_len);
    block_copy_chain(block, raw);
    return raw;
}

static bool block_compress_plain(const struct writer_block *block, struct codec *codec,
                                 struct content *content)
{
    const struct overhand_writer *writer = block->writer;

    if (writer->codec == OVERHAND_CODEC_NONE || block->raw_len == 0)
        return false;
    const uint8_t *raw = block_gather(block, codec);
    uint8_t *output = codec_output(codec, block->raw_len);
    content->data = output;
    content->len = codec_compress(codec, writer->codec, writer->codec_level, raw, block->raw_len,
                                  output, block->raw_len - 1);
    return content->len > 0;
}

/* ---- the block ---- */

static struct content block_compress(const struct writer_block *block, struct codec *codec,
                                     struct block_header *header)
{
    struct content content;

    header->codec = (uint8_t)block->writer->codec;
    if (block_compress_rows(block, codec, &content)) {
        header->layout = BLOCK_LAYOUT_ROWS;
        return content;
    }
    header->layout = BLOCK_LAYOUT_PLAIN;
    if (block_compress_plain(block, codec, &content))
        return content;
    header->codec = OVERHAND_CODEC_NONE;
    return (struct content){.len = block->raw_len};
}

size_t writer_block_bytes_max(const struct overhand_writer *writer, size_t raw_len)
{
    return BLOCK_HEADER_BYTES + raw_len + cipher_key_tag_bytes(&writer->client->key);
}

static void block_pack(struct writer_block *block, struct codec *codec)
{
    const struct overhand_writer *writer = block->writer;
    const struct cipher_key *key = &writer->client->key;
    struct block_header header = {
        .attempt = writer->attempt,
        .map_index = writer->map_index,
        .sequence = block->sequence,
        .last = block->last,
        .encrypted = cipher_key_given(key),
        .raw_length = block->raw_len,
    };
    struct block_home home = {
        .app_uid = writer->layout.app_uid,
        .shuffle_id = writer->layout.shuffle_id,
        .partition = block->partition,
    };
    struct content content = block_compress(block, codec, &header);

    header.stored_length = (uint32_t)(content.len + cipher_key_tag_bytes(key));
    block->len = BLOCK_HEADER_BYTES + header.stored_length;
    block->planned_bytes = block->len;
    if (header.layout == BLOCK_LAYOUT_ROWS && block->len < block->raw_len / WRITER_ROWS_PER_LZ4)
        block->planned_bytes = block->raw_len / WRITER_ROWS_PER_LZ4;
    block->data = mem_alloc(block->len);
    uint8_t *payload = block->data + BLOCK_HEADER_BYTES;
    if (content.data != NULL)
        memcpy(payload, content.data, content.len);
    else
        block_copy_chain(block, payload);
    if (header.encrypted)
        cipher_seal(codec_cipher(codec), key, &header, &home, payload);
    block_seal(block->data, &header, &home);
}

void writer_block_run(struct work_job *job, struct codec *codec)
{
    struct writer_block *block = container_of(job, struct writer_block, job);
    struct overhand_writer *writer = block->writer;
    struct arena_block *chain = block->chain;

    if (atomic_load_explicit(&writer->status, memory_order_relaxed) == 0)
        block_pack(block, codec);
    if (chain == NULL)
        return;
    struct arena_block *end = chain;
    while (end->next != NULL)
        end = end->next;
    block->chain = NULL;
    client_lock(writer->client);
    end->next = writer->returned;
    writer->returned = chain;
    if (writer->waiting_for == WRITER_NEED_ARENA)
        pthread_cond_signal(&writer->cond);
    client_unlock(writer->client);
}
