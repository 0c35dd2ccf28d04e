/* org.overhand.spark.Native: the reader functions of overhand.h, one to one.
 *
 * Opening gathers what Java holds in four arrays and a layout into one temporary struct; it fails with
 * OVERHAND_E_NO_MEMORY, and a Java exception pending, when there is no memory for that. */
#include "jni_util.h"

#include <overhand/overhand.h>

#include <stdlib.h>

enum { BATCH_N_FIELDS = 6, LOST_N_FIELDS = 3, READER_N_STATS = 5 };

/* What overhand_reader_open borrows while it copies. */
struct reader_input {
    struct overhand_expected *expected;
    jsize n_expected;
    char **exceptions;
    jsize n_exceptions;
};

static void reader_input_fini(struct reader_input *input)
{
    for (jsize i = 0; i < input->n_exceptions; i++)
        free(input->exceptions[i]);
    free(input->exceptions);
    free(input->expected);
}

/* Returns: 0, OVERHAND_E_NO_MEMORY with an exception pending. */
static int reader_input_expected(struct reader_input *input, JNIEnv *env, jlongArray attempts,
                                 jintArray maps, jintArray partitions)
{
    jsize n = (*env)->GetArrayLength(env, attempts);
    jlong *attempt = (*env)->GetLongArrayElements(env, attempts, NULL);
    jint *map = attempt == NULL ? NULL : (*env)->GetIntArrayElements(env, maps, NULL);
    jint *partition = map == NULL ? NULL : (*env)->GetIntArrayElements(env, partitions, NULL);
    int rc = OVERHAND_E_NO_MEMORY;

    input->expected = calloc((size_t)n + 1, sizeof *input->expected);
    if (partition != NULL && input->expected != NULL) {
        for (jsize i = 0; i < n; i++) {
            input->expected[i].attempt = (uint64_t)attempt[i];
            input->expected[i].map_index = (uint32_t)map[i];
            input->expected[i].partition = (uint32_t)partition[i];
        }
        input->n_expected = n;
        rc = 0;
    }
    if (partition != NULL)
        (*env)->ReleaseIntArrayElements(env, partitions, partition, JNI_ABORT);
    if (map != NULL)
        (*env)->ReleaseIntArrayElements(env, maps, map, JNI_ABORT);
    if (attempt != NULL)
        (*env)->ReleaseLongArrayElements(env, attempts, attempt, JNI_ABORT);
    if (rc != 0 && !(*env)->ExceptionCheck(env))
        jni_throw_no_memory(env);
    return rc;
}

/* Returns: 0, OVERHAND_E_NO_MEMORY with an exception pending. */
static int reader_input_exceptions(struct reader_input *input, JNIEnv *env, jobjectArray exceptions)
{
    jsize n = (*env)->GetArrayLength(env, exceptions);

    input->exceptions = calloc((size_t)n + 1, sizeof *input->exceptions);
    if (input->exceptions == NULL) {
        jni_throw_no_memory(env);
        return OVERHAND_E_NO_MEMORY;
    }
    for (jsize i = 0; i < n; i++) {
        jstring text = (*env)->GetObjectArrayElement(env, exceptions, i);

        input->exceptions[i] = jni_string_copy(env, text);
        (*env)->DeleteLocalRef(env, text);
        if (input->exceptions[i] == NULL)
            return OVERHAND_E_NO_MEMORY;
        input->n_exceptions = i + 1;
    }
    return 0;
}

static int reader_open(JNIEnv *env, jlong client, const struct reader_input *input,
                       jbyteArray layout, jlong window_bytes, struct overhand_reader **reader)
{
    jbyte *bytes = (*env)->GetByteArrayElements(env, layout, NULL);
    int rc;

    if (bytes == NULL)
        return OVERHAND_E_NO_MEMORY;
    struct overhand_reader_options options = {
        .size = sizeof options,
        .layout = bytes,
        .layout_len = (size_t)(*env)->GetArrayLength(env, layout),
        .expected = input->expected,
        .n_expected = (size_t)input->n_expected,
        .exceptions = (const char *const *)input->exceptions,
        .n_exceptions = (size_t)input->n_exceptions,
        .window_bytes = (uint64_t)window_bytes,
    };
    rc = overhand_reader_open(jni_pointer(client), &options, reader);
    (*env)->ReleaseByteArrayElements(env, layout, bytes, JNI_ABORT);
    return rc;
}

NATIVE(jint, readerOpen)
(JNIEnv *env, jclass class, jlong client, jbyteArray layout, jlongArray attempts, jintArray maps,
 jintArray partitions, jobjectArray exceptions, jlong window_bytes, jlongArray out)
{
    struct reader_input input = {0};
    struct overhand_reader *reader;
    int rc;

    (void)class;
    rc = reader_input_expected(&input, env, attempts, maps, partitions);
    if (rc == 0)
        rc = reader_input_exceptions(&input, env, exceptions);
    if (rc == 0)
        rc = reader_open(env, client, &input, layout, window_bytes, &reader);
    if (rc == 0) {
        jlong handle = jni_address(reader);
        (*env)->SetLongArrayRegion(env, out, 0, 1, &handle);
    }
    reader_input_fini(&input);
    return rc;
}

NATIVE(jint, readerNext)(JNIEnv *env, jclass class, jlong reader, jlongArray out, jint timeout_ms)
{
    struct overhand_batch batch;
    int rc;

    (void)class;
    rc = overhand_reader_next(jni_pointer(reader), &batch, (uint32_t)timeout_ms);
    if (rc != 0)
        return rc;
    const jlong fields[BATCH_N_FIELDS] = {
        jni_address(batch.data), (jlong)batch.len,     (jlong)batch.partition,
        (jlong)batch.map_index,  (jlong)batch.attempt, (jlong)batch.stored_bytes,
    };
    (*env)->SetLongArrayRegion(env, out, 0, BATCH_N_FIELDS, fields);
    return 0;
}

NATIVE(void, readerLost)(JNIEnv *env, jclass class, jlong reader, jlongArray out)
{
    struct overhand_expected lost;

    (void)class;
    overhand_reader_lost(jni_pointer(reader), &lost);
    const jlong fields[LOST_N_FIELDS] = {
        (jlong)lost.attempt,
        (jlong)lost.map_index,
        (jlong)lost.partition,
    };
    (*env)->SetLongArrayRegion(env, out, 0, LOST_N_FIELDS, fields);
}

NATIVE(void, readerStats)(JNIEnv *env, jclass class, jlong reader, jlongArray out)
{
    struct overhand_reader_stats stats;

    (void)class;
    overhand_reader_stats(jni_pointer(reader), &stats);
    const jlong values[READER_N_STATS] = {
        (jlong)stats.stored_bytes, (jlong)stats.n_blocks,   (jlong)stats.n_dropped,
        (jlong)stats.wait_ns,      (jlong)stats.n_reopened,
    };
    (*env)->SetLongArrayRegion(env, out, 0, READER_N_STATS, values);
}

NATIVE(jstring, readerError)(JNIEnv *env, jclass class, jlong reader)
{
    (void)class;
    return jni_string_new(env, overhand_reader_error(jni_pointer(reader)));
}

NATIVE(void, readerClose)(JNIEnv *env, jclass class, jlong reader)
{
    (void)env;
    (void)class;
    overhand_reader_close(jni_pointer(reader));
}
