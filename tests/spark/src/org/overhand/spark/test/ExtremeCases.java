package org.overhand.spark.test;

import static org.overhand.spark.test.Queries.rows;
import static org.overhand.spark.test.Queries.with;

import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.HashPartitioner;
import org.apache.spark.api.java.JavaPairRDD;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.sql.SparkSession;
import scala.Tuple2;

/** Very many partitions, very large rows, and nothing at all. */
final class ExtremeCases {
    private static final int MANY = 20000;
    private static final int BIG = 64 << 20;

    private ExtremeCases() {
    }

    static Map<String, Comparison.Case> all() {
        Map<String, Comparison.Case> cases = new LinkedHashMap<>();
        cases.put("a row of 64 MiB", spark -> rows(spark.range(0, 3, 1, 2)
                .selectExpr("id", "if(id = 1, repeat('overhand', " + BIG / 8 + "), 'small') as big")
                .repartition(2).selectExpr("id", "length(big)", "md5(big)")));
        cases.put("a record of 64 MiB", spark -> RddCases.text(RddCases.numbers(spark).filter(i -> i < 3)
                .mapToPair(i -> new Tuple2<>(i, i == 1 ? new byte[BIG] : new byte[] {7}))
                .partitionBy(new HashPartitioner(2)).mapValues(Arrays::hashCode)));
        cases.put("20,000 partitions of rows", spark -> with(spark, "spark.sql.shuffle.partitions",
                String.valueOf(MANY), () -> rows(spark.sql("select id, count(*), max(s) from t group by id"))));
        cases.put("20,000 partitions of records", spark -> RddCases.text(JavaPairRDD.fromJavaRDD(
                RddCases.numbers(spark).mapToPair(i -> new Tuple2<>(i, i)).partitionBy(new HashPartitioner(MANY))
                        .map(pair -> pair).coalesce(8))));
        addEmpty(cases);
        return cases;
    }

    private static void addEmpty(Map<String, Comparison.Case> cases) {
        cases.put("no maps: sort", spark -> none(spark).sortByKey().collect().toString());
        cases.put("no maps: group and join", spark -> RddCases.text(none(spark).groupByKey(3)
                .join(none(spark), 3)));
        cases.put("no maps beside a full side", spark -> RddCases.text(RddCases.pairs(spark)
                .leftOuterJoin(none(spark), 5)));
        cases.put("no reduce partitions", spark -> RddCases.text(none(spark)
                .partitionBy(new HashPartitioner(0))));
        cases.put("maps without a record", spark -> RddCases.text(hollow(spark).reduceByKey(Integer::sum)));
        cases.put("maps without a record, sorted", spark -> hollow(spark).sortByKey().collect().toString());
        cases.put("one record in one of many maps", spark -> RddCases.text(RddCases.numbers(spark).repartition(50)
                .filter(i -> i == 17).mapToPair(i -> new Tuple2<>("k", i)).partitionBy(new HashPartitioner(30))));
        for (String adaptive : new String[] {"true", "false"}) {
            for (String query : new String[] {"select k, count(*) from none group by k",
                "select * from none order by k", "select t.id from t join none on t.k = none.k",
                "select t.k, none.v from t left join none on t.k = none.k where t.id < 50",
                "select distinct k from none union select k from keys where k < 3", "select count(*) from none",
                "select /*+ REPARTITION(4) */ * from none"}) {
                cases.put("no rows: " + query + (adaptive.equals("true") ? "" : ", not adaptive"),
                        spark -> with(spark, "spark.sql.adaptive.enabled", adaptive, () -> {
                            spark.range(0, 10, 1, 3).where("id > rand() + 10").selectExpr("id as k", "id as v")
                                    .createOrReplaceTempView("none");
                            return rows(spark.sql(query));
                        }));
            }
        }
    }

    private static JavaPairRDD<String, Integer> none(SparkSession spark) {
        JavaRDD<Tuple2<String, Integer>> none = RddCases.context(spark).emptyRDD();
        return JavaPairRDD.fromJavaRDD(none);
    }

    private static JavaPairRDD<String, Integer> hollow(SparkSession spark) {
        List<Tuple2<String, Integer>> empty = Collections.emptyList();
        return RddCases.context(spark).parallelizePairs(empty, 6);
    }
}
