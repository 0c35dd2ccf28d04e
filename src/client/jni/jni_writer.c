/* org.overhand.spark.Native: the writer functions of overhand.h, one to one. */
#include "jni_util.h"

#include <overhand/overhand.h>

enum { WRITER_N_STATS = 6 };

NATIVE(jint, writerOpen)
(JNIEnv *env, jclass class, jlong client, jbyteArray layout, jint map_index, jlong attempt,
 jlong memory_bytes, jint codec, jint codec_level, jint n_row_fields, jlongArray out)
{
    struct overhand_writer *writer;
    jbyte *bytes = (*env)->GetByteArrayElements(env, layout, NULL);
    int rc;

    (void)class;
    if (bytes == NULL)
        return OVERHAND_E_NO_MEMORY;
    struct overhand_writer_options options = {
        .size = sizeof options,
        .layout = bytes,
        .layout_len = (size_t)(*env)->GetArrayLength(env, layout),
        .map_index = (uint32_t)map_index,
        .attempt = (uint64_t)attempt,
        .memory_bytes = (uint64_t)memory_bytes,
        .codec = (enum overhand_codec)codec,
        .codec_level = codec_level,
        .n_row_fields = (uint32_t)n_row_fields,
    };
    rc = overhand_writer_open(jni_pointer(client), &options, &writer);
    (*env)->ReleaseByteArrayElements(env, layout, bytes, JNI_ABORT);
    if (rc == 0) {
        jlong handle = jni_address(writer);
        (*env)->SetLongArrayRegion(env, out, 0, 1, &handle);
    }
    return rc;
}

NATIVE(jlong, writerSlots)(JNIEnv *env, jclass class, jlong writer)
{
    (void)env;
    (void)class;
    return jni_address(overhand_writer_slots(jni_pointer(writer)));
}

/* Two in one, because it is the only call in the middle of rows: the code if negative, else
 * overhand_writer_memory. */
NATIVE(jlong, writerExtend)
(JNIEnv *env, jclass class, jlong writer, jint partition, jlong need, jint timeout_ms)
{
    int rc = overhand_writer_extend(jni_pointer(writer), (uint32_t)partition, (size_t)need,
                                    (uint32_t)timeout_ms);

    (void)env;
    (void)class;
    return rc != 0 ? rc : (jlong)overhand_writer_memory(jni_pointer(writer));
}

NATIVE(jint, writerBatch)
(JNIEnv *env, jclass class, jlong writer, jint partition, jlong address, jlong len, jint timeout_ms)
{
    (void)env;
    (void)class;
    return overhand_writer_batch(jni_pointer(writer), (uint32_t)partition, jni_pointer(address),
                                 (size_t)len, (uint32_t)timeout_ms);
}

NATIVE(jint, writerFlush)(JNIEnv *env, jclass class, jlong writer, jint timeout_ms)
{
    (void)env;
    (void)class;
    return overhand_writer_flush(jni_pointer(writer), (uint32_t)timeout_ms);
}

NATIVE(jlong, writerMemory)(JNIEnv *env, jclass class, jlong writer)
{
    (void)env;
    (void)class;
    return (jlong)overhand_writer_memory(jni_pointer(writer));
}

NATIVE(void, writerSetMemory)(JNIEnv *env, jclass class, jlong writer, jlong memory_bytes)
{
    (void)env;
    (void)class;
    overhand_writer_set_memory(jni_pointer(writer), (uint64_t)memory_bytes);
}

NATIVE(jint, writerFinish)(JNIEnv *env, jclass class, jlong writer, jint timeout_ms)
{
    (void)env;
    (void)class;
    return overhand_writer_finish(jni_pointer(writer), (uint32_t)timeout_ms);
}

NATIVE(void, writerPartitionBytes)(JNIEnv *env, jclass class, jlong writer, jlongArray out)
{
    const uint64_t *bytes = overhand_writer_partition_bytes(jni_pointer(writer));

    (void)class;
    (*env)->SetLongArrayRegion(env, out, 0, (*env)->GetArrayLength(env, out), (const jlong *)bytes);
}

NATIVE(jstring, writerExceptions)(JNIEnv *env, jclass class, jlong writer)
{
    (void)class;
    return jni_string_new(env, overhand_writer_exceptions(jni_pointer(writer)));
}

NATIVE(void, writerStats)(JNIEnv *env, jclass class, jlong writer, jlongArray out)
{
    struct overhand_writer_stats stats;

    (void)class;
    overhand_writer_stats(jni_pointer(writer), &stats);
    const jlong values[WRITER_N_STATS] = {
        (jlong)stats.raw_bytes, (jlong)stats.stored_bytes, (jlong)stats.n_blocks,
        (jlong)stats.wait_ns,   (jlong)stats.n_resent,     (jlong)stats.peak_memory_bytes,
    };
    (*env)->SetLongArrayRegion(env, out, 0, WRITER_N_STATS, values);
}

NATIVE(jstring, writerError)(JNIEnv *env, jclass class, jlong writer)
{
    (void)class;
    return jni_string_new(env, overhand_writer_error(jni_pointer(writer)));
}

NATIVE(void, writerClose)(JNIEnv *env, jclass class, jlong writer)
{
    (void)env;
    (void)class;
    overhand_writer_close(jni_pointer(writer));
}
