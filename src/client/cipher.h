/* Encryption of blocks with AES-GCM, on the compression threads.
 *
 * Every attempt of every shuffle has a key of its own: HKDF-SHA256 of the application's key, with
 * no salt and `info` = "overhand block key 1", app_uid, shuffle, attempt (little-endian). Under
 * that key the nonce is partition, sequence, 0 (each u32): a writer numbers the blocks of a
 * partition and seals each once, so no nonce is ever used twice. Authenticated besides the
 * payload: all of block_identity. The tag stands behind the payload. */
#ifndef CLIENT_CIPHER_H
#define CLIENT_CIPHER_H

#include <stdbool.h>

#include "core/block.h"

enum { CIPHER_KEY_BYTES_MAX = 32 };

/* An AES key of 16, 24 or 32 bytes; `len` 0: blocks are not encrypted. */
struct cipher_key {
    uint8_t bytes[CIPHER_KEY_BYTES_MAX];
    uint32_t len;
};

struct cipher; /* one thread's state */

/* Copy a key; `len` 0: none. Returns: 0, OVERHAND_E_INVALID (another length),
 * OVERHAND_E_UNSUPPORTED (this libcrypto has no AES-GCM or no HKDF). */
MUST_CHECK int cipher_key_init(struct cipher_key *key, const void *bytes, size_t len);
/* Forget it. */
void cipher_key_fini(struct cipher_key *key);
/* True when there is a key. */
bool cipher_key_given(const struct cipher_key *key);
/* Bytes that a block becomes longer by. */
size_t cipher_key_tag_bytes(const struct cipher_key *key);
/* The key of one attempt, from the application's. Of `home`, the partition does not matter. */
void cipher_key_derive(const struct cipher_key *app_key, const struct block_home *home,
                       uint64_t attempt, struct cipher_key *key);

/* A new state. Owns: the caller, cipher_free. */
struct cipher *cipher_new(void);
/* Free it. NULL is fine. */
void cipher_free(struct cipher *cipher);
/* Encrypt a payload in place and put the tag behind it: header->stored_length says how much both
 * are, and all other fields of the header must be final as well. */
void cipher_seal(struct cipher *cipher, const struct cipher_key *app_key,
                 const struct block_header *header, const struct block_home *home,
                 uint8_t *payload);
/* Decrypt header->stored_length bytes, the tag included, into `payload`, which may be the same
 * place. Returns: 0, OVERHAND_E_CHECKSUM: not what was sealed, or another key; `payload` then
 * holds nothing that may be used. */
MUST_CHECK int cipher_open(struct cipher *cipher, const struct cipher_key *app_key,
                           const struct block_header *header, const struct block_home *home,
                           const uint8_t *stored, uint8_t *payload);

#endif
