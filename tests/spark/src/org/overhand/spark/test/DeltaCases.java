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
    private static final String FELL_BACK =
            "falls back to Spark's own shuffle: this version of Delta's optimized write";

    private DeltaCases() {
    }

    static Map<String, Comparison.Case> all() {
        Map<String, Comparison.Case> cases = new LinkedHashMap<>();
        for (String adaptive : new String[] {"true", "false"}) {
            String suffix = adaptive.equals("true") ? ", adaptive" : ", not adaptive";
            for (String partitioned : new String[] {"partitioned by (g)", ""}) {
                cases.put("an optimized write of a table " + partitioned + suffix,
                        spark -> Queries.with(spark, "spark.sql.adaptive.enabled", adaptive,
                                () -> written(spark, partitioned)));
            }
        }
        return cases;
    }

    private static String written(SparkSession spark, String partitioned) throws Exception {
        Path dir = Files.createTempDirectory(Paths.get(System.getProperty("overhand.test.dir")), "delta");
        String table = "delta.`" + dir.resolve("table") + "`";
        int before = StartSuite.nLogged(FELL_BACK);
        spark.sql("create table " + table + " using delta " + partitioned
                + " tblproperties ('delta.autoOptimize.optimizeWrite' = 'true') as "
                + "select g, k, count(*) as n, sum(id) as s from t group by g, k");
        spark.sql("insert into " + table + " select t.g, keys.k, 1, t.id from t join keys on t.k = keys.k");
        int n = StartSuite.nLogged(FELL_BACK) - before;
        Report.require(n == (Faults.areOn() ? 2 : 0), n + " shuffles of two writes fell back");
        return Queries.rows(spark.sql("select * from " + table));
    }
}
