"""One job of onnxruntime's Python quantizer in a process of its own: prints {"seconds", "megabytes"} as JSON. `seconds` is
the call alone, without Python's start and imports; `megabytes` the peak of the process.

Usage: python quantize.py MODEL OUT '{"mode": "dynamic" | "static" | "weights", ...}' [DATA]. Address space above
LIMIT_GB ends the job with exit code 3.
"""

import json
import resource
import sys
import time

import numpy as np
from peak import peak_megabytes

LIMIT_GB = 18
resource.setrlimit(resource.RLIMIT_AS, (LIMIT_GB << 30, LIMIT_GB << 30))


def dynamic(model, out, job, _):
    from onnxruntime.quantization import QuantType, quantize_dynamic

    return lambda: quantize_dynamic(model, out, weight_type=QuantType[job["weights"]], per_channel=job["perChannel"])


def static(model, out, job, data):
    from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

    class Samples(CalibrationDataReader):
        def __init__(self):
            self.arrays = dict(np.load(data))
            self.left = iter(range(job["samples"]))

        def get_next(self):
            i = next(self.left, None)
            return None if i is None else {name: array[i : i + 1] for name, array in self.arrays.items()}

    return lambda: quantize_static(
        model,
        out,
        Samples(),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
        calibrate_method=CalibrationMethod[job["method"]],
    )


def weights(model, out, job, _):
    import onnx
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    def run():
        quantizer = MatMulNBitsQuantizer(
            onnx.load(model), bits=4, block_size=job["blockSize"], is_symmetric=False, accuracy_level=4
        )
        quantizer.process()
        quantizer.model.save_model_to_file(out, False)

    return run


def main():
    model, out, text, *rest = sys.argv[1:]
    job = json.loads(text)
    run = {"dynamic": dynamic, "static": static, "weights": weights}[job["mode"]](
        model, out, job, rest[0] if rest else None
    )
    start = time.perf_counter()
    try:
        run()
    except MemoryError:
        sys.exit(3)
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "megabytes": peak_megabytes()}))


if __name__ == "__main__":
    main()
