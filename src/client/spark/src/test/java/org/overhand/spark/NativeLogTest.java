package org.overhand.spark;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertTrue;

import java.lang.reflect.Proxy;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.List;
import org.junit.Test;
import org.slf4j.Logger;

public class NativeLogTest {
    private final List<String> logged = new ArrayList<>();
    private final Deque<Object[]> lines = new ArrayDeque<>();
    private final NativeLog log = new NativeLog(this::take, logger("trace"));

    /** A logger whose lines come to {@link #logged} and that is enabled down to a level. */
    private Logger logger(String level) {
        List<String> levels = Arrays.asList("error", "warn", "info", "debug", "trace");
        return (Logger) Proxy.newProxyInstance(getClass().getClassLoader(), new Class<?>[] {Logger.class},
                (proxy, method, args) -> {
                    String name = method.getName();
                    if (name.startsWith("is")) {
                        String asked = name.substring(2, name.length() - "Enabled".length()).toLowerCase();
                        return levels.indexOf(asked) <= levels.indexOf(level);
                    }
                    logged.add(name + " " + (args.length > 1 ? args[0] + "|" + args[1] : args[0]));
                    return null;
                });
    }

    private String take(long[] out, int timeoutMs) {
        Object[] line = lines.poll();
        out[0] = line == null ? 0 : (Integer) line[0];
        out[1] = line == null ? 0 : (Integer) line[1];
        return line == null ? null : (String) line[2];
    }

    @Test
    public void linesGoToTheirLevels() {
        for (int level = 0; level < 4; level++) {
            lines.add(new Object[] {level, 0, "line {} " + level});
        }
        while (log.pass(0)) {
            assertFalse(logged.isEmpty());
        }
        assertEquals(Arrays.asList("error line {} 0", "warn line {} 1", "info line {} 2", "debug line {} 3"),
                logged);
    }

    @Test
    public void lostLinesAreCounted() {
        lines.add(new Object[] {2, 17, "before"});
        lines.add(new Object[] {1, 3, null});
        assertTrue(log.pass(0));
        assertFalse(log.pass(0));
        assertEquals(3, logged.size());
        assertEquals("info before", logged.get(0));
        assertTrue(logged.get(1), logged.get(1).startsWith("warn ") && logged.get(1).endsWith("|17"));
        assertTrue(logged.get(2), logged.get(2).startsWith("warn ") && logged.get(2).endsWith("|3"));
    }

    @Test
    public void theLibraryMakesOnlyLinesThatSparkWouldLog() {
        assertEquals(0, NativeLog.levelOf(logger("error")));
        assertEquals(1, NativeLog.levelOf(logger("warn")));
        assertEquals(2, NativeLog.levelOf(logger("info")));
        assertEquals(3, NativeLog.levelOf(logger("debug")));
        assertEquals(3, NativeLog.levelOf(logger("trace")));
    }
}
