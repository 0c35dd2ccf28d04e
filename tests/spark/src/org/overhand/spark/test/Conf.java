package org.overhand.spark.test;

import org.apache.spark.SparkConf;

/** Spark settings of the tests. */
final class Conf {
    private Conf() {
    }

    static String masters() {
        return System.getProperty("overhand.test.masters");
    }

    static String version() {
        return org.apache.spark.package$.MODULE$.SPARK_VERSION();
    }

    static SparkConf base(String master) {
        return new SparkConf().setMaster(master).setAppName("overhand test")
                .set("spark.ui.enabled", "false")
                .set("spark.sql.shuffle.partitions", "7")
                .set("spark.sql.autoBroadcastJoinThreshold", "-1")
                .set("spark.sql.warehouse.dir", System.getProperty("overhand.test.dir") + "/warehouse")
                .set("spark.sql.ansi.enabled", "false");
    }

    /** Through Overhand or not at all. */
    static SparkConf overhand(String master) {
        return base(master).set("spark.shuffle.manager", "org.overhand.spark.OverhandShuffleManager")
                .set("spark.overhand.masters", masters()).set("spark.overhand.fallback", "never");
    }

    /** Two executors in JVMs of their own. */
    static SparkConf cluster(SparkConf conf) {
        String jars = System.getProperty("overhand.test.jars");
        return conf.setMaster("local-cluster[2,1,1024]").set("spark.executor.memory", "600m")
                .set("spark.executor.extraClassPath", jars)
                .set("spark.executor.extraJavaOptions", "-XX:+UseSerialGC");
    }
}
