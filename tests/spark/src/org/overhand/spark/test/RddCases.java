package org.overhand.spark.test;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.HashPartitioner;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.JavaPairRDD;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.SparkSession;
import scala.Tuple2;

/** Shuffles of objects: any serializer, map-side combining, ordering. */
final class RddCases {
    private static final int N = 20000;

    private RddCases() {
    }

    static Map<String, Comparison.Case> all() {
        Map<String, Comparison.Case> cases = new LinkedHashMap<>();
        cases.put("reduceByKey", spark -> text(pairs(spark).reduceByKey(Integer::sum)));
        cases.put("groupByKey", spark -> text(pairs(spark).groupByKey(5).mapValues(RddCases::sorted)));
        cases.put("aggregateByKey", spark -> text(pairs(spark).aggregateByKey(0L, (a, v) -> a + v, Long::sum)));
        cases.put("sortByKey", spark -> pairs(spark).mapToPair(p -> new Tuple2<>(p._2(), p._1())).sortByKey()
                .collect().toString());
        cases.put("repartitionAndSort", spark -> pairs(spark)
                .repartitionAndSortWithinPartitions(new HashPartitioner(3)).keys().collect().toString());
        cases.put("cogroup", spark -> text(pairs(spark).cogroup(pairs(spark).filter(p -> p._2() % 3 == 0))
                .mapValues(p -> sorted(p._1()) + "/" + sorted(p._2()))));
        cases.put("join", spark -> text(pairs(spark).filter(p -> p._2() < 900)
                .join(pairs(spark).filter(p -> p._2() > N - 900))));
        cases.put("partitionBy", spark -> text(pairs(spark).partitionBy(new HashPartitioner(4))));
        cases.put("distinct", spark -> sorted(numbers(spark).map(i -> "word " + i % 77).distinct().collect()));
        cases.put("3000 partitions", spark -> text(pairs(spark).partitionBy(new HashPartitioner(3000))));
        cases.put("empty partitions", spark -> text(pairs(spark).filter(p -> p._2() == 5)
                .partitionBy(new HashPartitioner(40))));
        cases.put("empty input", spark -> text(pairs(spark).filter(p -> false).groupByKey()
                .mapValues(RddCases::sorted)));
        cases.put("no partitions", spark -> String.valueOf(JavaPairRDD.fromJavaRDD(
                context(spark).<Tuple2<String, Integer>>emptyRDD()).reduceByKey(Integer::sum).count()));
        cases.put("large records", spark -> text(numbers(spark).filter(i -> i < 5)
                .mapToPair(i -> new Tuple2<>(i, new byte[3 << 20])).partitionBy(new HashPartitioner(2))
                .mapValues(b -> b.length)));
        cases.put("map task fails once", spark -> text(numbers(spark).mapPartitions(FailOnce::new)
                .mapToPair(i -> new Tuple2<>("k" + i % 100, i)).reduceByKey(Integer::sum)));
        cases.put("reduce task fails once", spark -> sorted(pairs(spark).groupByKey(4).values()
                .mapPartitions(FailOnce::new).map(RddCases::sorted).collect()));
        return cases;
    }

    /** Fails half-way through the first attempt of its second partition. */
    private static final class FailOnce<T> implements java.util.Iterator<T> {
        private static final int FAIL_AFTER = 10;
        private final java.util.Iterator<T> records;
        private int n;

        FailOnce(java.util.Iterator<T> records) {
            this.records = records;
        }

        @Override
        public boolean hasNext() {
            return records.hasNext();
        }

        @Override
        public T next() {
            TaskContext task = TaskContext.get();
            if (n++ == FAIL_AFTER && task.attemptNumber() == 0 && task.partitionId() == 1) {
                throw new IllegalStateException("this attempt fails on purpose");
            }
            return records.next();
        }
    }

    static JavaSparkContext context(SparkSession spark) {
        return JavaSparkContext.fromSparkContext(spark.sparkContext());
    }

    static JavaRDD<Integer> numbers(SparkSession spark) {
        Integer[] numbers = new Integer[N];
        Arrays.setAll(numbers, i -> i);
        return context(spark).parallelize(Arrays.asList(numbers), 4);
    }

    static JavaPairRDD<String, Integer> pairs(SparkSession spark) {
        return numbers(spark).mapToPair(i -> new Tuple2<>("key " + i * 31L % 1009, i));
    }

    static <K, V> String text(JavaPairRDD<K, V> rdd) {
        return sorted(rdd.map(Tuple2::toString).collect());
    }

    static <T> String sorted(Iterable<T> values) {
        List<String> all = new ArrayList<>();
        values.forEach(value -> all.add(String.valueOf(value)));
        Collections.sort(all);
        return all.toString();
    }
}
