package org.overhand.spark.test;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** The processes of the cluster's workers. */
final class Workers {
    private static final int END_SECONDS = 30;

    private Workers() {
    }

    static List<Long> pids() {
        List<Long> pids = new ArrayList<>();
        for (String pid : System.getProperty("overhand.test.workers").split(",")) {
            pids.add(Long.parseLong(pid));
        }
        return pids;
    }

    /** SIGKILL: what it holds in memory is lost. */
    static void kill(long pid) throws Exception {
        ProcessHandle worker = worker(pid);
        Report.require(worker.destroyForcibly(), "could not kill worker " + pid);
        worker.onExit().get(END_SECONDS, TimeUnit.SECONDS);
    }

    /** SIGTERM: it writes all it holds. */
    static void end(long pid) throws Exception {
        ProcessHandle worker = worker(pid);
        Report.require(worker.destroy(), "could not end worker " + pid);
        worker.onExit().get(END_SECONDS, TimeUnit.SECONDS);
    }

    private static ProcessHandle worker(long pid) {
        return ProcessHandle.of(pid).orElseThrow(() -> new IllegalStateException("no worker has pid " + pid));
    }
}
