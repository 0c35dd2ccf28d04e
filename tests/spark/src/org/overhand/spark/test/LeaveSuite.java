package org.overhand.spark.test;

import java.util.Map;
import org.apache.spark.SparkConf;
import org.apache.spark.sql.SparkSession;

/**
 * Every worker leaves in its turn, again and again, while the demo's queries run: for a rolling restart with its
 * directory, or for good, when another one comes that has nothing. No task may fail, and every answer must be
 * that of Spark's own shuffle.
 */
final class LeaveSuite {
    private static final int N_WORKERS = 3;
    private static final int N_ROUNDS_MAX = 20;
    private static final int AWAY_MS = 6000;

    private final Report report;

    LeaveSuite(Report report) {
        this.report = report;
    }

    void run() throws Exception {
        Map<Integer, String> expected = Tpch.answers(Tpch.SHORT);
        roll("restarted with their directories", false, expected);
        roll("drained, and others come in their places", true, expected);
    }

    private void roll(String what, boolean drained, Map<Integer, String> expected) throws Exception {
        SparkConf conf = Conf.cluster(Conf.overhand("")).set("spark.task.maxFailures", "1");
        try (Daemons daemons = new Daemons(N_WORKERS, "shutdown.drain=" + (drained ? "on" : "off"))) {
            SparkSession spark = Tpch.session(conf.set("spark.overhand.masters", daemons.masters()));
            StageLog log = new StageLog();
            spark.sparkContext().addSparkListener(log);
            try (Roller roller = new Roller(daemons, drained)) {
                int nRounds = 0;
                do {
                    for (int query : Tpch.SHORT) {
                        report.check("leave: q" + query + " while workers are " + what,
                                () -> Report.require(Tpch.answer(spark, query).equals(expected.get(query)),
                                        "another answer than Spark's own"));
                    }
                } while (++nRounds < N_ROUNDS_MAX && roller.nLeft() < 2 * N_WORKERS);
                report.check("leave: each worker left twice: " + roller.nLeft(),
                        () -> Report.require(roller.nLeft() >= 2 * N_WORKERS, "after " + N_ROUNDS_MAX + " rounds"));
                spark.sparkContext().listenerBus().waitUntilEmpty();
                report.check("leave: no task has failed", () -> Report.require(log.nFailed() == 0,
                        log.nFailed() + " tasks failed, fetch failures " + log.fetchFailures()));
            } finally {
                spark.stop();
            }
        }
    }

    /** Lets one worker after the other leave and come back, each when all others are there. */
    private static final class Roller implements AutoCloseable {
        private final Daemons daemons;
        private final boolean drained;
        private final Thread thread = new Thread(this::run);
        private boolean ending;
        private Exception failure;
        private int nLeft;

        Roller(Daemons daemons, boolean drained) {
            this.daemons = daemons;
            this.drained = drained;
            thread.start();
        }

        private void run() {
            try {
                for (int i = 0; !isEnding(); i = (i + 1) % daemons.nWorkers()) {
                    daemons.endWorker(i);
                    if (drained) {
                        daemons.loseDirectory(i);
                    } else {
                        Thread.sleep(AWAY_MS); // longer than a connection is tried for
                    }
                    daemons.startWorker(i);
                    daemons.awaitReady();
                    synchronized (this) {
                        nLeft++;
                    }
                }
            } catch (Exception e) {
                synchronized (this) {
                    failure = e;
                }
            }
        }

        private synchronized boolean isEnding() {
            return ending;
        }

        synchronized int nLeft() {
            return failure != null ? Integer.MAX_VALUE : nLeft;
        }

        @Override
        public void close() throws Exception {
            synchronized (this) {
                ending = true;
            }
            thread.join();
            if (failure != null) {
                throw failure;
            }
        }
    }
}
