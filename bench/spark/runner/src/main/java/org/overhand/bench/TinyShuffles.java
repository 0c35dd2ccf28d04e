package org.overhand.bench;

import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.SparkSession;
import scala.Tuple2;

/** Jobs of one shuffle each, two map tasks and two reduce tasks with a hundred numbers, one after the other. */
final class TinyShuffles implements Workload {
    private static final int WARM_UP_COUNT = 50;
    private static final List<Integer> NUMBERS = IntStream.range(0, 100).boxed().toList();

    private final JavaSparkContext context;
    private final int count;

    TinyShuffles(SparkSession spark, int count) {
        this.context = JavaSparkContext.fromSparkContext(spark.sparkContext());
        this.count = count;
    }

    @Override
    public List<String> steps() {
        return List.of("shuffles");
    }

    @Override
    public String warmUp() {
        return "some";
    }

    @Override
    public Supplier<Answer> run(String step) {
        int n = step.equals("some") ? WARM_UP_COUNT : count;
        double[] took = new double[n];
        long rows = 0;
        long sum = 0;
        for (int i = 0; i < n; i++) {
            long start = System.nanoTime();
            for (Tuple2<Integer, Integer> pair : shuffle()) {
                rows++;
                sum += pair._1() * 31L + pair._2();
            }
            took[i] = (System.nanoTime() - start) / 1e6;
        }
        Arrays.sort(took);
        Map<String, Double> figures = Map.of("median_ms", took[n / 2], "p95_ms", took[n * 95 / 100]);
        long allRows = rows;
        long allSum = sum;
        return () -> Answer.ofSum(allRows, allSum, figures);
    }

    private List<Tuple2<Integer, Integer>> shuffle() {
        return context.parallelize(NUMBERS, 2)
                .mapToPair(number -> new Tuple2<>(number % 10, number))
                .reduceByKey(Integer::sum, 2)
                .collect();
    }
}
