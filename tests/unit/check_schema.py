#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The JSON Schema agrees with the loader on the examples and on the shared corpus.

usage: check_schema.py SOURCE_ROOT
exit status: 0 agrees, 1 does not, 77 python3-jsonschema is missing
"""
import json
import pathlib
import sys

try:
    import jsonschema
except ImportError:
    print("python3-jsonschema is missing")
    sys.exit(77)

# Bad files that a schema accepts: it cannot relate two keys, and JSON itself does not tell 1.0
# from 1, nor what becomes of a key given twice, nor how long a number may be.
NOT_EXPRESSIBLE = {
    "boot-stage-twice",
    "beat-equals-dead-after",
    "beat-too-slow",
    "client-memory-too-little",
    "client-name-twice",
    "client-ports-sum",
    "id-real",
    "memory-over-default-limit",
    "memory-over-limit",
    "memory-over-limit-most",
    "partner-id-own",
    "partner-id-twice",
    "partner-ip-own",
    "partner-ip-twice",
    "partner-mac-own",
    "partner-mac-twice",
    "qpn-decimal-too-large",
    "qpn-twice",
    "retries-reach-dead-after",
    "retry-equals-dead-after",
    "search-below-beat",
    "version-min-over-max",
}


def refuse_twice(pairs):
    """Object of a JSON text, without keys given twice."""
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("duplicate key")
    return result


def refuse_constant(name):
    raise ValueError(name)


def problem(validator, path):
    """What is wrong with a file, or None."""
    try:
        # Not utf-8-sig: a byte order mark is an error.
        text = path.read_bytes().decode("utf-8")
        data = json.loads(text, object_pairs_hook=refuse_twice, parse_constant=refuse_constant)
    except ValueError as error:
        return f"syntax: {error}"
    error = next(validator.iter_errors(data), None)
    return f"schema: {error.message[:80]}" if error else None


def check_list(root):
    """Each of the 43 numbered kinds of bad configuration is tried somewhere."""
    unit = (root / "tests/unit/test_config.c").read_text(encoding="utf-8")
    smoke = (root / "tests/smoke/60_bad_config.sh").read_text(encoding="utf-8")
    failures, numbers = [], []
    for line in (root / "tests/data/config/list.tsv").read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        number, _, places = line.split("\t")
        numbers.append(int(number))
        for place in places.split():
            where, _, name = place.rpartition(":")
            there = {
                "": (root / f"tests/data/config/bad/{name}.json").exists() and f'{{"{name}",' in unit,
                "unit": f"cmocka_unit_test({name})" in unit,
                "smoke": name in smoke,
            }[where]
            failures += [] if there else [f"list.tsv: {number}: {place} is not there"]
    return failures + ([] if numbers == list(range(1, 44)) else [f"list.tsv: numbers {numbers}"])


def main():
    root = pathlib.Path(sys.argv[1])
    schema = json.loads((root / "config/ccm.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft7Validator.check_schema(schema)
    validator = jsonschema.Draft7Validator(schema)
    good = sorted((root / "config").glob("node-*.json"))
    good += sorted((root / "config/examples").glob("*.json"))
    good += sorted((root / "tests/data/config/good").glob("*.json"))
    bad = sorted((root / "tests/data/config/bad").glob("*.json"))
    failures = []
    for path in good:
        found = problem(validator, path)
        if found:
            failures.append(f"{path}: refused: {found}")
    for path in bad:
        found = problem(validator, path)
        if found is None and path.stem not in NOT_EXPRESSIBLE:
            failures.append(f"{path}: accepted")
        if found is not None and path.stem in NOT_EXPRESSIBLE:
            failures.append(f"{path}: refused after all: {found}")
    failures += check_list(root)
    names = {path.stem for path in bad}
    failures += [f"{name}: no such bad file" for name in sorted(NOT_EXPRESSIBLE - names)]
    if len(good) < 7 or len(bad) < 100:
        failures.append(f"only {len(good)} good and {len(bad)} bad files")
    print("\n".join(failures) or f"{len(good)} good and {len(bad)} bad files judged alike")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
