/* org.overhand.spark.Native: the library's log lines, for a thread of Java's to fetch. No thread of the
 * library ever enters the JVM. */
#include "jni_util.h"
#include "log_queue.h"

#include <stdlib.h>

enum { LOG_N_FIELDS = 2 };

NATIVE(jstring, logTake)(JNIEnv *env, jclass class, jlongArray out, jint timeout_ms)
{
    enum overhand_log_level level;
    uint64_t n_dropped;
    jstring text = NULL;
    char *line;

    (void)class;
    log_queue_take((unsigned)timeout_ms, &line, &level, &n_dropped);
    const jlong fields[LOG_N_FIELDS] = {(jlong)level, (jlong)n_dropped};
    (*env)->SetLongArrayRegion(env, out, 0, LOG_N_FIELDS, fields);
    if (line != NULL && !(*env)->ExceptionCheck(env))
        text = jni_string_new(env, line);
    free(line);
    return text;
}

NATIVE(void, logWake)(JNIEnv *env, jclass class)
{
    (void)env;
    (void)class;
    log_queue_wake();
}
