package org.overhand.spark.test;

import java.io.Serializable;
import java.util.Arrays;
import java.util.Iterator;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;
import java.util.zip.CRC32;
import org.apache.spark.HashPartitioner;
import org.apache.spark.SparkConf;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.JavaPairRDD;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import scala.Tuple2;

/**
 * Workers and executors that die or hang in the middle of a map task or of a large read. The moment, the task
 * and the worker come from a seed, which is printed; OVERHAND_SEED repeats it. Every row must come out once.
 */
final class KillSuite {
    private static final int N_MAPS = 4;
    private static final int N_PARTITIONS = 4;
    private static final int N_ROWS = 12000; // of a map
    private static final int ROW_BYTES = 500; // 24 MB in all, 6 MB in a partition
    private static final int N_WORKERS = 3;

    private final Report report;
    private final int nRounds;
    private final long seed;

    KillSuite(Report report, int nRounds) {
        this.report = report;
        this.nRounds = nRounds;
        seed = seed();
        System.out.println("seed " + seed + " (OVERHAND_SEED)");
    }

    static JavaRDD<Integer> numbers(JavaSparkContext sc, int n, int nPartitions) {
        Integer[] numbers = new Integer[n];
        Arrays.setAll(numbers, i -> i);
        return sc.parallelize(Arrays.asList(numbers), nPartitions);
    }

    static long seed() {
        String given = System.getenv("OVERHAND_SEED");
        return given != null && !given.isEmpty() ? Long.parseLong(given) : System.nanoTime() % 1_000_000;
    }

    /** What happens when a task has come to the chosen row; {@code pid} is its executor's. */
    interface Blow {
        void strike(int worker, long pid) throws Exception;
    }

    void run() throws Exception {
        try (Daemons daemons = new Daemons(N_WORKERS); JavaSparkContext sc = new JavaSparkContext(conf(daemons))) {
            for (int round = 0; round < nRounds; round++) {
                Random random = new Random(seed + round);
                for (String where : new String[] {"writing", "reading"}) {
                    Round cases = new Round(daemons, sc, where, random);
                    cases.check("a worker is killed", (worker, pid) -> daemons.killWorker(worker));
                    cases.check("a worker is killed and started again", (worker, pid) -> {
                        daemons.killWorker(worker);
                        daemons.startWorker(worker);
                    });
                    cases.check("a worker hangs", (worker, pid) -> daemons.freezeWorker(worker));
                    cases.check("an executor is killed", (worker, pid) -> kill(pid));
                }
            }
        }
    }

    private static SparkConf conf(Daemons daemons) {
        return Conf.cluster(Conf.overhand("")).set("spark.overhand.masters", daemons.masters())
                .set("spark.overhand.reader.window", "1m").set("spark.overhand.writer.memory", "2m")
                .set("spark.overhand.timeout.progress", "2s").set("spark.task.maxFailures", "8")
                .set("spark.stage.maxConsecutiveAttempts", "10").set("spark.deploy.maxExecutorRetries", "-1");
    }

    private static void kill(long pid) throws Exception {
        ProcessHandle executor = ProcessHandle.of(pid)
                .orElseThrow(() -> new IllegalStateException("no executor has pid " + pid));
        Report.require(executor.destroyForcibly(), "could not kill executor " + pid);
        executor.onExit().get(30, TimeUnit.SECONDS);
    }

    /** Cases on one cluster, in one application: what a case broke is repaired behind it. */
    private final class Round {
        private final Daemons daemons;
        private final JavaSparkContext sc;
        private final String where;
        private final Random random;

        Round(Daemons daemons, JavaSparkContext sc, String where, Random random) {
            this.daemons = daemons;
            this.sc = sc;
            this.where = where;
            this.random = random;
        }

