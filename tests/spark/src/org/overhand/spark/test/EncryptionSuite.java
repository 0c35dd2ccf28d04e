package org.overhand.spark.test;

import java.util.Arrays;
import org.apache.spark.HashPartitioner;
import org.apache.spark.SparkConf;
import org.apache.spark.api.java.JavaPairRDD;
import org.apache.spark.api.java.JavaSparkContext;
import scala.Tuple2;

/** What the workers' disks tell about data of an application that encrypts; executors are other processes. */
final class EncryptionSuite {
    private static final int N = 10000;
    private static final String PLAINTEXT = "words that nobody but the application may read";

    private final Report report;

    EncryptionSuite(Report report) {
        this.report = report;
    }

    /** Ends the cluster's workers: nothing can run after it. */
    void run() {
        report.check("encrypted: no file of a worker holds what was written", this::filesTellNothing);
    }

    /** The application that does not encrypt shows that a search would find it. */
    private void filesTellNothing() throws Exception {
        try (JavaSparkContext sc = new JavaSparkContext(conf("true"))) {
            write(sc, "encrypted ");
            for (long worker : Workers.pids().subList(0, 2)) {
                Workers.end(worker);
            }
            Report.require(Files.containing("cluster", sc.sc().applicationId()) > 0, "the workers wrote nothing");
            Report.require(Files.containing("cluster", "encrypted " + PLAINTEXT) == 0, "plaintext on disk");
        }
        try (JavaSparkContext sc = new JavaSparkContext(conf("false"))) {
            write(sc, "clear ");
            Workers.end(Workers.pids().get(2));
            Report.require(Files.containing("cluster", "clear " + PLAINTEXT) > 0, "plaintext is not found at all");
        }
    }

    private static SparkConf conf(String encrypted) {
        return Conf.cluster(Conf.overhand("")).set("spark.overhand.compression.codec", "none")
                .set("spark.io.encryption.enabled", encrypted).set("spark.io.encryption.keySizeBits", "256");
    }

    private static void write(JavaSparkContext sc, String prefix) {
        Integer[] numbers = new Integer[N];
        Arrays.setAll(numbers, i -> i);
        JavaPairRDD<Integer, String> shuffled = sc.parallelize(Arrays.asList(numbers), 4)
                .mapToPair(i -> new Tuple2<>(i, prefix + PLAINTEXT)).partitionBy(new HashPartitioner(8));
        long n = shuffled.values().filter((prefix + PLAINTEXT)::equals).count();
        Report.require(n == N, n + " records came back");
    }
}
