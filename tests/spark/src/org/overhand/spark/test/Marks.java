package org.overhand.spark.test;

import java.io.IOException;
import java.io.Serializable;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/** Points reached by tasks in executors' JVMs or by the test in the driver's: files of one directory. */
final class Marks implements Serializable {
    private static final long serialVersionUID = 1;
    private static final long LIMIT_NS = TimeUnit.SECONDS.toNanos(300);

    private final String dir;

    Marks() throws IOException {
        dir = Files.createTempDirectory(Paths.get(System.getProperty("overhand.test.dir")), "marks").toString();
    }

    /** Says that a point was reached, with a text for who awaits it. True for the first to do so. */
    boolean reach(String point, String text) {
        try {
            Path content = Files.createTempFile(Paths.get(dir), "content", "");
            Files.write(content, text.getBytes(StandardCharsets.UTF_8));
            Files.createLink(Paths.get(dir, point), content);
            return true;
        } catch (FileAlreadyExistsException e) {
            return false;
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }

    /** Waits for a point and returns its text. */
    String await(String point) {
        Path path = Paths.get(dir, point);
        long begin = System.nanoTime();
        try {
            while (!Files.exists(path)) {
                Report.require(System.nanoTime() - begin < LIMIT_NS, "never reached: " + point);
                LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(5));
            }
            return new String(Files.readAllBytes(path), StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }
}
