package org.overhand.spark.test;

import java.io.File;
import java.io.IOException;
import java.net.BindException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * A master and workers of its own, which can be killed, frozen and started again with the same name, port and
 * directory. What they say goes where run.sh looks for reports of sanitizers. Closing it fails if one of those
 * that still ran does not end well.
 */
final class Daemons implements AutoCloseable {
    private static final int READY_LIMIT_S = 60;
    private static final int END_LIMIT_S = 90;
    /** Of all daemons, for run.sh: a JVM that is killed leaves some behind. */
    private static final Path PIDS = Paths.get(System.getProperty("overhand.test.dir"), "pids");
    private static int nClusters;

    private final File logs = new File(System.getProperty("overhand.test.dir"), "work/daemons-" + ++nClusters);
    private final File data = new File(System.getProperty("overhand.test.dir"), "data-" + nClusters);
    private final String[] settings;
    private final String masters;
    private final Process master;
    private final int[] ports;
    private final Process[] workers;

    /** {@code settings}: KEY=VALUE, of the workers; those of leases are the master's, too. */
    Daemons(int nWorkers, String... settings) throws Exception {
        this.settings = settings;
        ports = new int[nWorkers];
        workers = new Process[nWorkers];
        if (!logs.mkdirs() || !data.mkdirs()) {
            throw new IOException("cannot make " + logs + " and " + data);
        }
        int port = freePort();
        masters = "127.0.0.1:" + port;
        List<String> command = new ArrayList<>(Arrays.asList(program("overhand-master"), "--host=127.0.0.1",
                "--port=" + port, "--log-level=warn", "--set=ready_after=0", "--set=heartbeat.interval=200ms",
                "--set=worker.lost_after=2s", "--set=http.enabled=off"));
        for (String setting : settings) {
            if (setting.startsWith("lease.default=")) {
                command.add("--set=" + setting);
            }
        }
        master = start("master", command);
        for (int i = 0; i < nWorkers; i++) {
            ports[i] = freePort();
            startWorker(i);
        }
        awaitReady();
    }

    String masters() {
        return masters;
    }

    int nWorkers() {
        return workers.length;
    }

    void startWorker(int i) throws IOException {
        List<String> command = new ArrayList<>(Arrays.asList(program("overhand-worker"), "--id=worker-" + i,
                "--host=127.0.0.1", "--port=" + ports[i], "--masters=" + masters, "--dir=" + data + "/worker-" + i,
                "--memory=256MiB", "--shards=1", "--log-level=warn", "--set=disk.reserve=0",
                "--set=http.enabled=off"));
        for (String setting : settings) {
            command.add("--set=" + setting);
        }
        workers[i] = start("worker-" + i, command);
    }

    /** As the kernel does when memory is short: nothing can be said or written any more. */
    void killWorker(int i) throws InterruptedException {
        workers[i].destroyForcibly().waitFor();
    }

    /** SIGTERM, and the wait for its end: it keeps what it has, or brings it to others. */
    void endWorker(int i) throws Exception {
        workers[i].destroy();
        Report.require(workers[i].waitFor(END_LIMIT_S, TimeUnit.SECONDS), "worker " + i + " does not end");
        Report.require(workers[i].exitValue() == 0, "worker " + i + " ended with " + workers[i].exitValue());
    }

    /** The disk of a worker that has ended is gone. */
    void loseDirectory(int i) throws IOException {
        Path directory = data.toPath().resolve("worker-" + i);
        try (Stream<Path> paths = Files.walk(directory)) {
            for (Path path : paths.sorted(Comparator.reverseOrder()).collect(Collectors.toList())) {
                Files.delete(path);
            }
        }
    }

    /** Stops a worker in its tracks; its connections stay. */
    void freezeWorker(int i) throws Exception {
        signal(workers[i], "STOP");
    }

    /** Whatever was done to it: afterwards it runs. */
    void repairWorker(int i) throws Exception {
        if (workers[i].isAlive()) {
            signal(workers[i], "CONT");
        } else {
            startWorker(i);
        }
    }

    private static void signal(Process process, String name) throws Exception {
        int rc = new ProcessBuilder("kill", "-" + name, String.valueOf(process.pid())).start().waitFor();
        Report.require(rc == 0, "kill -" + name + " ended with " + rc);
    }

    /** What the command line tool says. */
    String ask(String... arguments) throws Exception {
        List<String> command = new ArrayList<>(Collections.singletonList(program("overhand")));
        command.addAll(Arrays.asList(arguments));
        command.add("--masters=" + masters);
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
        builder.environment().remove("LD_PRELOAD");
        Process process = builder.start();
        String text = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        process.waitFor();
        return text;
    }

    /** Waits until the master knows all workers as alive. */
    void awaitReady() throws Exception {
        long begin = System.nanoTime();
        String text;
        do {
            Report.require(System.nanoTime() - begin < TimeUnit.SECONDS.toNanos(READY_LIMIT_S),
                    "the workers are not ready");
            LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(50));
            text = ask("workers", "--json");
        } while (text.split("\"alive\"", -1).length - 1 != workers.length);
    }

    private Process start(String name, List<String> command) throws IOException {
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true)
                .redirectOutput(ProcessBuilder.Redirect.appendTo(new File(logs, name + ".log")));
        builder.environment().remove("LD_PRELOAD"); // only JVMs bear it, see run.sh
        Process process = builder.start();
        Files.write(PIDS, (process.pid() + "\n").getBytes(StandardCharsets.UTF_8), StandardOpenOption.CREATE,
                StandardOpenOption.APPEND);
        return process;
    }

    private static String program(String name) {
        return System.getProperty("overhand.test.bin") + "/" + name;
    }

    /** A port that stays free while its daemon is away: below those the kernel gives to connections. */
    static int freePort() throws IOException {
        while (true) {
            int port = 10000 + new Random().nextInt(22000);
            try (ServerSocket socket = new ServerSocket(port, 1, InetAddress.getByName("127.0.0.1"))) {
                return socket.getLocalPort();
            } catch (BindException e) {
                continue; // another one, then
            }
        }
    }

    @Override
    public void close() throws Exception {
        List<Process> running = new ArrayList<>(Arrays.asList(workers));
        running.add(master);
        running.removeIf(process -> process == null || !process.isAlive());
        String failures = "";
        for (Process process : running) {
            process.destroy();
            if (!process.waitFor(60, TimeUnit.SECONDS)) {
                process.destroyForcibly().waitFor();
            }
            if (process.exitValue() != 0) {
                failures += " " + process.info().commandLine().orElse("a daemon") + ": " + process.exitValue();
            }
        }
        Report.require(failures.isEmpty(), "daemons did not end well:" + failures);
    }
}
