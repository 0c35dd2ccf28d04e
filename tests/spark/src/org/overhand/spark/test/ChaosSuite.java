package org.overhand.spark.test;

import java.util.Map;
import org.apache.spark.SparkConf;
import org.apache.spark.sql.SparkSession;

/**
 * The demo's TPC-H queries while a killer is about: every answer must be that of Spark's own, undisturbed
 * shuffle. The queries go round until enough was killed.
 */
final class ChaosSuite {
    private static final int N_WORKERS = 3;
    private static final int N_ROUNDS_MAX = 20;

    private final Report report;
    private final int[] queries;
    private final int nKills; // of workers, and as many of executors

    private ChaosSuite(Report report, int[] queries, int nKills) {
        this.report = report;
        this.queries = queries;
        this.nKills = nKills;
    }

    static ChaosSuite brief(Report report) {
        return new ChaosSuite(report, Tpch.SHORT, 2);
    }

    static ChaosSuite full(Report report) {
        return new ChaosSuite(report, java.util.stream.IntStream.rangeClosed(1, 22).toArray(), 8);
    }

    void run() throws Exception {
        Map<Integer, String> expected = Tpch.answers(queries);
        SparkConf conf = Conf.cluster(Conf.overhand("")).set("spark.overhand.timeout.connect", "1s")
                .set("spark.overhand.timeout.progress", "2s").set("spark.task.maxFailures", "100")
                .set("spark.stage.maxConsecutiveAttempts", "100").set("spark.deploy.maxExecutorRetries", "-1");
        try (Daemons daemons = new Daemons(N_WORKERS)) {
            SparkSession spark = Tpch.session(conf.set("spark.overhand.masters", daemons.masters()));
            try (Killer killer = new Killer(daemons, KillSuite.seed())) {
                spark.sparkContext().addSparkListener(killer);
                int nRounds = 0;
                do {
                    for (int query : queries) {
                        report.check("chaos: q" + query + " while workers and executors are killed",
                                () -> Report.require(Tpch.answer(spark, query).equals(expected.get(query)),
                                        "another answer than Spark's own"));
                    }
                } while (++nRounds < N_ROUNDS_MAX && !killer.hasKilled(nKills));
                report.check("chaos: enough was killed: " + killer,
                        () -> Report.require(killer.hasKilled(nKills), "after " + N_ROUNDS_MAX + " rounds"));
            } finally {
                spark.stop();
            }
        }
    }
}
