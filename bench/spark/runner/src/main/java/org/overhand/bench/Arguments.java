package org.overhand.bench;

import java.util.HashMap;
import java.util.Map;

/** The command line of our programs, a list of {@code --name value}. */
final class Arguments {
    private final Map<String, String> values = new HashMap<>();

    Arguments(String[] args) {
        if (args.length % 2 != 0) {
            throw new IllegalArgumentException("an argument lacks its value: " + args[args.length - 1]);
        }
        for (int i = 0; i < args.length; i += 2) {
            if (!args[i].startsWith("--")) {
                throw new IllegalArgumentException("not an argument's name: " + args[i]);
            }
            values.put(args[i].substring(2), args[i + 1]);
        }
    }

    String get(String name) {
        String value = values.get(name);
        if (value == null) {
            throw new IllegalArgumentException("--" + name + " is missing");
        }
        return value;
    }

    String get(String name, String otherwise) {
        return values.getOrDefault(name, otherwise);
    }

    long number(String name) {
        return Long.parseLong(get(name));
    }
}
