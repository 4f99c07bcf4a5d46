"""The recipe of transformers.js' removed scripts (scripts/fixtures/ort_variants.py: onnxruntime's quantizers, as
`scripts/quantize.py` called them), variant by variant: each loads the model, makes one file and saves it. Prints {"seconds",
"cpu", "megabytes"} as JSON: all variants together without Python's start and imports, the processor's time with them, and the
peak of the process. The scripts also
slimmed the model first, which is left out.

Usage: python variants.py MODEL FOLDER DTYPE...
"""

import json
import pathlib
import resource
import sys
import time

from peak import peak_megabytes

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "scripts/fixtures"))


def main():
    model, folder, *dtypes = sys.argv[1:]
    import onnx
    from ort_variants import VARIANTS

    start = time.perf_counter()
    for dtype in dtypes:
        make = VARIANTS.get((dtype, "quantize")) or VARIANTS[(dtype, None)]
        onnx.save(make(onnx.load(model)), str(pathlib.Path(folder) / f"{dtype}.onnx"))
    seconds = time.perf_counter() - start
    usage = resource.getrusage(resource.RUSAGE_SELF)
    cpu = usage.ru_utime + usage.ru_stime
    print(json.dumps({"seconds": seconds, "cpu": cpu, "megabytes": peak_megabytes()}))


if __name__ == "__main__":
    main()
