package org.overhand.spark.test;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;

/** Running a query under a setting and turning its result into a text that can be compared. */
final class Queries {
    private Queries() {
    }

    /** A piece of a case that returns its text. */
    interface Work {
        String run() throws Exception;
    }

    static String with(SparkSession spark, String key, String value, Work work) throws Exception {
        String before = spark.conf().get(key, null);
        spark.conf().set(key, value);
        try {
            return work.run();
        } finally {
            if (before == null) {
                spark.conf().unset(key);
            } else {
                spark.conf().set(key, before);
            }
        }
    }

    /** The rows, and whether the final plan has words that show that the case meets what it is for. */
    static String planned(Dataset<Row> result, String... words) {
        String text = rows(result);
        String plan = result.queryExecution().executedPlan().toString();
        for (String word : words) {
            Report.require(plan.contains(word), "the plan has no '" + word + "': " + plan);
        }
        return text;
    }

    static String rows(Dataset<Row> result) {
        List<String> lines = new ArrayList<>();
        for (Row row : result.collectAsList()) {
            lines.add(row.toString());
        }
        return text(lines);
    }

    /** Lines in an order of their own. */
    static String text(List<String> lines) {
        Collections.sort(lines);
        String text = String.join("\n", lines);
        return lines.size() + " rows, hash " + text.hashCode() + ": " + text;
    }
}
