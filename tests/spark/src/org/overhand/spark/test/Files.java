package org.overhand.spark.test;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** Files below the test's directory: what daemons and executors leave there, and marks between processes. */
final class Files {
    private static final long WAIT_NS = TimeUnit.SECONDS.toNanos(180);
    private static final long LOOK_NS = TimeUnit.MILLISECONDS.toNanos(10);

    private Files() {
    }

    static Path path(String name) {
        return Paths.get(System.getProperty("overhand.test.dir"), name);
    }

    /** How many files below a folder contain the text. */
    static int containing(String folder, String text) throws IOException {
        int n = 0;
        for (Path file : below(folder)) {
            String content = new String(java.nio.file.Files.readAllBytes(file), StandardCharsets.ISO_8859_1);
            if (content.contains(text)) {
                n++;
            }
        }
        return n;
    }

    private static List<Path> below(String folder) throws IOException {
        try (Stream<Path> files = java.nio.file.Files.walk(path(folder))) {
            return files.filter(java.nio.file.Files::isRegularFile).collect(Collectors.toList());
        }
    }

    /** Waits until a file below the folder contains the text. */
    static void await(String folder, String text) throws IOException {
        long end = System.nanoTime() + WAIT_NS;
        while (containing(folder, text) == 0) {
            Report.require(System.nanoTime() < end, "no file in " + folder + " has '" + text + "'");
            LockSupport.parkNanos(LOOK_NS);
        }
    }

    /** Leaves a mark for whoever awaits it. */
    static void mark(String mark) throws IOException {
        java.nio.file.Files.createFile(Paths.get(mark));
    }

    /** Waits for a mark, in any process of this machine. */
    static void awaitMark(String mark) {
        long end = System.nanoTime() + WAIT_NS;
        while (!java.nio.file.Files.exists(Paths.get(mark))) {
            Report.require(System.nanoTime() < end, mark + " does not appear");
            LockSupport.parkNanos(LOOK_NS);
        }
    }
}
