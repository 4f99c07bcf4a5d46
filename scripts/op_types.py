"""Which inputs and outputs of each operator share a floating-point type, and whether float16 and bfloat16 are allowed there.

Source: the operator schemas of onnx (all versions since opset 7) and of onnxruntime (com.microsoft). Writes
src/ptq/float16/op-types.generated.ts; run with onnx 1.23 and onnxruntime 1.30:

    python scripts/op_types.py

One line a signature: `inputs>outputs|allowed`, then the operators that have it, each with the version it begins with.
A parameter is a letter (a type variable that can be float32), `f` (always float32), `s` (a sequence of float32) or `-`
(never float32); `*` after the last one: it repeats. `allowed` has one digit a letter, in the order of the alphabet: 1 float16,
2 bfloat16, 3 both, 0 neither.
"""

import pathlib
import re
from collections import defaultdict

import onnx
from onnxruntime.capi import onnxruntime_pybind11_state as ort

OLDEST = 7
OUT = pathlib.Path(__file__).parent.parent / "src/ptq/float16/op-types.generated.ts"
# Their types are those of the graphs inside.
GRAPHS = {"If", "Loop", "Scan", "SequenceMap", "BeamSearch", "GreedySearch", "Sampling", "WhisperBeamSearch"}
# Left out: formats of single accelerators, and what no exporter writes. An operator without a row stays float32.
RARE = re.compile(
    "QOrdered|Snpe|EPContext|BFP|WithOrder|Fp4|Fp8|FpQ4|Float8|NGram|Murmur|AttnLSTM|Tokenizer|DynamicTimeWarping"
    "|UnfoldTensor|Bifurcation|Engram|WordConv|QEmbed|TorchEmbedding|ComplexMul|RemovePadding|RestorePadding|Longformer"
    "|DecoderAttention|DecoderMasked|CDist|BitmaskDropout|BitmaskBias|BiasDropout|SparseToDense|IsAllFinite"
)


def encode(schema, name_of):
    constraints = {c.type_param_str: set(c.allowed_type_strs) for c in schema.type_constraints}
    letters, allowed = {}, []

    def parameter(param):
        types = constraints.get(name_of(param), {name_of(param)})
        if any(t.startswith("optional(") for t in types) and not any(t == "tensor(float)" for t in types):
            raise LookupError
        if "tensor(float)" in types:
            if len(types) == 1:
                return "f"
            if name_of(param) not in letters:
                letters[name_of(param)] = chr(ord("A") + len(letters))
                allowed.append(("tensor(float16)" in types) + 2 * ("tensor(bfloat16)" in types))
            return letters[name_of(param)]
        return "s" if "seq(tensor(float))" in types else "-"

    def side(params):
        text = "".join(parameter(p) for p in params)
        variadic = params and "Variadic" in str(params[-1].option)
        return text + ("*" if variadic else "")

    text = f"{side(schema.inputs)}>{side(schema.outputs)}"
    return f"{text}|{''.join(map(str, allowed))}"


def rows():
    versions = defaultdict(list)
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.domain in ("", "ai.onnx.ml") and schema.name not in GRAPHS and not schema.deprecated:
            versions[schema.domain, schema.name].append((schema.since_version, schema, lambda p: p.type_str))
    for schema in ort.get_all_operator_schema():
        if schema.domain == "com.microsoft" and schema.name not in GRAPHS and not RARE.search(schema.name):
            versions[schema.domain, schema.name].append((schema.since_version, schema, lambda p: p.typeStr))
    for (domain, name), found in sorted(versions.items()):
        found.sort(key=lambda item: item[0])
        if domain == "":
            newer = [item for item in found if item[0] >= OLDEST]
            older = [item for item in found if item[0] < OLDEST]
            found = older[-1:] + newer
        last = None
        for since, schema, name_of in found:
            try:
                text = encode(schema, name_of)
            except LookupError:
                continue
            if text != last:
                yield text, f"{domain + '.' if domain else ''}{name}:{since}"
            last = text


def main():
    groups = defaultdict(list)
    for signature, op in rows():
        groups[signature].append(op)
    lines = [f"  '{signature}': '{' '.join(ops)}'," for signature, ops in sorted(groups.items())]
    OUT.write_text(
        "/** Made by scripts/op_types.py from the schemas of "
        f"onnx {onnx.__version__} and onnxruntime 1.30.0; do not edit. */\n"
        "export const OP_TYPES: Readonly<Record<string, string>> = {\n" + "\n".join(lines) + "\n};\n"
    )


main()
