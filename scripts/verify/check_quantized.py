"""Checks quantized models with things that zeropoint has no part in: onnx.checker, onnxruntime at every optimization
level, and onnx's reference evaluator.

usage: check_quantized.py DATA.npz MODEL.onnx [MODEL.onnx ...]

DATA.npz has one array for each model input (first axis: samples); the first SAMPLES are used. Prints one line a model and
ends with exit code 1 if one fails: the checker refuses it, a level does not load it, or results differ by more than
LEVELS of the output's largest magnitude (integer kernels may round a code differently at each layer).
"""
import sys
import numpy as np
import onnx
import onnx.version_converter
import onnxruntime as ort
from onnx.reference import ReferenceEvaluator

SAMPLES = 8
# Largest difference that is still rounding, as a share of the largest output: some codes of an 8-bit grid.
TOLERANCE = 0.02
LEVELS = {
    "disabled": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
}


def run_runtime(path, level, feeds):
    options = ort.SessionOptions()
    options.graph_optimization_level = level
    options.log_severity_level = 3
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return session.run(None, {i.name: feeds[i.name] for i in session.get_inputs()})


def for_reference(model):
    """The reference evaluator of onnx 1.23 knows QuantizeLinear and DequantizeLinear since opset 19 only."""
    opset = next(i.version for i in model.opset_import if i.domain == "")
    return model if opset >= 19 else onnx.version_converter.convert_version(model, 21)


def check(path, data):
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    names = [i.name for i in model.graph.input]
    feeds = {name: data[name][:SAMPLES] for name in names}
    expected = ReferenceEvaluator(for_reference(model)).run(None, feeds)
    worst = {}
    for name, level in LEVELS.items():
        results = run_runtime(path, level, feeds)
        worst[name] = max(
            float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-9)) for a, b in zip(results, expected)
        )
    return worst


def main():
    data = np.load(sys.argv[1])
    failed = 0
    for path in sys.argv[2:]:
        try:
            worst = check(path, data)
            ok = all(value <= TOLERANCE for value in worst.values())
            print("ok  " if ok else "FAIL", path, " ".join(f"{k} {v:.2e}" for k, v in worst.items()))
            failed += not ok
        except Exception as error:
            print("FAIL", path, type(error).__name__, str(error)[:300])
            failed += 1
    sys.exit(1 if failed else 0)


main()
