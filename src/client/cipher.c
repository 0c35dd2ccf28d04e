/* AES-GCM and HKDF by libcrypto.
 *
 * libcrypto is prepared once, when the first key is given: without its configuration file and
 * without its clean-up at exit, because compression threads may still run then (the library also
 * lives inside a JVM). What it cannot do shows there. After that its calls fail for lack of memory
 * only, and end the process like any small allocation; a tag that does not fit is an ordinary
 * answer. */
#include "client/cipher.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <pthread.h>
#include <string.h>

#include "core/bytes.h"
#include "core/mem.h"

enum { CIPHER_NONCE_BYTES = 12 };

static const char cipher_label[] = "overhand block key 1";
enum { CIPHER_LABEL_BYTES = sizeof cipher_label - 1, CIPHER_INFO_BYTES = CIPHER_LABEL_BYTES + 20 };

struct cipher {
    EVP_CIPHER_CTX *context;
};

/* ---- what libcrypto offers ---- */

static pthread_once_t cipher_once = PTHREAD_ONCE_INIT;
static EVP_CIPHER *cipher_kinds[3]; /* for keys of 16, 24, 32 bytes */
static EVP_KDF *cipher_kdf;

static void cipher_prepare(void)
{
    if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_ATEXIT, NULL) != 1)
        return;
    cipher_kinds[0] = EVP_CIPHER_fetch(NULL, "AES-128-GCM", NULL);
    cipher_kinds[1] = EVP_CIPHER_fetch(NULL, "AES-192-GCM", NULL);
    cipher_kinds[2] = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    cipher_kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
}

static const EVP_CIPHER *cipher_kind(const struct cipher_key *key)
{
    return cipher_kinds[key->len / 8 - 2];
}

/* ---- keys ---- */

int cipher_key_init(struct cipher_key *key, const void *bytes, size_t len)
{
    *key = (struct cipher_key){0};
    if (len == 0)
        return 0;
    if (bytes == NULL || (len != 16 && len != 24 && len != 32))
        return OVERHAND_E_INVALID;
    pthread_once(&cipher_once, cipher_prepare);
    key->len = (uint32_t)len;
    if (cipher_kind(key) == NULL || cipher_kdf == NULL) {
        key->len = 0;
        return OVERHAND_E_UNSUPPORTED;
    }
    memcpy(key->bytes, bytes, len);
    return 0;
}

void cipher_key_fini(struct cipher_key *key)
{
    OPENSSL_cleanse(key, sizeof *key);
}

bool cipher_key_given(const struct cipher_key *key)
{
    return key->len > 0;
}

size_t cipher_key_tag_bytes(const struct cipher_key *key)
{
    return cipher_key_given(key) ? BLOCK_TAG_BYTES : 0;
}

void cipher_key_derive(const struct cipher_key *app_key, const struct block_home *home,
                       uint64_t attempt, struct cipher_key *key)
{
    uint8_t info[CIPHER_INFO_BYTES], *numbers = info + CIPHER_LABEL_BYTES;
    char digest[] = "SHA256";

    memcpy(info, cipher_label, CIPHER_LABEL_BYTES);
    bytes_put_u64(numbers, home->app_uid);
    bytes_put_u32(numbers + 8, home->shuffle_id);
    bytes_put_u64(numbers + 12, attempt);
    const OSSL_PARAM params[] = {
        OSSL_PARAM_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, sizeof digest - 1),
        OSSL_PARAM_octet_string(OSSL_KDF_PARAM_KEY, (void *)app_key->bytes, app_key->len),
        OSSL_PARAM_octet_string(OSSL_KDF_PARAM_INFO, info, sizeof info),
        OSSL_PARAM_END,
    };
    EVP_KDF_CTX *context = EVP_KDF_CTX_new(cipher_kdf);
    ASSERT(context != NULL);
    *key = (struct cipher_key){.len = app_key->len};
    ASSERT(EVP_KDF_derive(context, key->bytes, key->len, params) == 1);
    EVP_KDF_CTX_free(context);
}

/* ---- blocks ---- */

struct cipher *cipher_new(void)
{
    struct cipher *cipher = mem_zalloc(sizeof *cipher);

    cipher->context = EVP_CIPHER_CTX_new();
    ASSERT(cipher->context != NULL);
    return cipher;
}

void cipher_free(struct cipher *cipher)
{
    if (cipher == NULL)
        return;
    EVP_CIPHER_CTX_free(cipher->context);
    mem_free(cipher);
}

/* Key, nonce and what is authenticated besides the payload. Returns the payload's length. */
static int cipher_begin(struct cipher *cipher, const struct cipher_key *app_key,
                        const struct block_header *header, const struct block_home *home, bool seal)
{
    uint8_t nonce[CIPHER_NONCE_BYTES] = {0}, identity[BLOCK_IDENTITY_BYTES];
    struct cipher_key key;
    int len;

    ASSERT(header->encrypted && header->stored_length >= BLOCK_TAG_BYTES);
    bytes_put_u32(nonce, home->partition);
    bytes_put_u32(nonce + 4, header->sequence);
    block_identity(identity, header, home);
    cipher_key_derive(app_key, home, header->attempt, &key);
    ASSERT(EVP_CipherInit_ex2(cipher->context, cipher_kind(&key), key.bytes, nonce, seal, NULL) ==
           1);
    cipher_key_fini(&key);
    ASSERT(EVP_CipherUpdate(cipher->context, NULL, &len, identity, sizeof identity) == 1);
    return (int)(header->stored_length - BLOCK_TAG_BYTES);
}

void cipher_seal(struct cipher *cipher, const struct cipher_key *app_key,
                 const struct block_header *header, const struct block_home *home, uint8_t *payload)
{
    int len = cipher_begin(cipher, app_key, header, home, true), done = 0;

    if (len > 0)
        ASSERT(EVP_EncryptUpdate(cipher->context, payload, &done, payload, len) == 1);
    ASSERT(done == len && EVP_EncryptFinal_ex(cipher->context, payload + len, &done) == 1);
    ASSERT(EVP_CIPHER_CTX_ctrl(cipher->context, EVP_CTRL_AEAD_GET_TAG, BLOCK_TAG_BYTES,
                               payload + len) == 1);
}

int cipher_open(struct cipher *cipher, const struct cipher_key *app_key,
                const struct block_header *header, const struct block_home *home,
                const uint8_t *stored, uint8_t *payload)
{
    int len = cipher_begin(cipher, app_key, header, home, false), done = 0;
    uint8_t nothing[BLOCK_TAG_BYTES];

    if (len > 0)
        ASSERT(EVP_DecryptUpdate(cipher->context, payload, &done, stored, len) == 1);
    ASSERT(EVP_CIPHER_CTX_ctrl(cipher->context, EVP_CTRL_AEAD_SET_TAG, BLOCK_TAG_BYTES,
                               (void *)(stored + len)) == 1);
    return EVP_DecryptFinal_ex(cipher->context, nothing, &done) == 1 ? 0 : OVERHAND_E_CHECKSUM;
}
