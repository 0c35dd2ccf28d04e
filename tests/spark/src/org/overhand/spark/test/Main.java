package org.overhand.spark.test;

import java.util.ArrayList;
import java.util.List;

/** Runs one suite in this JVM and ends with 0 only if every case of it passed: {@code Main SUITE}. */
public final class Main {
    private Main() {
    }

    public static void main(String[] args) throws Exception {
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
            case "rdd-java":
                new Comparison(report, "rdd-java").run(RddCases.all());
                break;
            case "rdd-kryo":
                new Comparison(report, "rdd-kryo")
                        .with("spark.serializer", "org.apache.spark.serializer.KryoSerializer")
                        .run(RddCases.all());
                break;
            case "start":
                new StartSuite(report).run();
                break;
            default:
                throw new IllegalArgumentException("no suite " + suite
                        + "; there are lost-worker faults sql sql-offheap rdd-java rdd-kryo start");
        }
    }
}
