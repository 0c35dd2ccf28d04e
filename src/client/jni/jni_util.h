/* Helpers shared by the JNI files: strings, long[] results, addresses. */
#ifndef OVERHAND_JNI_UTIL_H
#define OVERHAND_JNI_UTIL_H

#include <jni.h>
#include <stdint.h>

/* The exported name of a function of org.overhand.spark.Native. */
#define NATIVE(type, name) JNIEXPORT type JNICALL Java_org_overhand_spark_Native_##name

/* The pointer a Java long stands for. */
static inline void *jni_pointer(jlong address)
{
    return (void *)(uintptr_t)address;
}

/* The Java long that stands for a pointer. */
static inline jlong jni_address(const void *pointer)
{
    return (jlong)(uintptr_t)pointer;
}

/* Throw OutOfMemoryError. */
void jni_throw_no_memory(JNIEnv *env);

/* Modified UTF-8 of a Java string in memory to be given to free(). NULL with an exception pending. */
char *jni_string_copy(JNIEnv *env, jstring string);

/* A Java string of arbitrary bytes: what is not ASCII becomes '?', so that no text from a peer can be
 * invalid. NULL with an exception pending. */
jstring jni_string_new(JNIEnv *env, const char *text);

#endif
