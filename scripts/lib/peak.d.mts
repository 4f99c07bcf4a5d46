/** Types of peak.mjs, for tests in TypeScript. */
export function peakBytes(): number;
