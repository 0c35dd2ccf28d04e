package org.overhand.spark;

import java.util.Arrays;

/**
 * The one known reader that goes past the shuffle manager: Delta's optimized write asks Spark's block managers
 * for the blocks of its shuffle. Later versions read through the manager when told so; for the others its
 * shuffle must be Spark's own. The shuffles of the query that it writes are like all others; only the stack of
 * calls tells them apart.
 */
final class DirectReader {
    static final String REASON = "this version of Delta's optimized write reads its shuffle from Spark's block "
            + "managers";
    static final String DELTA_USES_MANAGER = "spark.databricks.delta.optimizeWrite.useShuffleManager";
    static final String DELTA_WRITER = "org.apache.spark.sql.delta.perf.DeltaOptimizedWriterExec";
    static final String ADAPTIVE_PLAN = "org.apache.spark.sql.execution.adaptive.AdaptiveSparkPlanExec";
    static final String EXCHANGE = "org.apache.spark.sql.execution.exchange.ShuffleExchangeExec";

    private DirectReader() {
    }

    /** Whether the caller, somewhere above, is such a reader that declares its shuffle; {@code told}: the key. */
    static boolean isRegistering(boolean told) {
        return declaresItsOwn(Thread.currentThread().getStackTrace())
                && !(told && canUseManager(DELTA_WRITER, Thread.currentThread().getContextClassLoader()));
    }

    /** Between the writer and its own shuffle lies one exchange. Whatever is in doubt is taken for its own. */
    static boolean declaresItsOwn(StackTraceElement[] stack) {
        int nExchanges = 0;
        for (StackTraceElement frame : stack) {
            if (frame.getClassName().equals(ADAPTIVE_PLAN)) {
                return false; // a stage of the query below
            }
            if (frame.getClassName().equals(EXCHANGE) && frame.getMethodName().equals("doExecute")) {
                nExchanges++;
            }
            if (frame.getClassName().equals(DELTA_WRITER)) {
                return nExchanges <= 1 && !frame.getMethodName().startsWith("childNumPartitions");
            }
        }
        return false;
    }

    /** Versions that can keep the decision in a field of the key's name. */
    static boolean canUseManager(String writer, ClassLoader loader) {
        try {
            return Arrays.stream(Class.forName(writer, false, loader).getDeclaredFields())
                    .anyMatch(field -> field.getName().equals("useShuffleManager"));
        } catch (ClassNotFoundException e) {
            return false; // not to be seen from here: Spark's own shuffle serves every version
        }
    }
}
