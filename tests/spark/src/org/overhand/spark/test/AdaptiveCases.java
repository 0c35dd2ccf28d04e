package org.overhand.spark.test;

import static org.overhand.spark.test.Queries.planned;
import static org.overhand.spark.test.Queries.rows;
import static org.overhand.spark.test.Queries.with;

import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.storage.StorageLevel;

/**
 * What adaptive execution makes of shuffles, and plans that read one shuffle more than once. The suite turns
 * the local reader on for the whole application, which the plugin would leave off.
 */
final class AdaptiveCases {
    private static final String ADVISORY = "spark.sql.adaptive.advisoryPartitionSizeInBytes";
    private static final String ADAPTIVE = "spark.sql.adaptive.enabled";
    private static final String BROADCAST = "spark.sql.adaptive.autoBroadcastJoinThreshold";
    private static final String CLEANUP = "spark.sql.classic.shuffleDependency.fileCleanup.enabled";

    private AdaptiveCases() {
    }

    static Map<String, Comparison.Case> all() {
        Map<String, Comparison.Case> cases = new LinkedHashMap<>();
        addRebalanced(cases);
        addSkewed(cases);
        addLocal(cases);
        addReused(cases);
        return cases;
    }

    private static void addRebalanced(Map<String, Comparison.Case> cases) {
        cases.put("a rebalance hint splits the skewed and merges the small", spark -> with(spark, ADVISORY, "8k",
                () -> planned(spark.sql("select /*+ REBALANCE(k) */ k, v from skewed"), "coalesced and skewed")));
        cases.put("a rebalance hint without columns", spark -> with(spark, ADVISORY, "64k",
                () -> planned(spark.sql("select /*+ REBALANCE */ id, s from t"), "coalesced")));
        cases.put("a rebalance hint with a number", spark -> with(spark, ADVISORY, "16k",
                () -> rows(spark.sql("select /*+ REBALANCE(40, k) */ k, v from skewed"))));
        cases.put("coalesced shuffles below a union", spark -> with(spark, "spark.sql.shuffle.partitions", "60",
                () -> planned(spark.sql("select k, sum(id) from t group by k union all "
                        + "select g, count(*) from t group by g"), "coalesced")));
        cases.put("a side that turns out to be empty", spark -> rows(spark.sql(
                "select t.id, x.c from t left join (select k, count(*) as c from t where s = 'none' group by k) x "
                        + "on t.k = x.k")));
    }

    private static void addSkewed(Map<String, Comparison.Case> cases) {
        cases.put("a skewed left join", spark -> skewed(spark,
                "select s.v, keys.name from skewed s left join keys on s.k = keys.k and keys.k < 30"));
        cases.put("both sides of a join are skewed", spark -> skewed(spark,
                "select a.v, b.v from skewed a join (select k, v, pad from skewed where v % 300 = 0) b on a.k = b.k "
                        + "where a.v % 20 = 3"));
        cases.put("a skewed join below an aggregate", spark -> skewed(spark,
                "select keys.name, count(*), sum(s.v) from skewed s join keys on s.k = keys.k group by keys.name"));
    }

    private static String skewed(SparkSession spark, String query) throws Exception {
        return with(spark, "spark.sql.adaptive.skewJoin.skewedPartitionThresholdInBytes", "2k",
                () -> with(spark, "spark.sql.adaptive.skewJoin.skewedPartitionFactor", "1.2",
                        () -> with(spark, "spark.sql.adaptive.forceOptimizeSkewedJoin", "true",
                                () -> with(spark, ADVISORY, "4k", () -> planned(spark.sql(query), "skew=true")))));
    }

    private static void addLocal(Map<String, Comparison.Case> cases) {
        String join = "select t.id, b.name from t join keys b on t.k = b.k where b.k < 9";
        cases.put("a join turned into a broadcast reads map by map", spark -> with(spark, BROADCAST, "10m",
                () -> planned(spark.sql(join), "AQEShuffleRead local")));
        cases.put("the local reader with fewer partitions than maps", spark -> with(spark, BROADCAST, "10m",
                () -> with(spark, "spark.sql.shuffle.partitions", "2",
                        () -> planned(spark.sql(join), "AQEShuffleRead local"))));
        cases.put("the local reader with more partitions than maps", spark -> with(spark, BROADCAST, "10m",
                () -> with(spark, "spark.sql.shuffle.partitions", "31",
                        () -> planned(spark.sql(join), "AQEShuffleRead local"))));
    }

    private static void addReused(Map<String, Comparison.Case> cases) {
        String twice = "with x as (select k, sum(id) as s from t group by k) "
                + "select a.k, a.s, b.s from x a join x b on a.k = b.k";
        String subquery = "(select max(c) from (select k, count(*) as c from t group by k))";
        cases.put("one exchange is read twice, adaptive", spark -> planned(spark.sql(twice), "ReusedExchange"));
        cases.put("one exchange is read twice, not adaptive", spark -> with(spark, ADAPTIVE, "false",
                () -> planned(spark.sql(twice), "ReusedExchange")));
        cases.put("one subquery is used twice", spark -> planned(spark.sql("select id + " + subquery
                + " from t where id % 100 < " + subquery), "ReusedSubquery"));
        cases.put("a cached plan is read several times", spark -> cached(spark, StorageLevel.MEMORY_ONLY()));
        cases.put("a plan cached on disk is read several times", spark -> cached(spark, StorageLevel.DISK_ONLY()));
        cases.put("shuffles are cleaned at the end of each query", spark -> with(spark, CLEANUP, "true",
                () -> cleaned(spark)));
    }

    private static String cached(SparkSession spark, StorageLevel level) {
        Dataset<Row> sums = spark.sql("select k, sum(id) as s from t group by k").persist(level);
        try {
            String text = rows(sums) + rows(sums.where("k < 100"));
            text += rows(sums.as("a").join(sums.as("b"), "k").groupBy("k").count());
            SparkInternals.dropAllShuffles(); // what is cached needs them no more
            return text + rows(sums.orderBy("s"));
        } finally {
            sums.unpersist(true);
        }
    }

    /** Spark 4 drops the shuffles of a query when it ends; its RDD may write and read them again. */
    private static String cleaned(SparkSession spark) {
        Dataset<Row> sums = spark.sql("select g, sum(id) as s from t group by g");
        org.apache.spark.api.java.JavaRDD<Row> rdd = sums.toJavaRDD();
        String text = rows(sums) + RddCases.sorted(rdd.collect());
        return text + rows(sums) + RddCases.sorted(rdd.collect());
    }
}
