"""Validates TOML texts against a JSON Schema with the `jsonschema` package.

Reads {"schema": ..., "texts": {name: toml}} and writes {name: [mistake, ...]}.
"""

import json
import sys
import tomllib

from jsonschema import Draft7Validator


def mistakes(validator, text):
    errors = validator.iter_errors(tomllib.loads(text))
    return [f"{'.'.join(str(part) for part in error.absolute_path)}: {error.message[:300]}" for error in errors]


def examples(schema, whole):
    """Yields what is wrong with the examples and the defaults of a schema and of all below it."""
    if isinstance(schema, list):
        for one in schema:
            yield from examples(one, whole)
    if not isinstance(schema, dict):
        return
    if "description" in schema and isinstance(schema["description"], str):
        rules = {name: rule for name, rule in schema.items() if name not in ("default", "examples")}
        validator = Draft7Validator({**rules, "definitions": whole["definitions"]})
        for value in schema.get("examples", []) + ([schema["default"]] if "default" in schema else []):
            yield from (f"{schema['description']}: {value!r}: {error.message}" for error in validator.iter_errors(value))
    for below in schema.values():
        yield from examples(below, whole)


def main():
    task = json.load(sys.stdin)
    schema = task["schema"]
    Draft7Validator.check_schema(schema)
    validator = Draft7Validator(schema)
    found = {name: mistakes(validator, text) for name, text in task["texts"].items()}
    found["examples of the schema"] = list(examples(schema, schema))
    json.dump(found, sys.stdout)


main()
