package org.overhand.spark;

import java.util.Collections;
import java.util.Map;
import org.apache.spark.SparkContext;
import org.apache.spark.api.plugin.DriverPlugin;
import org.apache.spark.api.plugin.ExecutorPlugin;
import org.apache.spark.api.plugin.PluginContext;
import org.apache.spark.api.plugin.SparkPlugin;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One-line set-up for Spark 4.0 and later: {@code spark.plugins=org.overhand.spark.OverhandSparkPlugin}. It
 * enters the shuffle manager, which those versions create after their plugins.
 */
public final class OverhandSparkPlugin implements SparkPlugin {
    private static final Logger LOG = LoggerFactory.getLogger(OverhandSparkPlugin.class);
    private static final String MANAGER = "spark.shuffle.manager";

    @Override
    public DriverPlugin driverPlugin() {
        return new Driver();
    }

    @Override
    public ExecutorPlugin executorPlugin() {
        return null; // executors have nothing to set up
    }

    private static final class Driver implements DriverPlugin {
        @Override
        public Map<String, String> init(SparkContext sc, PluginContext context) {
            SparkVersion.requireSupported(SparkVersion.current());
            String ours = OverhandShuffleManager.class.getName();
            String manager = sc.conf().get(MANAGER, "");
            if (manager.equals(ours)) {
                return Collections.emptyMap();
            }
            if (!manager.isEmpty() && !isSparksOwn(manager)) {
                throw new IllegalArgumentException(MANAGER + "=" + manager + " contradicts spark.plugins="
                        + OverhandSparkPlugin.class.getName() + ": remove one of them");
            }
            if (!SparkVersion.startsPluginsFirst(SparkVersion.current())) {
                throw new IllegalArgumentException("Spark " + SparkVersion.current()
                        + " creates its shuffle manager before its plugins: set " + MANAGER + "=" + ours
                        + " instead of spark.plugins");
            }
            LOG.info("setting {}={}", MANAGER, ours);
            sc.conf().set(MANAGER, ours);
            return Collections.emptyMap();
        }

        private static boolean isSparksOwn(String manager) {
            return manager.equals("sort") || manager.equals("tungsten-sort")
                    || manager.equals("org.apache.spark.shuffle.sort.SortShuffleManager");
        }
    }
}
