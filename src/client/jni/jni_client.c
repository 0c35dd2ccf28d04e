/* org.overhand.spark.Native: library, client and driver functions of overhand.h, one to one. */
#include "jni_util.h"
#include "log_queue.h"

#include <overhand/overhand.h>

#include <stdlib.h>
#include <string.h>

/* Order of the numbers Native.clientOpen takes. */
enum client_number {
    CLIENT_COMPRESS_THREADS,
    CLIENT_CONNECT_TIMEOUT_MS,
    CLIENT_PROGRESS_TIMEOUT_MS,
    CLIENT_REQUEST_TIMEOUT_MS,
    CLIENT_SEND_MEMORY,
    CLIENT_RECEIVE_MEMORY,
    CLIENT_LOG_LEVEL,
    CLIENT_N_NUMBERS
};

enum { CLIENT_KEY_BYTES_MAX = 32 };

NATIVE(jstring, version)(JNIEnv *env, jclass class)
{
    (void)class;
    return jni_string_new(env, overhand_version());
}

NATIVE(jstring, errorName)(JNIEnv *env, jclass class, jint code)
{
    (void)class;
    return jni_string_new(env, overhand_error_name(code));
}

NATIVE(jstring, errorText)(JNIEnv *env, jclass class, jint code)
{
    (void)class;
    return jni_string_new(env, overhand_strerror(code));
}

NATIVE(jlong, appUidNew)(JNIEnv *env, jclass class)
{
    (void)env;
    (void)class;
    return (jlong)overhand_app_uid_new();
}

/* What overhand_client_open borrows while it copies. */
struct client_input {
    jlong n[CLIENT_N_NUMBERS];
    char *masters, *app_id;
    unsigned char key[CLIENT_KEY_BYTES_MAX];
    jsize key_len;
};

static void client_input_fini(struct client_input *input)
{
    free(input->app_id);
    free(input->masters);
    explicit_bzero(input->key, sizeof input->key);
}

/* Returns: 0, OVERHAND_E_INVALID, OVERHAND_E_NO_MEMORY with an exception pending. */
static int client_input_init(struct client_input *input, JNIEnv *env, jstring masters,
                             jstring app_id, jlongArray numbers, jbyteArray key)
{
    *input = (struct client_input){0};
    (*env)->GetLongArrayRegion(env, numbers, 0, CLIENT_N_NUMBERS, input->n);
    if ((*env)->ExceptionCheck(env))
        return OVERHAND_E_INVALID;
    input->key_len = key != NULL ? (*env)->GetArrayLength(env, key) : 0;
    if (input->key_len > CLIENT_KEY_BYTES_MAX)
        return OVERHAND_E_INVALID;
    if (key != NULL)
        (*env)->GetByteArrayRegion(env, key, 0, input->key_len, (jbyte *)input->key);
    input->masters = jni_string_copy(env, masters);
    if (input->masters == NULL)
        return OVERHAND_E_NO_MEMORY;
    input->app_id = jni_string_copy(env, app_id);
    return input->app_id != NULL ? 0 : OVERHAND_E_NO_MEMORY;
}

static int client_open(const struct client_input *input, jlong app_uid,
                       struct overhand_client **client)
{
    const jlong *n = input->n;
    struct overhand_client_options options = {
        .size = sizeof options,
        .masters = input->masters,
        .app_id = input->app_id,
        .app_uid = (uint64_t)app_uid,
        .n_compress_threads = (uint32_t)n[CLIENT_COMPRESS_THREADS],
        .connect_timeout_ms = (uint32_t)n[CLIENT_CONNECT_TIMEOUT_MS],
        .progress_timeout_ms = (uint32_t)n[CLIENT_PROGRESS_TIMEOUT_MS],
        .request_timeout_ms = (uint32_t)n[CLIENT_REQUEST_TIMEOUT_MS],
        .send_memory_bytes = (uint64_t)n[CLIENT_SEND_MEMORY],
        .receive_memory_bytes = (uint64_t)n[CLIENT_RECEIVE_MEMORY],
        .log = log_queue_put,
        .log_level = (enum overhand_log_level)n[CLIENT_LOG_LEVEL],
        .encryption_key = input->key,
        .encryption_key_len = (uint32_t)input->key_len,
    };

    return overhand_client_open(&options, client);
}

NATIVE(jint, clientOpen)
(JNIEnv *env, jclass class, jstring masters, jstring app_id, jlong app_uid, jlongArray numbers,
 jbyteArray key, jlongArray out)
{
    struct overhand_client *client;
    struct client_input input;
    int rc = client_input_init(&input, env, masters, app_id, numbers, key);

    (void)class;
    if (rc == 0)
        rc = client_open(&input, app_uid, &client);
    client_input_fini(&input);
    if (rc == 0) {
        jlong handle = jni_address(client);
        (*env)->SetLongArrayRegion(env, out, 0, 1, &handle);
    }
    return rc;
}

NATIVE(void, clientClose)(JNIEnv *env, jclass class, jlong client)
{
    (void)env;
    (void)class;
    overhand_client_close(jni_pointer(client));
}

NATIVE(jstring, clientError)(JNIEnv *env, jclass class, jlong client)
{
    (void)class;
    return jni_string_new(env, overhand_client_error(jni_pointer(client)));
}

NATIVE(jint, appOpen)(JNIEnv *env, jclass class, jlong client, jint timeout_ms)
{
    (void)env;
    (void)class;
    return overhand_app_open(jni_pointer(client), (uint32_t)timeout_ms);
}

NATIVE(void, appClose)(JNIEnv *env, jclass class, jlong client, jint timeout_ms)
{
    (void)env;
    (void)class;
    overhand_app_close(jni_pointer(client), (uint32_t)timeout_ms);
}

NATIVE(jint, shuffleRegister)
(JNIEnv *env, jclass class, jlong client, jint shuffle_id, jint n_maps, jint n_partitions,
 jint replicas, jobjectArray out)
{
    struct overhand_shuffle_options options = {
        .size = sizeof options,
        .shuffle_id = (uint32_t)shuffle_id,
        .n_maps = (uint32_t)n_maps,
        .n_partitions = (uint32_t)n_partitions,
        .replicas = (uint32_t)replicas,
    };
    void *layout;
    size_t layout_len;
    jbyteArray bytes;
    int rc;

    (void)class;
    rc = overhand_shuffle_register(jni_pointer(client), &options, &layout, &layout_len);
    if (rc != 0)
        return rc;
    bytes = (*env)->NewByteArray(env, (jsize)layout_len);
    if (bytes != NULL) {
        (*env)->SetByteArrayRegion(env, bytes, 0, (jsize)layout_len, layout);
        (*env)->SetObjectArrayElement(env, out, 0, bytes);
    }
    overhand_free(layout);
    return 0;
}

NATIVE(jint, shuffleUnregister)
(JNIEnv *env, jclass class, jlong client, jint shuffle_id, jlong attempts_below, jint timeout_ms)
{
    (void)env;
    (void)class;
    return overhand_shuffle_unregister(jni_pointer(client), (uint32_t)shuffle_id,
                                       (uint64_t)attempts_below, (uint32_t)timeout_ms);
}
