import java.io.BufferedOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.stream.Stream;
import org.apache.spark.api.java.function.VoidFunction;
import org.apache.spark.rdd.RDD;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.UnsafeRow;
import org.apache.spark.sql.execution.SparkPlan;
import org.apache.spark.sql.execution.exchange.ShuffleExchangeExec;
import scala.Product2;
import scala.collection.JavaConverters;

/**
 * Writes down what SQL queries shuffle: {@code Capture DATA OUT LIMIT QUERY.sql...}. DATA holds a folder of Parquet
 * for each table. For each exchange of each query there is a file {@code <query>-<number>.rows} in OUT with at most
 * about LIMIT bytes: the number of fields, then batches as the plugin builds them (partition by partition, cut at
 * 240 KiB or at the end of a map task), each with its length in front. For overhand-bench-rows.
 */
public final class Capture {
    private static final int BATCH_BYTES = 240 << 10; // as in src/client/writer.h

    private Capture() {}

    public static void main(String[] args) throws IOException {
        Path data = Path.of(args[0]);
        Path out = Files.createDirectories(Path.of(args[1]));
        long limit = Long.parseLong(args[2]);

        SparkSession spark = SparkSession.builder().appName("capture of rows").getOrCreate();
        try (Stream<Path> tables = Files.list(data)) {
            tables.filter(Files::isDirectory).forEach(table -> spark.read().parquet(table.toString())
                    .createOrReplaceTempView(table.getFileName().toString()));
        }
        for (int i = 3; i < args.length; i++) {
            Path query = Path.of(args[i]);
            String name = query.getFileName().toString().replace(".sql", "");
            capture(spark.sql(Files.readString(query)), name, out, limit);
        }
        spark.stop();
    }

    private static void capture(Dataset<Row> query, String name, Path out, long limit) {
        List<ShuffleExchangeExec> exchanges = new ArrayList<>();
        find(query.queryExecution().executedPlan(), exchanges);
        for (int i = 0; i < exchanges.size(); i++) {
            ShuffleExchangeExec exchange = exchanges.get(i);
            if (exchange.numPartitions() < 2) {
                continue; // a handful of rows on their way to the driver
            }
            String prefix = out.resolve(name + "-" + i).toString();
            int fields = exchange.output().size();
            long share = limit / Math.max(1, exchange.shuffleDependency().rdd().getNumPartitions());
            dump(exchange.shuffleDependency().rdd(), exchange.numPartitions(), prefix, fields, share);
        }
    }

    private static void find(SparkPlan plan, List<ShuffleExchangeExec> exchanges) {
        if (plan instanceof ShuffleExchangeExec exchange) {
            exchanges.add(exchange);
        }
        JavaConverters.seqAsJavaList(plan.children().toSeq()).forEach(child -> find(child, exchanges));
    }

    private static void dump(RDD<Product2<Object, InternalRow>> rows, int partitions, String prefix, int fields,
            long share) {
        VoidFunction<Iterator<Product2<Object, InternalRow>>> write =
                task -> new Batches(prefix, partitions, fields, share).write(task);
        rows.toJavaRDD().foreachPartition(write);
    }

    /** One map task's batches. */
    private static final class Batches {
        private final String path;
        private final int fields;
        private final long share;
        private final HeapBytes[] open;

        Batches(String prefix, int partitions, int fields, long share) {
            this.path = prefix + "." + org.apache.spark.TaskContext.getPartitionId() + ".rows";
            this.fields = fields;
            this.share = share;
            this.open = new HeapBytes[partitions];
        }

        void write(Iterator<Product2<Object, InternalRow>> rows) throws IOException {
            long written = 0;
            try (DataOutputStream file = new DataOutputStream(
                    new BufferedOutputStream(Files.newOutputStream(Path.of(path))))) {
                file.writeInt(Integer.reverseBytes(fields));
                while (rows.hasNext() && written < share) {
                    Product2<Object, InternalRow> pair = rows.next();
                    int partition = (Integer) pair._1();
                    HeapBytes batch = open[partition] == null ? open[partition] = new HeapBytes() : open[partition];
                    batch.add(((UnsafeRow) pair._2()).getBytes());
                    if (batch.size() >= BATCH_BYTES) {
                        written += batch.flush(file);
                    }
                }
                for (HeapBytes batch : open) {
                    if (batch != null && written < share) {
                        written += batch.flush(file);
                    }
                }
            }
        }
    }

    private static final class HeapBytes extends java.io.ByteArrayOutputStream {
        void add(byte[] row) throws IOException {
            DataOutputStream data = new DataOutputStream(this);
            data.writeInt(row.length);
            data.write(row);
        }

        int flush(DataOutputStream file) throws IOException {
            int len = size();
            file.writeInt(Integer.reverseBytes(len));
            writeTo(file);
            reset();
            return len;
        }
    }
}
