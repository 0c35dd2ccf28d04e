package org.overhand.spark;

import org.apache.spark.SparkConf;
import org.apache.spark.SparkEnv;
import org.apache.spark.shuffle.ShuffleManager;
import org.apache.spark.shuffle.api.ShuffleDriverComponents;
import org.apache.spark.shuffle.sort.io.LocalDiskShuffleDataIO;
import org.apache.spark.shuffle.sort.io.LocalDiskShuffleDriverComponents;

/**
 * Lets the driver say that shuffle data outlives executors, and hears when a shuffle is no longer needed.
 * The manager enters it in {@code spark.shuffle.sort.io.plugin.class} itself; what falls back to Spark's own
 * shuffle is served by the local-disk classes it extends.
 */
public final class OverhandShuffleDataIO extends LocalDiskShuffleDataIO {
    public OverhandShuffleDataIO(SparkConf conf) {
        super(conf);
    }

    @Override
    public ShuffleDriverComponents driver() {
        return new Driver();
    }

    private static final class Driver extends LocalDiskShuffleDriverComponents {
        /** Spark's broadcast stays: it also clears the executors' copies of the shuffle's map statuses. */
        @Override
        public void removeShuffle(int shuffleId, boolean blocking) {
            OverhandShuffleManager manager = manager();
            if (manager != null) {
                manager.removeShuffle(shuffleId, blocking);
            }
            super.removeShuffle(shuffleId, blocking);
        }

        /** Asked by Spark 3.5 and later. */
        public boolean supportsReliableStorage() {
            OverhandShuffleManager manager = manager();
            return manager != null && manager.isServing();
        }

        /** Null if another manager is in use, and while Spark is stopping. */
        private static OverhandShuffleManager manager() {
            SparkEnv env = SparkEnv.get();
            ShuffleManager manager = env == null ? null : env.shuffleManager();
            return manager instanceof OverhandShuffleManager ? (OverhandShuffleManager) manager : null;
        }
    }
}
