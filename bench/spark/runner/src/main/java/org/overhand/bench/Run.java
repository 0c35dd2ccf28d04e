package org.overhand.bench;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeoutException;
import java.util.function.Supplier;
import org.apache.spark.SparkContext;
import org.apache.spark.sql.SparkSession;

/**
 * Runs the steps of one workload, one after the other: {@code --workload NAME --out DIRECTORY [--steps a,b]
 * [--warm-up step|all] [--paced yes]} and what the workload wants ({@code --data}, {@code --bytes},
 * {@code --width}, {@code --count}).
 *
 * <p>Which shuffle they go through is the configuration's matter: this program only takes the session it is
 * given. Before the clock starts one step, or all of them, run without being counted, so that class loading and
 * the first compilations are not.
 *
 * <p>Leaves in the output directory, for each step that succeeded and whose answer is small, its rows in
 * canonical form ({@code q7.rows}), and {@code steps.jsonl} with one line of JSON for each step. A step that fails
 * has a line with an "error", and makes the exit status 1.
 *
 * <p>Paced, it prints those lines as they come, says {@code {"ready": STEP}} and {@code {"ran": STEP}} around each
 * step and waits each time for a line on its input, so that whoever measures can look at all processes.
 */
public final class Run {
    private final SparkSession spark;
    private final Workload workload;
    private final Path out;
    private final boolean paced;
    private final ShuffleMetrics metrics = new ShuffleMetrics();
    private final BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    private final List<String> lines = new ArrayList<>();

    private Run(SparkSession spark, Workload workload, Path out, boolean paced) {
        this.spark = spark;
        this.workload = workload;
        this.out = out;
        this.paced = paced;
        spark.sparkContext().addSparkListener(metrics);
    }

    public static void main(String[] args) throws IOException {
        Arguments arguments = new Arguments(args);
        String name = arguments.get("workload");
        Path out = Path.of(arguments.get("out"));
        Files.createDirectories(out);

        SparkSession spark = SparkSession.builder().appName("benchmark " + name).getOrCreate();
        Workload workload = Workload.of(name, spark, arguments);
        Run run = new Run(spark, workload, out, arguments.get("paced", "no").equals("yes"));
        String chosen = arguments.get("steps", "");
        List<String> steps = chosen.isEmpty() ? workload.steps() : Arrays.asList(chosen.split(","));

        run.warmUp(arguments.get("warm-up", "step").equals("all") ? steps : List.of(workload.warmUp()));
        boolean complete = true;
        for (String step : steps) {
            complete &= run.step(step);
        }
        Files.write(out.resolve("steps.jsonl"), run.lines);
        spark.stop();
        System.exit(complete ? 0 : 1);
    }

    /** A step that fails here fails again where it counts, and is told there. */
    private void warmUp(List<String> steps) {
        for (String step : steps) {
            try {
                workload.run(step).get();
            } catch (Exception e) { // collect() throws Spark's checked exceptions undeclared
                System.err.println("warm-up " + step + ": " + e);
            }
        }
    }

    private boolean step(String step) throws IOException {
        SparkContext context = spark.sparkContext();
        pace("ready", step);
        context.setLocalProperty(ShuffleMetrics.PROPERTY, step);
        long start = System.nanoTime();
        Supplier<Answer> result = null;
        Exception failure = null;
        try {
            result = workload.run(step);
        } catch (Exception e) { // collect() throws Spark's checked exceptions undeclared
            failure = e;
        }
        double took = (System.nanoTime() - start) / 1e9;
        context.setLocalProperty(ShuffleMetrics.PROPERTY, null);
        pace("ran", step);

        if (failure != null) {
            failure.printStackTrace();
            keep(Map.of("step", text(step), "error", text(firstLine(failure))));
            say("%s FAILED: %s%n", step, failure);
            return false;
        }
        Answer answer = result.get();
        if (!answer.lines().isEmpty()) {
            Files.write(out.resolve(step + ".rows"), answer.lines());
        }
        keep(figures(step, took, answer));
        say("%-4s %6.1f s  %d rows%n", step, took, answer.rows());
        return true;
    }

    private Map<String, String> figures(String step, double took, Answer answer) {
        waitForEvents();
        ShuffleMetrics.Sums sums = metrics.of(step);
        Map<String, String> fields = new TreeMap<>();
        fields.put("step", text(step));
        fields.put("seconds", number(took));
        fields.put("rows", Long.toString(answer.rows()));
        fields.put("digest", text(answer.digest()));
        fields.put("shuffles", Long.toString(sums.shuffles));
        fields.put("records", Long.toString(sums.records));
        fields.put("bytes_written", Long.toString(sums.written));
        fields.put("bytes_read_remote", Long.toString(sums.readRemote));
        fields.put("bytes_read_local", Long.toString(sums.readLocal));
        answer.figures().forEach((name, value) -> fields.put(name, number(value)));
        return fields;
    }

    private void waitForEvents() {
        try {
            spark.sparkContext().listenerBus().waitUntilEmpty();
        } catch (TimeoutException e) {
            throw new IllegalStateException("Spark's events do not come to an end", e);
        }
    }

    private void pace(String what, String step) throws IOException {
        if (!paced) {
            return;
        }
        System.out.println("{\"" + what + "\": " + text(step) + "}");
        if (input.readLine() == null) {
            throw new IOException("nobody paces this run any more");
        }
    }

    /** For people: nobody reads along when a run is paced. */
    private void say(String format, Object... values) {
        if (!paced) {
            System.out.printf(Locale.ROOT, format, values);
        }
    }

    private void keep(Map<String, String> fields) {
        List<String> pairs = new ArrayList<>();
        fields.forEach((name, value) -> pairs.add(text(name) + ": " + value));
        String line = "{" + String.join(", ", pairs) + "}";
        lines.add(line);
        if (paced) {
            System.out.println(line);
        }
    }

    private static String firstLine(Exception e) {
        return e.toString().lines().findFirst().orElse("");
    }

    private static String number(double value) {
        return String.format(Locale.ROOT, "%.4f", value);
    }

    private static String text(String text) {
        StringBuilder quoted = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            if (c == '"' || c == '\\') {
                quoted.append('\\').append(c);
            } else {
                quoted.append(c < ' ' ? ' ' : c);
            }
        }
        return quoted.append('"').toString();
    }
}
