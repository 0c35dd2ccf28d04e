package org.overhand.spark;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Brings the native library's log lines into Spark's log, under the logger {@code org.overhand.spark.Native}.
 * A thread of its own fetches them, so that no native thread waits for a log file or enters the JVM. It runs
 * while this process has a client and ends with the last one: nothing then keeps these classes loaded.
 */
final class NativeLog implements Runnable {
    /** Where lines come from: {@link Native#logTake}. */
    interface Source {
        String take(long[] out, int timeoutMs);
    }

    private static final int ERROR = 0;
    private static final int WARN = 1;
    private static final int INFO = 2;
    private static final int DEBUG = 3;
    private static final int WAIT_MS = 1000;

    private static NativeLog running;

    private final Source source;
    private final Logger log;
    private final Thread thread;
    private volatile boolean stopping;

    NativeLog(Source source, Logger log) {
        this.source = source;
        this.log = log;
        thread = new Thread(this, "overhand-log");
        thread.setDaemon(true);
    }

    /** Begins to fetch lines, if that has not begun. The library must have been loaded. */
    static synchronized void start() {
        if (running == null) {
            running = new NativeLog(Native::logTake, LoggerFactory.getLogger(Native.class));
            running.thread.start();
        }
    }

    /** Ends it, after the lines that are there; the last client must have been closed. */
    static synchronized void stop() {
        if (running != null) {
            running.stopping = true;
            Native.logWake();
            try {
                running.thread.join(WAIT_MS);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
            running = null;
        }
    }

    /** The level up to which the library need make lines at all. */
    static int level() {
        return levelOf(LoggerFactory.getLogger(Native.class));
    }

    static int levelOf(Logger log) {
        if (log.isDebugEnabled()) {
            return DEBUG;
        }
        if (log.isInfoEnabled()) {
            return INFO;
        }
        return log.isWarnEnabled() ? WARN : ERROR;
    }

    @Override
    public void run() {
        boolean last = false;
        while (!last) {
            last = stopping;
            while (pass(last ? 0 : WAIT_MS)) {
                // as long as there are lines
            }
        }
    }

    /** Fetches and logs one line; false if none came. */
    boolean pass(int timeoutMs) {
        long[] out = new long[2];
        String line = source.take(out, timeoutMs);
        if (line != null) {
            write((int) out[0], line);
        }
        if (out[1] > 0) {
            log.warn("{} lines of the native library were lost: they came faster than they could be logged",
                    out[1]);
        }
        return line != null;
    }

    private void write(int level, String line) {
        switch (level) {
            case ERROR:
                log.error(line);
                break;
            case WARN:
                log.warn(line);
                break;
            case INFO:
                log.info(line);
                break;
            default:
                log.debug(line);
        }
    }
}
