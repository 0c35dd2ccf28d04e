package org.overhand.spark.test;

import java.lang.reflect.Method;
import java.net.ConnectException;
import java.net.Socket;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.hive.thriftserver.HiveThriftServer2;

/** Queries that come through Spark's Thrift server, over JDBC, also several at once. */
final class ThriftCases {
    private static final int N_CLIENTS = 3;
    private static final long LIMIT_NS = TimeUnit.SECONDS.toNanos(120);

    /** The same for all servers of this JVM: Hive keeps the first one's. */
    private static int port;

    private ThriftCases() {
    }

    static Map<String, Comparison.Case> all() {
        Map<String, Comparison.Case> cases = new LinkedHashMap<>();
        cases.put("queries over JDBC, several clients at once", ThriftCases::serve);
        return cases;
    }

    private static String serve(SparkSession spark) throws Exception {
        if (port == 0) {
            port = Daemons.freePort();
        }
        spark.conf().set("hive.server2.thrift.port", String.valueOf(port));
        spark.conf().set("hive.server2.thrift.bind.host", "127.0.0.1");
        HiveThriftServer2 server = start(spark);
        ExecutorService clients = Executors.newFixedThreadPool(N_CLIENTS);
        try {
            awaitListening();
            List<Future<String>> answers = new ArrayList<>();
            for (int i = 0; i < N_CLIENTS; i++) {
                answers.add(clients.submit(() -> client("jdbc:hive2://127.0.0.1:" + port + "/default")));
            }
            StringBuilder text = new StringBuilder();
            for (Future<String> answer : answers) {
                text.append(answer.get()).append('\n');
            }
            return text.toString();
        } finally {
            clients.shutdown();
            server.stop();
        }
    }

    /** Spark 3.5 has it for a SQLContext alone, 4.1 and later say that it is deprecated. */
    private static HiveThriftServer2 start(SparkSession spark) throws Exception {
        for (Method method : HiveThriftServer2.class.getMethods()) {
            if (method.getName().equals("startWithContext")) {
                return (HiveThriftServer2) method.invoke(null, spark.sqlContext());
            }
        }
        throw new IllegalStateException("this Spark starts its Thrift server otherwise");
    }

    /** The server returns before it listens. */
    private static void awaitListening() throws Exception {
        long begin = System.nanoTime();
        while (true) {
            try (Socket socket = new Socket("127.0.0.1", port)) {
                return;
            } catch (ConnectException e) {
                Report.require(System.nanoTime() - begin < LIMIT_NS, "the server never listens");
                LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(50));
            }
        }
    }

    private static String client(String url) throws Exception {
        Class.forName("org.apache.hive.jdbc.HiveDriver");
        List<String> lines = new ArrayList<>();
        try (Connection connection = DriverManager.getConnection(url, "", "");
                Statement statement = connection.createStatement()) {
            statement.execute("create temporary view r as select id, id % 97 as k from range(0, 10000, 1, 4)");
            add(lines, statement.executeQuery("select k, count(*), sum(id) from r group by k"));
            add(lines, statement.executeQuery("select a.id, b.id from r a join r b on a.id = b.id + 5000"));
            add(lines, statement.executeQuery("select id from r order by id desc limit 100"));
        }
        return Queries.text(lines);
    }

    private static void add(List<String> lines, ResultSet rows) throws Exception {
        int n = rows.getMetaData().getColumnCount();
        while (rows.next()) {
            StringBuilder line = new StringBuilder();
            for (int i = 1; i <= n; i++) {
                line.append(rows.getString(i)).append(' ');
            }
            lines.add(line.toString());
        }
    }
}
