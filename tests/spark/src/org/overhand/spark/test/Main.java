package org.overhand.spark.test;

import java.util.ArrayList;
import java.util.List;

/** Runs one suite in this JVM and ends with 0 only if every case of it passed: {@code Main SUITE}. */
public final class Main {
    private Main() {
    }

    public static void main(String[] args) throws Exception {
        if (args[0].equals("victim")) { // a second driver, see DriverSuite
            DriverSuite.runVictim(args[1]);
            return;
        }
        Report report = new Report();
        List<String> names = new ArrayList<>();
        for (String suite : args) {
            names.add(suite);
            run(suite, report);
        }
        System.out.printf("%d passed, %d failed in %s%n", report.nPassed(), report.nFailed(),
                String.join(", ", names));
        System.exit(report.nFailed() == 0 && report.nPassed() > 0 ? 0 : 1);
    }

    private static void run(String suite, Report report) throws Exception {
        switch (suite) {
            case "lost-worker":
                new LostWorkerSuite(report).run();
                break;
            case "faults":
                new FaultSuite(report).run();
                break;
            case "sql":
                new Comparison(report, "sql").run(SqlCases.all());
                break;
            case "sql-offheap":
                new Comparison(report, "sql-offheap").with("spark.memory.offHeap.enabled", "true")
                        .with("spark.memory.offHeap.size", "256m").run(SqlCases.all());
                break;
            case "sql-encrypted":
                new Comparison(report, "sql-encrypted").with("spark.io.encryption.enabled", "true")
                        .run(SqlCases.all());
                break;
            case "encryption":
                new EncryptionSuite(report).run();
                break;
            case "replicas":
                new ReplicaSuite(report).run();
                break;
            case "rdd-java":
                new Comparison(report, "rdd-java").run(RddCases.all());
                break;
            case "rdd-kryo":
                new Comparison(report, "rdd-kryo")
                        .with("spark.serializer", "org.apache.spark.serializer.KryoSerializer")
                        .run(RddCases.all());
                break;
            case "adaptive":
                new Comparison(report, suite).with("spark.sql.adaptive.localShuffleReader.enabled", "true")
                        .run(AdaptiveCases.all());
                break;
            case "extremes":
                new Comparison(report, suite).run(ExtremeCases.all());
                break;
            case "task-faults":
                new Comparison(report, suite).run(TaskFaultCases.all());
                break;
            case "stage-retry":
                new Comparison(report, suite).run(StageRetryCases.all());
                break;
            case "indeterminate":
                indeterminate(report, suite, "false").run(IndeterminateCases.all());
                if (!Conf.version().matches("3\\..*|4\\.0\\..*")) { // they came with 4.1
                    indeterminate(report, suite + " with checksums", "true")
                            .run(IndeterminateCases.withChecksums());
                }
                break;
            case "allocation":
                new AllocationSuite(report).run();
                break;
            case "delta":
                new Comparison(report, suite).with("spark.overhand.fallback", "auto")
                        .with("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
                        .with("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
                        .with("spark.databricks.delta.snapshotPartitions", "2")
                        // Delta writes a single partition as it is
                        .with("spark.sql.adaptive.coalescePartitions.enabled", "false").run(DeltaCases.all());
                break;
            case "driver":
                new DriverSuite(report).run();
                break;
            case "streaming":
                new Comparison(report, suite).with("spark.sql.shuffle.partitions", "3")
                        .run(StreamingCases.all());
                break;
            case "thrift":
                new Comparison(report, suite).with("spark.sql.catalogImplementation", "hive")
                        .run(ThriftCases.all());
                break;
            case "chaos-brief":
                ChaosSuite.brief(report).run();
                break;
            case "chaos":
                ChaosSuite.full(report).run();
                break;
            case "leave":
                new LeaveSuite(report).run();
                break;
            case "kills":
                new KillSuite(report, Integer.getInteger("overhand.test.rounds", 1)).run();
                break;
            case "start":
                new StartSuite(report).run();
                break;
            default:
                throw new IllegalArgumentException("no suite " + suite
                        + "; tests/spark/run.sh says which there are");
        }
    }

    private static Comparison indeterminate(Report report, String name, String checksums) {
        return new Comparison(report, name).with("spark.sql.execution.sortBeforeRepartition", "false")
                .with("spark.sql.shuffle.orderIndependentChecksum.enabled", checksums)
                .with("spark.sql.shuffle.orderIndependentChecksum.enableFullRetryOnMismatch", checksums);
    }
}
