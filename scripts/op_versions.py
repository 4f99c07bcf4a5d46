"""The versions of every operator of ONNX, for scripts/probe-backends: each begins with an operator set.

Source: the operator schemas of onnx. Writes scripts/probe-backends/op-versions.json; run with onnx 1.23:

    python scripts/op_versions.py
"""

import json
import pathlib
from collections import defaultdict

import onnx

OUT = pathlib.Path(__file__).parent / "probe-backends/op-versions.json"

versions = defaultdict(set)
for schema in onnx.defs.get_all_schemas_with_history():
    if schema.domain == "" and not schema.deprecated:
        versions[schema.name].add(schema.since_version)

OUT.parent.mkdir(exist_ok=True)
lines = [f"  {json.dumps(op)}: {json.dumps(sorted(versions[op]))}" for op in sorted(versions)]
OUT.write_text("{\n" + ",\n".join(lines) + "\n}\n")
