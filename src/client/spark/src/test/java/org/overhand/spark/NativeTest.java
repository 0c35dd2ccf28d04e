package org.overhand.spark;

import static org.junit.Assert.assertEquals;

import org.junit.Test;

public class NativeTest {
    @Test
    public void libraryIsFoundByTheNamesJavaUses() {
        assertEquals("/org/overhand/native/linux-x86_64/liboverhand_jni.so",
                Native.resourceName("Linux", "amd64"));
        assertEquals("/org/overhand/native/linux-aarch64/liboverhand_jni.so",
                Native.resourceName("Linux", "arm64"));
    }
}
