package org.overhand.spark;

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
        return BlockManagerId.apply(executorId(appUid, shuffleId), HOST, PORT, topology);
    }

    static String executorId(long appUid, int shuffleId) {
        return "overhand-" + Long.toHexString(appUid) + "-" + shuffleId;
    }
}
