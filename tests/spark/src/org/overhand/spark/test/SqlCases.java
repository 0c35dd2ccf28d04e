package org.overhand.spark.test;

import static org.overhand.spark.test.Queries.planned;
import static org.overhand.spark.test.Queries.rows;
import static org.overhand.spark.test.Queries.with;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;

/** Queries that shuffle rows. */
final class SqlCases {
    private static final int N_ROWS = 30000;

    private SqlCases() {
    }

    static void createViews(SparkSession spark) {
        spark.range(0, N_ROWS, 1, 4).selectExpr("id", "id % 997 as k", "id % 13 as g",
                "concat('value ', id * 7919 % 10007) as s", "cast(id as decimal(20,4)) / 3 as d",
                "if(id % 5 = 0, null, id * 3) as n", "array(id, id + 1) as a",
                "named_struct('x', id % 3, 'y', cast(id as string)) as st").createOrReplaceTempView("t");
        spark.range(0, 997, 1, 3).selectExpr("id as k", "concat('key ', id) as name")
                .createOrReplaceTempView("keys");
        spark.range(0, N_ROWS, 1, 6).selectExpr("if(id % 10 < 8, 1, id % 50) as k", "xxhash64(id) as v",
                "repeat('p', 100) as pad").createOrReplaceTempView("skewed");
    }

    static Map<String, Comparison.Case> all() {
        Map<String, Comparison.Case> cases = new LinkedHashMap<>();
        addAdaptive(cases);
        for (String adaptive : new String[] {"true", "false"}) {
            String suffix = adaptive.equals("true") ? ", adaptive" : ", not adaptive";
            addPlain(cases, adaptive, suffix);
        }
        addExtremes(cases);
        return cases;
    }

    private static void addPlain(Map<String, Comparison.Case> cases, String adaptive, String suffix) {
        Map<String, String> plain = new LinkedHashMap<>();
        plain.put("sort", "select * from t order by s, id");
        plain.put("group by", "select k, count(*), sum(id), max(s), avg(d), sum(n) from t group by k");
        plain.put("join", "select t.id, t.s, keys.name from t join keys on t.k = keys.k where t.g < 3");
        plain.put("full outer join", "select t.id, keys.name from t full outer join keys on t.id = keys.k");
        plain.put("count distinct", "select g, count(distinct s), count(distinct k) from t group by g");
        plain.put("rollup", "select g, k % 5, sum(id) from t group by rollup(g, k % 5)");
        plain.put("window", "select id, row_number() over (partition by k order by id desc) from t");
        plain.put("nested types", "select st.x, collect_set(st.x), sum(size(a)) from t group by st.x");
        plain.put("one partition", "select sum(id), count(n), min(s), max(d) from t");
        plain.put("empty input", "select k, sum(id) from t where id < 0 group by k order by k");
        plain.put("few rows, many partitions", "select k, sum(id) from t where id < 3 group by k");
        plain.forEach((name, query) -> cases.put(name + suffix, spark -> with(spark,
                "spark.sql.adaptive.enabled", adaptive, () -> rows(spark.sql(query)))));
    }

    private static void addAdaptive(Map<String, Comparison.Case> cases) {
        cases.put("coalesced partitions", spark -> with(spark, "spark.sql.shuffle.partitions", "50",
                () -> planned(spark.sql("select k, sum(id) from t group by k"), "coalesced")));
        cases.put("skew join", spark -> with(spark,
                "spark.sql.adaptive.skewJoin.skewedPartitionThresholdInBytes", "4k", () -> with(spark,
                "spark.sql.adaptive.skewJoin.skewedPartitionFactor", "2", () -> with(spark,
                "spark.sql.adaptive.advisoryPartitionSizeInBytes", "8k",
                () -> planned(spark.sql("select s.v, keys.name from skewed s join keys on s.k = keys.k"),
                        "skew")))));
        cases.put("local shuffle read", spark -> with(spark,
                "spark.sql.adaptive.localShuffleReader.enabled", "true", () -> with(spark,
                "spark.sql.adaptive.autoBroadcastJoinThreshold", "10m",
                () -> planned(spark.sql("select t.id, b.name from t join keys b on t.k = b.k where b.k < 9"),
                        "local"))));
    }

    private static void addExtremes(Map<String, Comparison.Case> cases) {
        cases.put("2100 partitions", spark -> with(spark, "spark.sql.adaptive.enabled", "false",
                () -> with(spark, "spark.sql.shuffle.partitions", "2100",
                        () -> rows(spark.sql("select k, sum(id), max(s) from t group by k")))));
        cases.put("rows of 16 MiB", spark -> rows(spark.range(0, 3, 1, 2)
                .selectExpr("id", "repeat(cast(id as string), 16 * 1024 * 1024) as big").repartition(3)
                .selectExpr("id", "length(big)", "md5(big)")));
        cases.put("limit stops early", spark -> String.valueOf(
                spark.sql("select * from t").repartition(5).limit(10).count()));
        cases.put("same exchange twice", spark -> rows(spark.sql("with x as (select k, sum(id) as s from t "
                + "group by k) select a.k, a.s, b.s from x a join x b on a.k = b.k")));
        cases.put("row checksums", spark -> with(spark, "spark.sql.adaptive.enabled", "false",
                () -> with(spark, "spark.sql.shuffle.orderIndependentChecksum.enabled", "true",
                        () -> checksums(spark.sql("select k, sum(id) from t group by k")))));
        cases.put("unregister, then write again", SqlCases::unregistered);
        cases.put("cached data beside a shuffle", SqlCases::cachedAndShuffled);
    }

    /** From Spark 4.1 on, each map reports one; Spark reruns consumers by it. */
    private static String checksums(Dataset<Row> result) throws Exception {
        String text = rows(result);
        List<Long> checksums = SparkInternals.newestChecksums();
        Report.require(!checksums.contains(0L), "a map reports no checksum: " + checksums);
        return checksums + " " + text;
    }

    /** A shuffle that Spark dropped between two jobs is computed again under its old id. */
    private static String unregistered(SparkSession spark) {
        Dataset<Row> grouped = spark.sql("select k, sum(id) as s from t group by k");
        org.apache.spark.api.java.JavaRDD<Row> rdd = grouped.toJavaRDD();
        long first = rdd.map(row -> row.getLong(1)).reduce(Long::sum);
        SparkInternals.dropAllShuffles();
        return first + " " + rdd.map(row -> row.getLong(1)).reduce(Long::sum);
    }

    /**
     * A stage of which one task runs best where its input is cached: the other, which reads a shuffle, must be
     * run all the same. Spark waits for the preferred place much longer than the suite may take.
     */
    private static String cachedAndShuffled(SparkSession spark) throws Exception {
        Dataset<Row> cached = spark.range(0, 10, 1, 1).toDF("x").cache();
        try {
            cached.count();
            return with(spark, "spark.sql.shuffle.partitions", "1", () -> rows(
                    spark.range(10, 20, 1, 1).toDF("x").groupBy("x").count().select("x").union(cached)));
        } finally {
            cached.unpersist(true);
        }
    }
}
