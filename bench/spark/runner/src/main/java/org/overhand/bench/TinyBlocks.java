package org.overhand.bench;

import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.apache.spark.HashPartitioner;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.SparkSession;
import scala.Tuple2;

/** As many map tasks as reduce tasks, and exactly one pair of numbers from each to each. */
final class TinyBlocks implements Workload {
    private static final int WARM_UP_WIDTH = 100;

    private final JavaSparkContext context;
    private final int width;

    TinyBlocks(SparkSession spark, int width) {
        this.context = JavaSparkContext.fromSparkContext(spark.sparkContext());
        this.width = width;
    }

    @Override
    public List<String> steps() {
        return List.of("blocks");
    }

    @Override
    public String warmUp() {
        return "small";
    }

    @Override
    public Supplier<Answer> run(String step) {
        int n = step.equals("small") ? Math.min(width, WARM_UP_WIDTH) : width;
        JavaRDD<Long> mapNumbers = context.parallelize(range(n), n);
        List<Tuple2<Long, Long>> sums = mapNumbers
                .flatMapToPair(map -> pairs(map, n))
                .partitionBy(new HashPartitioner(n))
                .mapPartitions(part -> {
                    long count = 0;
                    long sum = 0;
                    while (part.hasNext()) {
                        Tuple2<Integer, Long> pair = part.next();
                        count++;
                        sum += pair._2() * (pair._1() + 1L);
                    }
                    return List.of(new Tuple2<>(count, sum)).iterator();
                })
                .collect();
        long rows = sums.stream().mapToLong(Tuple2::_1).sum();
        long sum = sums.stream().mapToLong(Tuple2::_2).sum();
        return () -> Answer.ofSum(rows, sum, Map.of());
    }

    private static List<Long> range(int n) {
        return LongStream.range(0, n).boxed().toList();
    }

    private static Iterator<Tuple2<Integer, Long>> pairs(long map, int n) {
        return IntStream.range(0, n)
                .mapToObj(reduce -> new Tuple2<>(reduce, map * n + reduce))
                .iterator();
    }
}
