/* Helpers shared by the JNI files. */
#include "jni_util.h"

#include <stdlib.h>
#include <string.h>

void jni_throw_no_memory(JNIEnv *env)
{
    jclass error = (*env)->FindClass(env, "java/lang/OutOfMemoryError");

    if (error != NULL)
        (*env)->ThrowNew(env, error, "native memory");
}

char *jni_string_copy(JNIEnv *env, jstring string)
{
    jsize n_chars = (*env)->GetStringLength(env, string);
    jsize len = (*env)->GetStringUTFLength(env, string);
    char *copy = malloc((size_t)len + 1);

    if (copy == NULL) {
        jni_throw_no_memory(env);
        return NULL;
    }
    (*env)->GetStringUTFRegion(env, string, 0, n_chars, copy);
    copy[len] = '\0';
    return copy;
}

jstring jni_string_new(JNIEnv *env, const char *text)
{
    size_t len = strlen(text);
    char *ascii = malloc(len + 1);
    jstring string;

    if (ascii == NULL) {
        jni_throw_no_memory(env);
        return NULL;
    }
    for (size_t i = 0; i <= len; i++)
        ascii[i] = (char)((unsigned char)text[i] < 0x80 ? text[i] : '?');
    string = (*env)->NewStringUTF(env, ascii);
    free(ascii);
    return string;
}
