package org.overhand.spark.test;

import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.spark.SparkConf;
import org.apache.spark.sql.SparkSession;

/** The demo's TPC-H queries on its data. */
final class Tpch {
    static final int[] SHORT = {9, 18, 21}; // those that shuffle most
    private static final String[] TABLES = {"customer", "lineitem", "nation", "orders", "part", "partsupp",
        "region", "supplier"};

    private Tpch() {
    }

    static SparkSession session(SparkConf conf) {
        SparkSession spark = SparkSession.builder().config(conf).getOrCreate();
        for (String table : TABLES) {
            spark.read().parquet(System.getProperty("overhand.test.tpch") + "/" + table)
                    .createOrReplaceTempView(table);
        }
        return spark;
    }

    static String answer(SparkSession spark, int query) throws Exception {
        try (InputStream in = Tpch.class.getResourceAsStream("/tpch/q" + query + ".sql")) {
            return Queries.rows(spark.sql(new String(in.readAllBytes(), StandardCharsets.UTF_8)));
        }
    }

    /** The answers of Spark's own, undisturbed shuffle. */
    static Map<Integer, String> answers(int[] queries) throws Exception {
        Map<Integer, String> answers = new LinkedHashMap<>();
        SparkSession spark = session(Conf.base("local[2]"));
        for (int query : queries) {
            answers.put(query, answer(spark, query));
        }
        spark.stop();
        return answers;
    }
}
