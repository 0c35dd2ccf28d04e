package org.overhand.spark;

import java.io.IOException;
import org.apache.spark.ShuffleDependency;
import org.apache.spark.shuffle.BaseShuffleHandle;

/**
 * All an executor needs to write or read a shuffle: whose it is, where its partitions go and how to work.
 * It travels in the task binary; nothing else passes from driver to executors.
 */
public final class OverhandShuffleHandle<K, V, C> extends BaseShuffleHandle<K, V, C> {
    private static final long serialVersionUID = 1L;

    private final String appId;
    private final long appUid;
    private final OverhandConf conf;
    private final byte[] layout;

    OverhandShuffleHandle(int shuffleId, ShuffleDependency<K, V, C> dependency, String appId, long appUid,
            OverhandConf conf, byte[] layout) {
        super(shuffleId, dependency);
        this.appId = appId;
        this.appUid = appUid;
        this.conf = conf;
        this.layout = layout;
    }

    String appId() {
        return appId;
    }

    long appUid() {
        return appUid;
    }

    OverhandConf conf() {
        return conf;
    }

    /** This process's client for the application; pair with {@link NativeClient#drop}. */
    NativeClient holdClient() throws IOException {
        return NativeClient.hold(conf, appId, appUid, IoEncryption.key());
    }

    byte[] layout() {
        return layout;
    }
}
