package org.overhand.spark;

import org.apache.spark.SparkEnv;
import org.apache.spark.storage.BlockManagerId;
import scala.Option;

/**
 * The one location all map outputs of a shuffle have in Spark's eyes. It belongs to no executor, so losing
 * an executor unregisters nothing; a fetch failure that names it unregisters exactly this shuffle. Its
 * topology field carries the places a map attempt used other than the home of its partitions.
 */
final class VirtualLocation {
    private static final String HOST = "overhand.invalid"; // RFC 2606: never resolves
    private static final int PORT = 1;

    private VirtualLocation() {
    }

    static BlockManagerId of(long appUid, int shuffleId, String exceptions) {
        Option<String> topology = exceptions.isEmpty() ? Option.empty() : Option.apply(exceptions);
        return BlockManagerId.apply(executorId(appUid, shuffleId), host(), PORT, topology);
    }

    /**
     * Spark takes it for the place where reduce tasks run best. In local mode it must be a place that there is:
     * when some tasks of a stage can run where their input is cached and others cannot, Spark lets the
     * others wait, and in local mode it forgets them when nothing else ends.
     */
    private static String host() {
        BlockManagerId here = SparkEnv.get().blockManager().blockManagerId();
        return here.isDriver() ? here.host() : HOST;
    }

    static String executorId(long appUid, int shuffleId) {
        return "overhand-" + Long.toHexString(appUid) + "-" + shuffleId;
    }
}
