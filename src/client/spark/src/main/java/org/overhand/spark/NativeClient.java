package org.overhand.spark;

import java.io.IOException;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;

/**
 * One native client per process and application, shared by all tasks. Writers and readers hold it; it is
 * closed when its owner has let go and the last of them has ended, because a task that is being killed may
 * still be inside a native call when the executor stops.
 */
final class NativeClient {
    private static final Map<Long, NativeClient> CLIENTS = new HashMap<>();

    private final long appUid;
    private final long handle;
    private int holds;
    private boolean closing;

    private NativeClient(long appUid, long handle) {
        this.appUid = appUid;
        this.handle = handle;
    }

    /**
     * The process's client for an application run, opened on first use and held: pair with {@link #drop}.
     *
     * @param key what shuffle data are encrypted with; null: they are not
     */
    static NativeClient hold(OverhandConf conf, String appId, long appUid, byte[] key) throws IOException {
        synchronized (CLIENTS) {
            NativeClient client = CLIENTS.get(appUid);
            if (client == null) {
                client = new NativeClient(appUid, open(conf, appId, appUid, key));
                CLIENTS.put(appUid, client);
            }
            if (client.closing) {
                throw new IOException("the client of application " + appId + " is closing");
            }
            client.holds++;
            return client;
        }
    }

    private static long open(OverhandConf conf, String appId, long appUid, byte[] key) throws IOException {
        Native.load();
        NativeLog.start();
        long[] out = new long[1];
        long[] numbers = Arrays.copyOf(conf.clientNumbers(), conf.clientNumbers().length + 1);
        numbers[numbers.length - 1] = NativeLog.level();
        int rc = Native.clientOpen(conf.masters(), appId, appUid, numbers, key, out);
        if (rc != 0) {
            stopLogIfLast();
            throw new OverhandException(rc, "cannot open a client for masters " + conf.masters(), "");
        }
        return out[0];
    }

    /** One more hold of a client that is held: pair with {@link #drop}. */
    NativeClient holdAgain() {
        synchronized (CLIENTS) {
            holds++;
            return this;
        }
    }

    /** Ends what {@link #hold} began. */
    void drop() {
        synchronized (CLIENTS) {
            if (holds == 0) {
                throw new IllegalStateException("client dropped more often than held");
            }
            holds--;
            closeIfLast();
        }
    }

    /** Like {@link #drop}, and nobody may hold it again. */
    void dropAndClose() {
        synchronized (CLIENTS) {
            closing = true;
            drop();
        }
    }

    /** Closes every client of this process as soon as the last writer or reader has dropped it. */
    static void closeAll() {
        synchronized (CLIENTS) {
            for (NativeClient client : CLIENTS.values().toArray(new NativeClient[0])) {
                client.closing = true;
                client.closeIfLast();
            }
        }
    }

    private void closeIfLast() {
        if (closing && holds == 0) {
            CLIENTS.remove(appUid);
            Native.clientClose(handle);
            stopLogIfLast();
        }
    }

    private static void stopLogIfLast() {
        if (CLIENTS.isEmpty()) {
            NativeLog.stop();
        }
    }

    long handle() {
        return handle;
    }

    /** Registers the application with a master and keeps its lease. */
    void openApp(int timeoutMs) throws IOException {
        check(Native.appOpen(handle, timeoutMs), "cannot register the application");
    }

    /** Deletes the application's data, as far as its workers can be reached in time. */
    void closeApp(int timeoutMs) {
        Native.appClose(handle, timeoutMs);
    }

    /** Asks a master where the partitions of a shuffle go. */
    byte[] registerShuffle(int shuffleId, int nMaps, int nPartitions, int replicas) throws IOException {
        byte[][] out = new byte[1][];
        check(Native.shuffleRegister(handle, shuffleId, nMaps, nPartitions, replicas, out),
                "cannot register shuffle " + shuffleId);
        return out[0];
    }

    /** Whether all workers have answered in time; not asked for with 0. */
    boolean unregisterShuffle(int shuffleId, long attemptsBelow, int timeoutMs) {
        return Native.shuffleUnregister(handle, shuffleId, attemptsBelow, timeoutMs) == 0;
    }

    void check(int rc, String what) throws IOException {
        if (rc != 0) {
            throw new OverhandException(rc, what, Native.clientError(handle));
        }
    }
}
