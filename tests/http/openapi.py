#!/usr/bin/env python3
"""Ask every path of docs/openapi.yaml and compare the answers with what it says.

Usage: openapi.py MASTER_PORT WORKER_PORT NAME=VALUE...    values of the paths' parameters

Each operation is asked of the daemons its tags name, at 127.0.0.1. An answer must have every field that is required, no
field that is not described, and the types said. A path with parameters is also asked with names that do not exist,
and must answer one of its error codes, as described. Prints one line for each finding; exits with 1 when there is one.
"""

import json
import pathlib
import re
import sys
import urllib.error
import urllib.request

import yaml

SPECIFICATION = pathlib.Path(__file__).resolve().parent.parent.parent / "docs" / "openapi.yaml"
TYPES = {"string": str, "boolean": bool, "array": list, "object": dict, "integer": int}
STRANGERS = {"id": "nobody", "uid": "00000000000000aa", "shuffle": "999", "partition": "16000000"}


class Checker:
    def __init__(self, specification):
        self.specification = specification

    def resolve(self, schema):
        while "$ref" in schema:
            target = self.specification
            for key in schema["$ref"].removeprefix("#/").split("/"):
                target = target[key]
            schema = target
        return schema

    def flatten(self, schema):
        """An object's schema with those of its allOf put together."""
        schema = self.resolve(schema)
        if "allOf" not in schema:
            return schema
        whole = {"type": "object", "required": [], "properties": {}}
        for part in map(self.flatten, schema["allOf"]):
            whole["required"] += part.get("required", [])
            whole["properties"].update(part.get("properties", {}))
        return whole

    def findings(self, schema, value, where):
        schema = self.flatten(schema)
        if "oneOf" in schema:
            each = [list(self.findings(one, value, where)) for one in schema["oneOf"]]
            if sum(not found for found in each) != 1:
                yield from min(each, key=len)
            return
        kind = TYPES[schema["type"]]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            yield f"{where}: {value!r} is no {schema['type']}"
            return
        if "pattern" in schema and not re.search(schema["pattern"], value):
            yield f"{where}: {value!r} does not match {schema['pattern']}"
        if "enum" in schema and value not in schema["enum"]:
            yield f"{where}: {value!r} is none of {schema['enum']}"
        if kind is list:
            for i, item in enumerate(value):
                yield from self.findings(schema["items"], item, f"{where}[{i}]")
        if kind is dict:
            yield from self.object_findings(schema, value, where)

    def object_findings(self, schema, value, where):
        properties = schema.get("properties", {})
        for name in schema.get("required", []):
            if name not in value:
                yield f"{where}: {name} is missing"
        for name, field in value.items():
            described = properties.get(name, schema.get("additionalProperties"))
            if described is None:
                yield f"{where}: {name} is not described"
            else:
                yield from self.findings(described, field, f"{where}.{name}")

    def answer_findings(self, operation, code, text, where):
        response = operation["responses"].get(str(code))
        if response is None:
            yield f"{where}: answered {code}, which is not described"
            return
        schema = self.resolve(response)["content"]["application/json"]["schema"]
        yield from self.findings(schema, json.loads(text), where)


def ask(port, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def fill(path, values):
    return re.sub(r"\{(\w+)\}", lambda match: values[match[1]], path)


def all_findings(checker, ports, values):
    for path, methods in checker.specification["paths"].items():
        operation = methods["get"]
        for tag in operation["tags"]:
            where = f"{tag} {fill(path, values)}"
            code, text = ask(ports[tag], fill(path, values))
            if code != 200:
                yield f"{where}: answered {code}: {text[:200]}"
            yield from checker.answer_findings(operation, code, text, where)
            if "{" in path:
                code, text = ask(ports[tag], fill(path, STRANGERS))
                yield from checker.answer_findings(operation, code, text, f"{tag} {fill(path, STRANGERS)}")


def main():
    ports = {"master": sys.argv[1], "worker": sys.argv[2]}
    values = dict(argument.split("=", 1) for argument in sys.argv[3:])
    checker = Checker(yaml.safe_load(SPECIFICATION.read_text()))
    found = list(all_findings(checker, ports, values))
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
