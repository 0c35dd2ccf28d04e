package org.overhand.spark.test;

/** Prints one line for each case, and counts. */
final class Report {
    /** What a case does; it fails by throwing. */
    interface Body {
        void run() throws Exception;
    }

    private int nPassed;
    private int nFailed;

    void check(String name, Body body) {
        long begin = System.nanoTime();
        String failure = null;
        try {
            body.run();
        } catch (Exception | LinkageError | AssertionError e) {
            failure = e.toString();
            e.printStackTrace();
        }
        double seconds = (System.nanoTime() - begin) / 1e9;
        if (failure == null) {
            nPassed++;
            System.out.printf("PASS %s (%.1f s)%n", name, seconds);
        } else {
            nFailed++;
            System.out.printf("FAIL %s (%.1f s): %s%n", name, seconds, failure.split("\n")[0]);
        }
    }

    int nPassed() {
        return nPassed;
    }

    int nFailed() {
        return nFailed;
    }

    static void require(boolean holds, String otherwise) {
        if (!holds) {
            throw new AssertionError(otherwise);
        }
    }
}
