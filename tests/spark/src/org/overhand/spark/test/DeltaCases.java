package org.overhand.spark.test;

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.spark.sql.SparkSession;

/**
 * Tables of a released Delta Lake, written with its optimized write, which reads its shuffle past the shuffle
 * manager: that one shuffle has to be Spark's own, while those of the query it writes go through Overhand.
 */
final class DeltaCases {
    private DeltaCases() {
    }

    static Map<String, Comparison.Case> all() {
        Map<String, Comparison.Case> cases = new LinkedHashMap<>();
        cases.put("an optimized write of a table with partitions", spark -> written(spark, true));
        cases.put("an optimized write of a table without partitions", spark -> written(spark, false));
        return cases;
    }

    private static String written(SparkSession spark, boolean partitioned) throws Exception {
        Path dir = Files.createTempDirectory(Paths.get(System.getProperty("overhand.test.dir")), "delta");
        String table = "delta.`" + dir.resolve("table") + "`";
        spark.sql("create table " + table + " using delta " + (partitioned ? "partitioned by (g) " : "")
                + "tblproperties ('delta.autoOptimize.optimizeWrite' = 'true') as "
                + "select g, k, count(*) as n, sum(id) as s from t group by g, k");
        spark.sql("insert into " + table + " select t.g, keys.k, 1, t.id from t join keys on t.k = keys.k");
        if (Faults.areOn()) {
            StartSuite.requireLogged("falls back to Spark's own shuffle: this version of Delta's optimized write");
        }
        return Queries.rows(spark.sql("select * from " + table));
    }
}
