const LANES = 8;
const GROUPS = 4;
const LEVELS = 4;

/**
 * The float32 sum of torch's CPU kernels, in their order of additions (cascade summation over 8 lanes and 4 interleaved
 * groups of rows). Needed where a comparison of two sums decides, as in the range search.
 */
export function torchSum(x: Float32Array): number {
  const vectors = Math.floor(x.length / LANES);
  let sum = 0;
  for (let i = vectors * LANES; i < x.length; i++) sum = Math.fround(sum + x[i]);
  const lanes = laneSums(x, vectors);
  for (let lane = 0; lane < LANES; lane++) sum = Math.fround(sum + lanes[lane]);
  return sum;
}

/** Sum of each lane over all vectors: groups 0 to 3 take turns, then rows left over go to group 0. */
function laneSums(x: Float32Array, vectors: number): Float32Array {
  const width = LANES * GROUPS;
  const rows = Math.floor(vectors / GROUPS);
  const sums = cascade(x, rows, width);
  for (let v = rows * GROUPS; v < vectors; v++) {
    for (let lane = 0; lane < LANES; lane++) sums[lane] += x[v * LANES + lane];
  }
  for (let group = 1; group < GROUPS; group++) {
    for (let lane = 0; lane < LANES; lane++) sums[lane] += sums[group * LANES + lane];
  }
  return sums;
}

/** Column sums of a rows × width matrix; every 2^power rows a level is added to the next one and starts anew. */
function cascade(x: Float32Array, rows: number, width: number): Float32Array {
  const power = Math.max(4, Math.floor(Math.ceil(Math.log2(Math.max(rows, 1))) / LEVELS));
  const step = 2 ** power;
  const levels = Array.from({ length: LEVELS }, () => new Float32Array(width));
  let row = 0;
  while (row + step <= rows) {
    for (const stop = row + step; row < stop; row++) addRow(levels[0], x, row * width);
    for (let level = 1; level < LEVELS; level++) {
      addRow(levels[level], levels[level - 1], 0);
      levels[level - 1].fill(0);
      if ((row & ((step - 1) << (level * power))) !== 0) break;
    }
  }
  for (; row < rows; row++) addRow(levels[0], x, row * width);
  for (let level = 1; level < LEVELS; level++) addRow(levels[0], levels[level], 0);
  return levels[0];
}

function addRow(sums: Float32Array, x: Float32Array, first: number): void {
  for (let i = 0; i < sums.length; i++) sums[i] += x[first + i];
}
