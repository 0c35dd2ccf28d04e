package org.overhand.spark;

import org.apache.spark.SparkEnv;
import scala.Option;

/** Spark's key for what it writes to disks, which also encrypts shuffle data on their way and at the workers. */
final class IoEncryption {
    private IoEncryption() {
    }

    /**
     * This process's copy of the key; null with {@code spark.io.encryption.enabled=false}.
     *
     * @throws IllegalStateException if encryption is on and there is no key: data never leave unencrypted then
     */
    static byte[] key() {
        SparkEnv env = SparkEnv.get();
        Option<byte[]> key = env.securityManager().getIOEncryptionKey();
        if (key.isEmpty() && env.conf().getBoolean("spark.io.encryption.enabled", false)) {
            throw new IllegalStateException("spark.io.encryption.enabled=true, but Spark has no key here");
        }
        return key.isDefined() ? key.get() : null;
    }
}
