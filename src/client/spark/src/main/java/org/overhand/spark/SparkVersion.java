package org.overhand.spark;

/** Which Spark this is, and what that line can do. */
final class SparkVersion {
    static final String OLDEST = "3.4";
    static final String NEWEST = "4.3";

    private SparkVersion() {
    }

    static String current() {
        return org.apache.spark.package$.MODULE$.SPARK_VERSION();
    }

    /**
     * Refuses Spark lines the jar was not tested with.
     *
     * @throws UnsupportedOperationException naming the version found and the range supported
     */
    static void requireSupported(String version) {
        if (!isBetween(version, OLDEST, NEWEST)) {
            throw new UnsupportedOperationException("Overhand does not support Spark " + version
                    + ": it supports Spark " + OLDEST + " to " + NEWEST);
        }
    }

    /** Whether a driver may claim that shuffle data outlives executors: 3.5+ asks. */
    static boolean asksForReliableStorage(String version) {
        return isBetween(version, "3.5", NEWEST);
    }

    /** Whether plugins start before the shuffle manager: 4.0+. */
    static boolean startsPluginsFirst(String version) {
        return isBetween(version, "4.0", NEWEST);
    }

    static boolean isBetween(String version, String oldest, String newest) {
        int line = lineOf(version);
        return line >= lineOf(oldest) && line <= lineOf(newest);
    }

    /** "3.5.9-vendor" -> 3005; 0 for text that is no version. */
    private static int lineOf(String version) {
        String[] parts = version.split("[.\\-]");
        if (parts.length < 2 || !parts[0].matches("\\d{1,3}") || !parts[1].matches("\\d{1,3}")) {
            return 0;
        }
        return Integer.parseInt(parts[0]) * 1000 + Integer.parseInt(parts[1]);
    }
}
