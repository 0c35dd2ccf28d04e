package org.overhand.spark.test;

import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.spark.SparkConf;
import org.apache.spark.sql.SparkSession;

/**
 * Runs the same cases with Spark's own shuffle and with Overhand, one after the other in this JVM, and
 * compares what they return.
 */
final class Comparison {
    /** A computation whose text must not depend on who shuffles. */
    interface Case {
        String run(SparkSession spark) throws Exception;
    }

    private final Report report;
    private final String suite;
    private final Map<String, String> settings = new LinkedHashMap<>();

    Comparison(Report report, String suite) {
        this.report = report;
        this.suite = suite;
    }

    Comparison with(String key, String value) {
        settings.put(key, value);
        return this;
    }

    void run(Map<String, Case> cases) {
        Map<String, String> expected = new LinkedHashMap<>();
        try (Context own = new Context(Conf.base("local[2,4]"))) {
            cases.forEach((name, body) -> report.check(suite + " " + name + " with Spark's own shuffle",
                    () -> expected.put(name, run(body, own))));
        }
        try (Context overhand = new Context(Conf.overhand("local[2,4]"))) {
            cases.forEach((name, body) -> report.check(suite + " " + name, () -> {
                String text = run(body, overhand);
                Report.require(text.equals(expected.get(name)),
                        "is " + shortened(text) + ", not " + shortened(expected.get(name)));
            }));
        }
    }

    private static String run(Case body, Context context) throws Exception {
        Faults.reset();
        return body.run(context.spark);
    }

    private static String shortened(String text) {
        return text == null || text.length() < 200 ? text : text.substring(0, 200) + "...";
    }

    private final class Context implements AutoCloseable {
        private final SparkSession spark;

        Context(SparkConf conf) {
            settings.forEach(conf::set);
            spark = SparkSession.builder().config(conf).getOrCreate();
            SqlCases.createViews(spark);
        }

        @Override
        public void close() {
            spark.stop();
        }
    }
}
