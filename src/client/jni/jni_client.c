/* org.overhand.spark.Native: library, client and driver functions of overhand.h, one to one. */
#include "jni_util.h"

#include <overhand/overhand.h>

#include <stdlib.h>

/* Order of the numbers Native.clientOpen takes. */
enum client_number {
    CLIENT_COMPRESS_THREADS,
    CLIENT_CONNECT_TIMEOUT_MS,
    CLIENT_PROGRESS_TIMEOUT_MS,
    CLIENT_REQUEST_TIMEOUT_MS,
    CLIENT_SEND_MEMORY,
    CLIENT_RECEIVE_MEMORY,
    CLIENT_N_NUMBERS
};

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

NATIVE(jint, clientOpen)
(JNIEnv *env, jclass class, jstring masters, jstring app_id, jlong app_uid, jlongArray numbers,
 jlongArray out)
{
    jlong n[CLIENT_N_NUMBERS];
    struct overhand_client *client;
    char *masters_copy;
    char *app_id_copy;
    int rc;

    (void)class;
    (*env)->GetLongArrayRegion(env, numbers, 0, CLIENT_N_NUMBERS, n);
    if ((*env)->ExceptionCheck(env))
        return OVERHAND_E_INVALID;
    masters_copy = jni_string_copy(env, masters);
    if (masters_copy == NULL)
        return OVERHAND_E_NO_MEMORY;
    app_id_copy = jni_string_copy(env, app_id);
    if (app_id_copy == NULL) {
        free(masters_copy);
        return OVERHAND_E_NO_MEMORY;
    }

    struct overhand_client_options options = {
        .size = sizeof options,
        .masters = masters_copy,
        .app_id = app_id_copy,
        .app_uid = (uint64_t)app_uid,
        .n_compress_threads = (uint32_t)n[CLIENT_COMPRESS_THREADS],
        .connect_timeout_ms = (uint32_t)n[CLIENT_CONNECT_TIMEOUT_MS],
        .progress_timeout_ms = (uint32_t)n[CLIENT_PROGRESS_TIMEOUT_MS],
        .request_timeout_ms = (uint32_t)n[CLIENT_REQUEST_TIMEOUT_MS],
        .send_memory_bytes = (uint64_t)n[CLIENT_SEND_MEMORY],
        .receive_memory_bytes = (uint64_t)n[CLIENT_RECEIVE_MEMORY],
    };
    rc = overhand_client_open(&options, &client);
    free(app_id_copy);
    free(masters_copy);
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
 jobjectArray out)
{
    struct overhand_shuffle_options options = {
        .size = sizeof options,
        .shuffle_id = (uint32_t)shuffle_id,
        .n_maps = (uint32_t)n_maps,
        .n_partitions = (uint32_t)n_partitions,
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

NATIVE(void, shuffleUnregister)(JNIEnv *env, jclass class, jlong client, jint shuffle_id)
{
    (void)env;
    (void)class;
    overhand_shuffle_unregister(jni_pointer(client), (uint32_t)shuffle_id);
}
