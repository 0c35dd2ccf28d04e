package org.overhand.spark.test;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.util.Arrays;
import java.util.regex.Pattern;
import org.apache.spark.SparkConf;
import org.apache.spark.SparkEnv;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.shuffle.api.ShuffleDriverComponents;
import scala.Tuple2;

/** What happens at the start: fallback, refusals, the one-line set-up. */
final class StartSuite {
    private static final String NOBODY = "127.0.0.1:1";

    private final Report report;

    StartSuite(Report report) {
        this.report = report;
    }

    void run() {
        report.check("start: no master, falls back with a warning", () -> {
            works(nobody().set("spark.overhand.fallback", "auto"));
            requireLogged("Falling back to Spark's own shuffle for the whole application");
        });
        report.check("start: no master and fallback never", () -> refuses(
                nobody().set("spark.overhand.fallback", "never"), "Overhand cannot be used"));
        report.check("start: fallback always asks nobody", () -> works(
                nobody().set("spark.overhand.fallback", "always")));
        report.check("start: push-based shuffle is refused", () -> refuses(
                Conf.overhand("local[2]").set("spark.shuffle.push.enabled", "true"),
                "spark.shuffle.push.enabled=true"));
        report.check("start: an unknown key is named with the nearest one", () -> refuses(
                Conf.overhand("local[2]").set("spark.overhand.fallbck", "auto"),
                "spark.overhand.fallbck is not a key of Overhand; the nearest is spark.overhand.fallback"));
        report.check("start: spark.plugins alone is enough from 4.0 on", this::plugin);
        report.check("start: reliable storage is claimed", this::reliableStorage);
    }

    private static SparkConf nobody() {
        return Conf.overhand("local[2]").set("spark.overhand.masters", NOBODY)
                .set("spark.overhand.fallback.timeout", "1s");
    }

    private void plugin() throws Exception {
        SparkConf conf = Conf.base("local[2]").set("spark.overhand.masters", Conf.masters())
                .set("spark.plugins", "org.overhand.spark.OverhandSparkPlugin");
        if (Conf.version().startsWith("3.")) {
            refuses(conf, "creates its shuffle manager before its plugins");
            return;
        }
        try (JavaSparkContext sc = new JavaSparkContext(Conf.cluster(conf))) {
            String manager = SparkEnv.get().shuffleManager().getClass().getName();
            Report.require(manager.equals("org.overhand.spark.OverhandShuffleManager"), manager);
            count(sc);
        }
    }

    private void reliableStorage() throws Exception {
        try (JavaSparkContext sc = new JavaSparkContext(Conf.overhand("local[2]"))) {
            String tracking = sc.sc().conf().get("spark.dynamicAllocation.shuffleTracking.enabled", "unset");
            Report.require(Conf.version().startsWith("3.4") || tracking.equals("false"), tracking);
            Report.require(sc.sc().conf().get("spark.shuffle.sort.io.plugin.class")
                    .equals("org.overhand.spark.OverhandShuffleDataIO"), "io plugin is not entered");
            if (!Conf.version().startsWith("3.4")) {
                Object claimed = ShuffleDriverComponents.class.getMethod("supportsReliableStorage")
                        .invoke(sc.sc().shuffleDriverComponents()); // Spark 3.4 has no such method
                Report.require(Boolean.TRUE.equals(claimed), "reliable storage is not claimed");
            }
        }
    }

    private static void works(SparkConf conf) {
        try (JavaSparkContext sc = new JavaSparkContext(conf)) {
            count(sc);
        }
    }

    private static void count(JavaSparkContext sc) {
        long n = sc.parallelize(Arrays.asList(1, 2, 3, 4), 2).mapToPair(i -> new Tuple2<>(i % 2, i))
                .reduceByKey(Integer::sum).count();
        Report.require(n == 2, n + " keys");
    }

    private static void refuses(SparkConf conf, String message) {
        try (JavaSparkContext sc = new JavaSparkContext(conf)) {
            count(sc);
        } catch (Exception e) {
            for (Throwable cause = e; cause != null; cause = cause.getCause()) {
                if (String.valueOf(cause.getMessage()).contains(message)) {
                    return;
                }
            }
            throw new AssertionError("the message is not '" + message + "' but " + e, e);
        }
        throw new AssertionError("Spark started");
    }

    private static void requireLogged(String message) throws Exception {
        Report.require(nLogged(message) > 0, "the log has no '" + message + "'");
    }

    /** How often something is in this JVM's log. */
    static int nLogged(String message) throws Exception {
        byte[] text = Files.readAllBytes(Paths.get(System.getProperty("overhand.test.log")));
        return new String(text, StandardCharsets.UTF_8).split(Pattern.quote(message), -1).length - 1;
    }
}
