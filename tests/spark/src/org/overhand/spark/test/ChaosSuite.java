package org.overhand.spark.test;

import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.spark.SparkConf;
import org.apache.spark.sql.SparkSession;

/**
 * The demo's TPC-H queries while a killer is about: every answer must be that of Spark's own, undisturbed
 * shuffle. The queries go round until enough was killed.
 */
final class ChaosSuite {
    private static final String[] TABLES = {"customer", "lineitem", "nation", "orders", "part", "partsupp",
        "region", "supplier"};
    private static final int[] SHORT = {9, 18, 21}; // those that shuffle most
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
        return new ChaosSuite(report, SHORT, 2);
    }

    static ChaosSuite full(Report report) {
        return new ChaosSuite(report, java.util.stream.IntStream.rangeClosed(1, 22).toArray(), 8);
    }

    void run() throws Exception {
        Map<Integer, String> expected = expected();
        SparkConf conf = Conf.cluster(Conf.overhand("")).set("spark.overhand.timeout.connect", "1s")
                .set("spark.overhand.timeout.progress", "2s").set("spark.task.maxFailures", "100")
                .set("spark.stage.maxConsecutiveAttempts", "100").set("spark.deploy.maxExecutorRetries", "-1");
        try (Daemons daemons = new Daemons(N_WORKERS)) {
            SparkSession spark = session(conf.set("spark.overhand.masters", daemons.masters()));
            try (Killer killer = new Killer(daemons, KillSuite.seed())) {
                spark.sparkContext().addSparkListener(killer);
                int nRounds = 0;
                do {
                    for (int query : queries) {
                        report.check("chaos: q" + query + " while workers and executors are killed",
                                () -> Report.require(answer(spark, query).equals(expected.get(query)),
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

    private Map<Integer, String> expected() throws Exception {
        Map<Integer, String> answers = new LinkedHashMap<>();
        SparkSession spark = session(Conf.base("local[2]"));
        for (int query : queries) {
            answers.put(query, answer(spark, query));
        }
        spark.stop();
        return answers;
    }

    private static SparkSession session(SparkConf conf) {
        SparkSession spark = SparkSession.builder().config(conf).getOrCreate();
        for (String table : TABLES) {
            spark.read().parquet(System.getProperty("overhand.test.tpch") + "/" + table)
                    .createOrReplaceTempView(table);
        }
        return spark;
    }

    private static String answer(SparkSession spark, int query) throws Exception {
        try (InputStream in = ChaosSuite.class.getResourceAsStream("/tpch/q" + query + ".sql")) {
            return Queries.rows(spark.sql(new String(in.readAllBytes(), StandardCharsets.UTF_8)));
        }
    }
}
