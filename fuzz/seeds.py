#!/usr/bin/env python3
"""Writes the seeds of the fuzz targets below a folder: made from what the repository holds, so that they grow with it."""

import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def expressions():
    for path in sorted((ROOT / "src/cel/tests").glob("*/*.jsonl")):
        for line in path.read_text().splitlines():
            expression = json.loads(line).get("expr")
            if expression:
                yield expression
    for path in sorted((ROOT / "policies").glob("*/policy.yaml")):
        yield from re.findall(r"^\s*(?:- )?(?:\w*[eE]xpression): (.+)$", path.read_text(), re.M)


def policies():
    for path in sorted((ROOT / "policies").glob("*/policy.yaml")):
        yield path.read_text()


def cases():
    for path in sorted((ROOT / "policies").glob("*/cases/*.yaml")):
        yield path.read_text()


def reviews():
    return [path.read_text() for path in sorted((ROOT / "benches/reviews").glob("*.json")) if "request" in path.read_text()]


def pods():
    for review in reviews():
        yield json.dumps(json.loads(review).get("request", {}).get("object", {}), separators=(",", ":"))
    variables = json.loads((ROOT / "src/cel/tests/variables.json").read_text())
    yield json.dumps(variables["object"], separators=(",", ":"))


def patches():
    yield '{"a":[1,2],"b/c":{"~":null}}\n[{"op":"add","path":"/a/-","value":{"x":[]}},{"op":"remove","path":"/b~1c/~0"}]'
    yield '{"spec":{"containers":[{"name":"a"}]}}\n[{"op":"replace","path":"/spec/containers/0/name","value":"b"}]'


SEEDS = {
    "cel": expressions,
    "field_path": lambda: ["spec.containers[0].env[1].value", "metadata.annotations[spiffe.io/spiffe-id]", ".spec.volumes[0]"],
    "json": lambda: [*reviews(), *pods(), '{"k:{\\"name\\":\\"a\\"}":[-0,1.5e3,18446744073709551615,"\\u00e9",true,null]}'],
    "manifest": lambda: [*cases(), *policies(), *reviews()],
    "patch": lambda: [*pods(), *patches()],
    "policy": policies,
    "review": reviews,
}

for target, seeds in SEEDS.items():
    folder = pathlib.Path(sys.argv[1]) / target
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(dict.fromkeys(seeds())):
        (folder / f"{number:04}").write_text(seed)
