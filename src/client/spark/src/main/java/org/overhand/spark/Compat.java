package org.overhand.spark;

import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.lang.reflect.Array;
import java.lang.reflect.Constructor;
import java.lang.reflect.Method;
import org.apache.spark.ShuffleDependency;
import org.apache.spark.SparkContext;
import org.apache.spark.SparkContext$;
import org.apache.spark.TaskContext;
import org.apache.spark.scheduler.MapStatus;
import org.apache.spark.scheduler.MapStatus$;
import org.apache.spark.scheduler.TaskScheduler;
import org.apache.spark.scheduler.TaskSchedulerImpl;
import org.apache.spark.serializer.Serializer;
import org.apache.spark.storage.BlockManagerId;
import org.apache.spark.util.collection.ExternalSorter;
import scala.Option;
import scala.math.Ordering;

/**
 * What differs between the Spark lines one jar serves, resolved once: the map status and the external sorter
 * (4.1 added a parameter to each) and row checksums (4.1+); and the one thing asked of Spark's scheduler.
 * {@link SparkVersion} is to be asked first: on a Spark line it refuses, this class may not even load.
 */
final class Compat {
    private static final MethodHandle MAP_STATUS;
    private static final boolean MAP_STATUS_HAS_CHECKSUM;
    private static final MethodHandle SORTER;
    private static final boolean SORTER_HAS_CHECKSUMS;
    private static final MethodHandle ROW_CHECKSUMS; // null before 4.1
    private static final MethodHandle UPDATE_CHECKSUM; // null before 4.1
    private static final MethodHandle AGGREGATE_CHECKSUMS; // null before 4.1

    static {
        try {
            MethodHandles.Lookup lookup = MethodHandles.publicLookup();
            Method apply = methodNamed(MapStatus$.class, "apply");
            MAP_STATUS_HAS_CHECKSUM = apply.getParameterCount() == 4;
            MAP_STATUS = lookup.unreflect(apply).bindTo(MapStatus$.MODULE$);
            Constructor<?> sorter = ExternalSorter.class.getConstructors()[0];
            SORTER_HAS_CHECKSUMS = sorter.getParameterCount() == 6;
            SORTER = lookup.unreflectConstructor(sorter);
            Method checksums = methodNamed(ShuffleDependency.class, "rowBasedChecksums");
            if (checksums == null) {
                ROW_CHECKSUMS = null;
                UPDATE_CHECKSUM = null;
                AGGREGATE_CHECKSUMS = null;
            } else {
                Class<?> array = checksums.getReturnType();
                Class<?> one = array.getComponentType();
                ROW_CHECKSUMS = lookup.unreflect(checksums)
                        .asType(generic(Object[].class, ShuffleDependency.class));
                UPDATE_CHECKSUM = lookup.unreflect(one.getMethod("update", Object.class, Object.class))
                        .asType(generic(void.class, Object.class, Object.class, Object.class));
                AGGREGATE_CHECKSUMS = lookup.unreflect(one.getMethod("getAggregatedChecksumValue", array))
                        .asType(generic(long.class, Object[].class));
            }
        } catch (ReflectiveOperationException e) {
            throw new IllegalStateException("Spark " + SparkVersion.current() + " has changed under Overhand", e);
        }
    }

    private Compat() {
    }

    private static MethodType generic(Class<?> result, Class<?>... parameters) {
        return MethodType.methodType(result, parameters);
    }

    private static Method methodNamed(Class<?> owner, String name) {
        for (Method method : owner.getMethods()) {
            if (method.getName().equals(name)) {
                return method;
            }
        }
        return null;
    }

    /** No task that starts from now on has a lower id; 0 if that cannot be known. */
    static long nextTaskId() {
        Option<SparkContext> context = SparkContext$.MODULE$.getActive();
        TaskScheduler scheduler = context.isEmpty() ? null : context.get().taskScheduler();
        return scheduler instanceof TaskSchedulerImpl ? ((TaskSchedulerImpl) scheduler).nextTaskId().get() : 0;
    }

    static MapStatus mapStatus(BlockManagerId location, long[] sizes, long attempt, long checksum) {
        try {
            if (MAP_STATUS_HAS_CHECKSUM) {
                return (MapStatus) MAP_STATUS.invoke(location, sizes, attempt, checksum);
            }
            return (MapStatus) MAP_STATUS.invoke(location, sizes, attempt);
        } catch (Throwable e) {
            throw Sneaky.raise(e);
        }
    }

    /** A sorter that orders by key and combines nothing. */
    @SuppressWarnings("unchecked")
    static <K, C> ExternalSorter<K, C, C> sorter(TaskContext context, Ordering<K> ordering,
            Serializer serializer) {
        Option<?> none = Option.empty();
        try {
            if (SORTER_HAS_CHECKSUMS) {
                Class<?> array = SORTER.type().parameterType(5);
                Object checksums = Array.newInstance(array.getComponentType(), 0);
                return (ExternalSorter<K, C, C>) SORTER.invoke(context, none, none, Option.apply(ordering),
                        serializer, checksums);
            }
            return (ExternalSorter<K, C, C>) SORTER.invoke(context, none, none, Option.apply(ordering),
                    serializer);
        } catch (Throwable e) {
            throw Sneaky.raise(e);
        }
    }

    /** One checksum per partition, or null when Spark wants none. */
    static Object[] rowChecksums(ShuffleDependency<?, ?, ?> dependency) {
        if (ROW_CHECKSUMS == null) {
            return null;
        }
        try {
            Object[] checksums = (Object[]) ROW_CHECKSUMS.invoke(dependency);
            return checksums == null || checksums.length == 0 ? null : checksums;
        } catch (Throwable e) {
            throw Sneaky.raise(e);
        }
    }

    static void updateChecksum(Object checksum, Object key, Object value) {
        try {
            UPDATE_CHECKSUM.invokeExact(checksum, key, value);
        } catch (Throwable e) {
            throw Sneaky.raise(e);
        }
    }

    /** The value the map status carries; 0 for no checksums. */
    static long aggregateChecksums(Object[] checksums) {
        if (checksums == null) {
            return 0;
        }
        try {
            return (long) AGGREGATE_CHECKSUMS.invokeExact(checksums);
        } catch (Throwable e) {
            throw Sneaky.raise(e);
        }
    }
}