        void check(String what, Blow blow) {
            int worker = random.nextInt(N_WORKERS);
            int task = random.nextInt(N_MAPS);
            int row = random.nextInt(N_ROWS);
            String name = what + " while a task is " + where;
            report.check("kills: " + name, () -> {
                System.out.printf("%s: worker %d, task %d, row %d%n", name, worker, task, row);
                try {
                    run(new Point(new Marks(), task, row), worker, blow);
                } finally {
                    daemons.repairWorker(worker);
                    daemons.awaitReady();
                }
            });
        }

        private void run(Point point, int worker, Blow blow) throws Exception {
            CompletableFuture<Void> striker = CompletableFuture.runAsync(() -> {
                long pid = Long.parseLong(point.marks.await("reached"));
                try {
                    blow.strike(worker, pid);
                } catch (Exception e) {
                    throw new CompletionException(e);
                } finally {
                    point.marks.reach("struck", "");
                }
            });
            String sum = sum(sc, where.equals("writing") ? point : null, where.equals("reading") ? point : null);
            striker.get();
            Report.require(sum.equals(expected()), "is " + sum + ", not " + expected());
        }
    }

    /** A row of a task: who comes there first lets the blow fall and goes on after it. */
    private static final class Point implements Serializable {
        private static final long serialVersionUID = 1;
        private final Marks marks;
        private final int task;
        private final int row;

        Point(Marks marks, int task, int row) {
            this.marks = marks;
            this.task = task;
            this.row = row;
        }

        <T> Iterator<T> on(Iterator<T> records) {
            return TaskContext.getPartitionId() != task ? records : new Hooked<>(records, row, () -> {
                if (marks.reach("reached", String.valueOf(ProcessHandle.current().pid()))) {
                    marks.await("struck");
                }
            });
        }
    }

    private static String sum(JavaSparkContext sc, Point writing, Point reading) {
        JavaRDD<Integer> maps = sc.parallelize(Arrays.asList(0, 1, 2, 3), N_MAPS);
        JavaPairRDD<Integer, byte[]> shuffled = maps.mapPartitionsToPair(numbers -> {
            Iterator<Tuple2<Integer, byte[]>> rows = new Rows(numbers.next());
            return writing == null ? rows : writing.on(rows);
        }).partitionBy(new HashPartitioner(N_PARTITIONS));
        return shuffled.mapPartitions(rows -> {
            Sum sum = new Sum();
            (reading == null ? rows : reading.on(rows)).forEachRemaining(sum::add);
            return Arrays.asList(sum).iterator();
        }).reduce(Sum::plus).toString();
    }

    private static String expected() {
        Sum sum = new Sum();
        for (int map = 0; map < N_MAPS; map++) {
            new Rows(map).forEachRemaining(sum::add);
        }
        return sum.toString();
    }

    /** The rows of a map: keys of all partitions, bytes that do not compress away. */
    private static final class Rows implements Iterator<Tuple2<Integer, byte[]>> {
        private final int map;
        private int n;

        Rows(int map) {
            this.map = map;
        }

        @Override
        public boolean hasNext() {
            return n < N_ROWS;
        }

        @Override
        public Tuple2<Integer, byte[]> next() {
            int key = n++ * N_MAPS + map;
            byte[] value = new byte[ROW_BYTES];
            new Random(key).nextBytes(value);
            return new Tuple2<>(key / N_MAPS, value);
        }
    }

    /** Equal for equal rows in any order: their number and the sum of their checksums. */
    private static final class Sum implements Serializable {
        private static final long serialVersionUID = 1;
        private long n;
        private long checksums;

        void add(Tuple2<Integer, byte[]> row) {
            CRC32 crc = new CRC32();
            crc.update(row._2());
            n++;
            checksums += crc.getValue() * 31 + row._1();
        }

        Sum plus(Sum other) {
            n += other.n;
            checksums += other.checksums;
            return this;
        }

        @Override
        public String toString() {
            return n + " rows, checksums " + checksums;
        }
    }
}
