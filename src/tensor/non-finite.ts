/** Elements looked at together. */
const RUN = 4096;

/**
 * The first NaN or infinity among `values`; undefined if all are finite. Looks at whole runs first: x - x is 0 for a finite
 * number and NaN for all others, so one sum tells of a run. (`find` with a callback: ten times as long.)
 */
export function firstNonFinite(values: Float32Array): number | undefined {
  for (let start = 0; start < values.length; start += RUN) {
    const run = values.subarray(start, start + RUN);
    if (!isFiniteRun(run)) return run.find((value) => !Number.isFinite(value));
  }
  return undefined;
}

function isFiniteRun(run: Float32Array): boolean {
  let even = 0;
  let odd = 0;
  const whole = run.length - (run.length % 2);
  for (let i = 0; i < whole; i += 2) {
    even += run[i] - run[i];
    odd += run[i + 1] - run[i + 1];
  }
  return even + odd === 0 && (whole === run.length || Number.isFinite(run[whole]));
}
