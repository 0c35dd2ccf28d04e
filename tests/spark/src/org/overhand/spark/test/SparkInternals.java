package org.overhand.spark.test;

import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.List;
import org.apache.spark.MapOutputTrackerMaster;
import org.apache.spark.SparkEnv;
import org.apache.spark.scheduler.MapStatus;

/** What the tests ask of Spark beyond its public interface. */
final class SparkInternals {
    private static final int N_SHUFFLES = 1000;

    private SparkInternals() {
    }

    static MapOutputTrackerMaster tracker() {
        return (MapOutputTrackerMaster) SparkEnv.get().mapOutputTracker();
    }

    /** Drops the data of every shuffle with all of its outputs, while the map output tracker goes on believing. */
    static void dropCompleteShuffles() {
        for (int shuffle = 0; shuffle < N_SHUFFLES; shuffle++) {
            if (tracker().containsShuffle(shuffle) && tracker().getNumAvailableOutputs(shuffle)
                    == tracker().shuffleStatuses().apply(shuffle).mapStatuses().length) {
                SparkEnv.get().shuffleManager().unregisterShuffle(shuffle);
            }
        }
    }

    /** Drops the data of every shuffle while the map output tracker goes on believing in it. */
    static void dropAllShuffles() {
        for (int shuffle = 0; shuffle < N_SHUFFLES; shuffle++) {
            if (tracker().containsShuffle(shuffle)) {
                SparkEnv.get().shuffleManager().unregisterShuffle(shuffle);
            }
        }
    }

    /** The row checksums of the newest shuffle's maps, in their order; empty before Spark 4.1. */
    static List<Long> newestChecksums() throws ReflectiveOperationException {
        Method checksum = null;
        for (Method method : MapStatus.class.getMethods()) {
            if (method.getName().equals("checksumValue")) {
                checksum = method;
            }
        }
        List<Long> checksums = new ArrayList<>();
        if (checksum != null) {
            for (MapStatus status : tracker().shuffleStatuses().apply(newestShuffle()).mapStatuses()) {
                checksums.add((Long) checksum.invoke(status));
            }
        }
        return checksums;
    }

    private static int newestShuffle() {
        for (int shuffle = N_SHUFFLES; shuffle > 0; shuffle--) {
            if (tracker().containsShuffle(shuffle)) {
                return shuffle;
            }
        }
        return 0;
    }
}
