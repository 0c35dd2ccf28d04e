package org.overhand.spark.test;

import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A standalone Spark cluster whose two workers have loopback addresses of their own: Spark runs a speculative
 * copy only on another host.
 */
final class Standalone implements AutoCloseable {
    private static final String[] HOSTS = {"127.0.0.2", "127.0.0.3"};

    private final List<Process> processes = new ArrayList<>();
    private final String master;

    Standalone() throws IOException {
        try {
            master = start(Pattern.compile("Starting Spark master at (spark://\\S+)"),
                    "org.apache.spark.deploy.master.Master", "--host", "127.0.0.1", "--port", "0",
                    "--webui-port", "0");
            for (String host : HOSTS) {
                start(Pattern.compile("(Successfully registered with master)"),
                        "org.apache.spark.deploy.worker.Worker", "--host", host, "--cores", "1", "--memory",
                        "1g", "--webui-port", "0", "--work-dir",
                        System.getProperty("overhand.test.dir") + "/work/" + host, master);
            }
        } catch (IOException e) {
            close();
            throw e;
        }
    }

    String master() {
        return master;
    }

    /** Starts a daemon, returns what {@code ready} finds in its output and goes on reading that output. */
    private String start(Pattern ready, String... command) throws IOException {
        List<String> line = new ArrayList<>();
        line.add(System.getenv("SPARK_HOME") + File.separator + "bin" + File.separator + "spark-class");
        line.addAll(List.of(command));
        ProcessBuilder builder = new ProcessBuilder(line).redirectErrorStream(true);
        builder.environment().put("SPARK_DAEMON_MEMORY", "256m");
        builder.environment().remove("SPARK_LOCAL_IP");
        builder.environment().remove("LD_PRELOAD"); // a sanitizer's runtime; only JVMs bear it, see run.sh
        Process process = builder.start();
        processes.add(process);
        BufferedReader output = new BufferedReader(
                new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8));
        String text;
        while ((text = output.readLine()) != null) {
            System.out.println(text);
            Matcher matcher = ready.matcher(text);
            if (matcher.find()) {
                Thread drain = new Thread(() -> output.lines().forEach(System.out::println));
                drain.setDaemon(true);
                drain.start();
                return matcher.group(1);
            }
        }
        throw new IOException(command[0] + " ended before it was ready");
    }

    @Override
    public void close() {
        for (Process process : processes) {
            process.destroy();
        }
    }
}
