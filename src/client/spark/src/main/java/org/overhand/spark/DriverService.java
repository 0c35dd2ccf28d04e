package org.overhand.spark;

import java.io.IOException;
import java.util.concurrent.TimeUnit;
import org.apache.spark.ShuffleDependency;
import org.apache.spark.SparkConf;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The driver's side: whether this application uses Overhand at all, its registration, and the layout of
 * each shuffle. The application is registered with its first shuffle, when Spark has given it an id; until
 * then a short-lived registration has shown that a master answers.
 */
final class DriverService {
    private static final Logger LOG = LoggerFactory.getLogger(DriverService.class);
    private static final String DATA_IO = "spark.shuffle.sort.io.plugin.class";
    private static final String SPARKS_DATA_IO = "org.apache.spark.shuffle.sort.io.LocalDiskShuffleDataIO";
    private static final String TRACKING = "spark.dynamicAllocation.shuffleTracking.enabled";
    /** After a shuffle could not be registered, how long others fall back without asking the masters again. */
    private static final long RETRY_PAUSE_NS = TimeUnit.SECONDS.toNanos(30);

    private final SparkConf sparkConf;
    private final OverhandConf conf;
    private final boolean serving;
    private long appUid;
    private NativeClient client; // null until the first shuffle, and again after stop
    private boolean pausing;
    private long pausedAtNs;
    private String pausedBecause;

    DriverService(SparkConf sparkConf) {
        this.sparkConf = sparkConf;
        this.conf = new OverhandConf(sparkConf);
        refusePushBasedShuffle();
        serving = decide();
        if (serving) {
            setDefaults();
        }
    }

    /** Spark's driver reads these keys before any manager exists, so the user has to change them. */
    private void refusePushBasedShuffle() {
        if (sparkConf.getBoolean("spark.shuffle.push.enabled", false)) {
            throw new IllegalArgumentException("spark.shuffle.push.enabled=true does not go with Overhand: "
                    + "push-based shuffle would push local files that do not exist; set it to false");
        }
    }

    private boolean decide() {
        if (conf.fallback() == OverhandConf.Fallback.ALWAYS) {
            LOG.info("{}=always: using Spark's own shuffle", OverhandConf.FALLBACK);
            return false;
        }
        String reason = reasonAgainst();
        if (reason == null) {
            return true;
        }
        if (conf.fallback() == OverhandConf.Fallback.NEVER) {
            throw new IllegalStateException("Overhand cannot be used and " + OverhandConf.FALLBACK
                    + "=never: " + reason);
        }
        LOG.warn("Falling back to Spark's own shuffle for the whole application: {}", reason);
        return false;
    }

    /** Null if the service can be used. */
    private String reasonAgainst() {
        try {
            probe();
            return null;
        } catch (IOException e) {
            return e.getMessage();
        }
    }

    private void probe() throws IOException {
        Native.load();
        String name = sparkConf.get("spark.app.name", "spark") + " (starting)";
        NativeClient probe = NativeClient.hold(conf, name, Native.appUidNew(), null); // it writes nothing
        try {
            probe.openApp(conf.fallbackTimeoutMs());
            probe.closeApp(conf.fallbackTimeoutMs());
        } finally {
            probe.dropAndClose();
        }
    }

    /** Enters what makes the most of remote shuffle data, unless the user has decided. */
    private void setDefaults() {
        if (sparkConf.get(DATA_IO, SPARKS_DATA_IO).equals(SPARKS_DATA_IO)) {
            set(DATA_IO, OverhandShuffleDataIO.class.getName());
        } else {
            LOG.warn("{}={} is kept: Spark will not know that shuffle data outlives executors", DATA_IO,
                    sparkConf.get(DATA_IO));
        }
        if (SparkVersion.asksForReliableStorage(SparkVersion.current()) || migratesShuffleData()) {
            setIfMissing(TRACKING, "false");
        }
        setIfMissing("spark.sql.adaptive.localShuffleReader.enabled", "false");
        setIfMissing(DirectReader.DELTA_USES_MANAGER, "true");
    }

