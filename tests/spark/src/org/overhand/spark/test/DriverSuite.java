package org.overhand.spark.test;

import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.apache.spark.HashPartitioner;
import org.apache.spark.api.java.JavaPairRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.launcher.JavaModuleOptions;
import scala.Tuple2;

/**
 * Drivers that vanish: what a killed one left stays as long as its lease, disturbs nobody, not even an
 * application of the same name, and then disappears. Whoever wants to see data of a shuffle must hold its RDD: Spark
 * drops shuffles that nobody can read any more.
 */
final class DriverSuite {
    private static final int N = 5000;
    private static final long SUM = (long) N * (N - 1) / 2;
    private static final long LIMIT_NS = TimeUnit.SECONDS.toNanos(300);

    private final Report report;

    DriverSuite(Report report) {
        this.report = report;
    }

    void run() {
        report.check("driver: a killed one's data disappear with its lease, its successor's stay", this::killed);
        report.check("driver: one that ends leaves nothing", this::ended);
    }

    private static JavaSparkContext context(String masters) {
        return new JavaSparkContext(Conf.overhand("local[2]").set("spark.overhand.masters", masters));
    }

    private static JavaPairRDD<Integer, Integer> shuffled(JavaSparkContext sc) {
        return KillSuite.numbers(sc, N, 3).mapToPair(i -> new Tuple2<>(i, i)).partitionBy(new HashPartitioner(4));
    }

    private static void requireSum(JavaPairRDD<Integer, Integer> shuffled) {
        long sum = shuffled.values().map(value -> (long) value).reduce(Long::sum);
        Report.require(sum == SUM, "sum is " + sum);
    }

    /** The other driver: writes a shuffle, says so, and stays until it is killed. */
    static void runVictim(String masters) throws IOException {
        JavaSparkContext sc = context(masters);
        JavaPairRDD<Integer, Integer> shuffled = shuffled(sc);
        requireSum(shuffled);
        System.out.println("victim has written");
        System.out.flush();
        while (System.in.read() != -1) {
            continue;
        }
        requireSum(shuffled);
        sc.stop(); // whoever started it is gone
    }

    private void killed() throws Exception {
        try (Daemons daemons = new Daemons(2, "lease.default=10s")) {
            Process victim = startVictim(daemons.masters());
            try (JavaSparkContext sc = context(daemons.masters())) {
                JavaPairRDD<Integer, Integer> shuffled = shuffled(sc);
                requireSum(shuffled);
                victim.destroyForcibly().waitFor();
                requireSum(shuffled);
                awaitApps(daemons, 2);
                awaitApps(daemons, 1);
                StageLog log = new StageLog();
                sc.sc().addSparkListener(log);
                requireSum(shuffled);
                sc.sc().listenerBus().waitUntilEmpty();
                Report.require(log.fetchFailures().isEmpty(), "the wrong application's data disappeared");
            } finally {
                victim.destroyForcibly();
            }
        }
    }

    private void ended() throws Exception {
        try (Daemons daemons = new Daemons(2)) {
            try (JavaSparkContext sc = context(daemons.masters())) {
                JavaPairRDD<Integer, Integer> shuffled = shuffled(sc);
                requireSum(shuffled);
                awaitApps(daemons, 1);
                requireSum(shuffled);
            }
            awaitApps(daemons, 0);
        }
    }

    /** Waits until so many applications have data. */
    private static void awaitApps(Daemons daemons, int n) throws Exception {
        long begin = System.nanoTime();
        String text;
        do {
            Report.require(System.nanoTime() - begin < LIMIT_NS, "there never were " + n + " applications with data");
            LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(50));
            text = daemons.ask("shuffles", "--json");
        } while (text.split("\"app\"", -1).length - 1 != n);
    }

    private static Process startVictim(String masters) throws IOException {
        List<String> command = new ArrayList<>(Arrays.asList(System.getenv("JAVA_HOME") + "/bin/java", "-Xmx600m",
                "-XX:+UseSerialGC", "-cp", System.getProperty("java.class.path")));
        command.addAll(Arrays.asList(JavaModuleOptions.defaultModuleOptions().split(" ")));
        for (String key : new String[] {"dir", "masters", "bin"}) {
            command.add("-Doverhand.test." + key + "=" + System.getProperty("overhand.test." + key));
        }
        command.addAll(Arrays.asList(Main.class.getName(), "victim", masters));
        File errors = new File(System.getProperty("overhand.test.dir"), "work/victim.log");
        ProcessBuilder builder = new ProcessBuilder(command)
                .redirectError(ProcessBuilder.Redirect.appendTo(errors));
        builder.environment().remove("LD_PRELOAD");
        Process process = builder.start();
        BufferedReader output = new BufferedReader(
                new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8));
        String line;
        while ((line = output.readLine()) != null) {
            if (line.equals("victim has written")) {
                return process;
            }
        }
        throw new IOException("the other driver ended before it had written; see " + errors);
    }
}
