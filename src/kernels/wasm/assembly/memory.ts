/**
 * Where things lie in the memory of an instance. The first {@link RESERVED} bytes belong to the kernels and to the
 * host's staging; an arena's tensors follow. The host reads these addresses from the module's exports.
 */

/** Parameters that fit the tables below; the host hands over more in windows. */
export const MAX_PARAMS: i32 = 4096;
/** Elements that fit the staging areas INPUT and OUTPUT, whatever their type. */
export const MAX_ELEMENTS: i32 = 16384;
/** Bins that fit COUNTS; positions are held in 16 bits. */
export const MAX_BINS: i32 = 16384;

const TABLE: usize = <usize>MAX_PARAMS * 4;

/** Loop constants of the running kernel, see `hold`. */
export const HELD: usize = 1024;
/** Bin positions of one batch of the histogram, 16 bits each. */
export const POSITIONS: usize = 4096;
/** Two float32: minimum and maximum of a run. */
export const EXTREMES: usize = 8192;

/** Scales and zero points (float32) a parameter, as the host wrote them; minima and maxima for `extremes*`. */
export const SCALES: usize = 16384;
export const ZERO_POINTS: usize = SCALES + TABLE;
export const MINS: usize = SCALES;
export const MAXS: usize = ZERO_POINTS;

/** 15 float32, and 16 bytes: a table of codes of 4 bits. */
export const THRESHOLDS: usize = SCALES;
export const CODE_OF: usize = THRESHOLDS + 64;

/** What the column kernels derive from them, one entry a column. */
export const FACTORS: usize = ZERO_POINTS + TABLE;
export const LOWS: usize = FACTORS + TABLE;
export const HIGHS: usize = LOWS + TABLE;
export const SHIFTS: usize = HIGHS + TABLE;
export const NANS: usize = SHIFTS + TABLE;

/** A short last block, padded with zeros: MAX_PARAMS elements. */
export const PADDED: usize = NANS + TABLE;
/** MAX_BINS + 1 counters; the last takes what is outside. */
export const COUNTS: usize = PADDED + TABLE;

/** Staging: the areas are a page and a few cache lines apart, so that in- and output do not fall on the same cache sets. */
export const INPUT: usize = COUNTS + <usize>MAX_BINS * 4 + 4096;
export const OUTPUT: usize = INPUT + <usize>MAX_ELEMENTS * 4 + 4096 + 192;
export const OUTPUT_2: usize = OUTPUT + <usize>MAX_ELEMENTS * 4 + 4096 + 192;
export const OUTPUT_3: usize = OUTPUT_2 + 32768 + 192;

export const RESERVED: usize = 524288;