    /** With these, Spark 3.4 lets executors go that wrote shuffle data. */
    private boolean migratesShuffleData() {
        return sparkConf.getBoolean("spark.decommission.enabled", false)
                && sparkConf.getBoolean("spark.storage.decommission.shuffleBlocks.enabled", true)
                && sparkConf.getBoolean("spark.storage.decommission.enabled", true);
    }

    private void setIfMissing(String key, String value) {
        if (!sparkConf.contains(key)) {
            set(key, value);
        }
    }

    private void set(String key, String value) {
        LOG.info("setting {}={}", key, value);
        sparkConf.set(key, value);
    }

    boolean isServing() {
        return serving;
    }

    /** The handle of a new shuffle; null if Spark's own shuffle is to serve it. */
    synchronized <K, V, C> OverhandShuffleHandle<K, V, C> register(int shuffleId,
            ShuffleDependency<K, V, C> dependency) throws IOException {
        int nPartitions = dependency.partitioner().numPartitions();
        if (!serving || nPartitions == 0) {
            return null;
        }
        if (DirectReader.isRegistering(sparkConf.getBoolean(DirectReader.DELTA_USES_MANAGER, false))) {
            return fallBack(shuffleId, DirectReader.REASON);
        }
        if (pausing && System.nanoTime() - pausedAtNs < RETRY_PAUSE_NS) {
            return fallBack(shuffleId, "as another just did: " + pausedBecause);
        }
        try {
            openApp();
            byte[] layout = client.registerShuffle(shuffleId, dependency.rdd().getNumPartitions(), nPartitions,
                    conf.replicas());
            pausing = false;
            LOG.debug("Shuffle {} is Overhand's: {} partitions", shuffleId, nPartitions);
            return new OverhandShuffleHandle<>(shuffleId, dependency, appId(), appUid, conf, layout);
        } catch (IOException e) {
            if (conf.fallback() == OverhandConf.Fallback.NEVER) {
                throw e;
            }
            pausing = true;
            pausedAtNs = System.nanoTime();
            pausedBecause = e.getMessage();
            return fallBack(shuffleId, pausedBecause);
        }
    }

    private <K, V, C> OverhandShuffleHandle<K, V, C> fallBack(int shuffleId, String reason) throws IOException {
        if (conf.fallback() == OverhandConf.Fallback.NEVER) {
            throw new IOException("shuffle " + shuffleId + " cannot use Overhand and " + OverhandConf.FALLBACK
                    + "=never: " + reason);
        }
        LOG.warn("Shuffle {} falls back to Spark's own shuffle: {}", shuffleId, reason);
        return null;
    }

    private void openApp() throws IOException {
        if (client != null) {
            return;
        }
        long uid = Native.appUidNew();
        NativeClient opened = NativeClient.hold(conf, appId(), uid, IoEncryption.key());
        try {
            opened.openApp(conf.fallbackTimeoutMs());
        } catch (IOException e) {
            opened.dropAndClose();
            throw e;
        }
        appUid = uid;
        client = opened;
    }

    private String appId() {
        return sparkConf.get("spark.app.id", sparkConf.get("spark.app.name", "spark"));
    }

    /**
     * Drops a shuffle's data, but nothing that tasks write which start from now on: it may be written again.
     *
     * @param timeoutMs how long to wait for the workers' answers; 0: not at all
     */
    void drop(int shuffleId, int timeoutMs) {
        NativeClient held = holdClient();
        if (held == null) {
            return;
        }
        try {
            if (!held.unregisterShuffle(shuffleId, Compat.nextTaskId(), timeoutMs)) {
                LOG.info("Shuffle {}: not every worker has dropped its data yet", shuffleId);
            }
        } finally {
            held.drop();
        }
    }

    private synchronized NativeClient holdClient() {
        return client == null ? null : client.holdAgain();
    }

    synchronized void stop() {
        if (client != null) {
            client.closeApp(conf.fallbackTimeoutMs());
            client.dropAndClose();
            client = null;
        }
    }
}
