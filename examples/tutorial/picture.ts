/** Panels of a histogram over the range that a scheme can express, as one SVG. No library: bars, a band and words. */

export interface Panel {
  readonly title: string;
  readonly note: string;
  readonly values: Float32Array;
  /** Smallest and largest number that the codes can stand for. */
  readonly range: readonly [low: number, high: number];
}

const WIDTH = 400;
const HEIGHT = 230;
const MARGIN = { left: 20, right: 20, top: 50, bottom: 30 } as const;
const BINS = 64;

/** Panels in rows of two. */
export function drawPanels(panels: readonly Panel[]): string {
  const rows = Math.ceil(panels.length / 2);
  const body = panels.map((panel, i) => drawPanel(panel, (i % 2) * WIDTH, Math.floor(i / 2) * HEIGHT));
  const size = `viewBox="0 0 ${2 * WIDTH} ${rows * HEIGHT}"`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" ${size} font-family="sans-serif" font-size="12">`,
    `<rect width="100%" height="100%" fill="white"/>`,
    ...body,
    '</svg>',
    '',
  ].join('\n');
}

function drawPanel({ title, note, values, range }: Panel, left: number, top: number): string {
  const low = Math.min(range[0], ...extremes(values));
  const high = Math.max(range[1], ...extremes(values));
  const width = WIDTH - MARGIN.left - MARGIN.right;
  const height = HEIGHT - MARGIN.top - MARGIN.bottom;
  const x = (value: number): number => left + MARGIN.left + ((value - low) / (high - low)) * width;
  const base = top + HEIGHT - MARGIN.bottom;
  const counts = count(values, low, high);
  const tallest = Math.max(...counts);
  const bars = counts.map((n, i) => {
    const bar = (n / tallest) * height;
    const at = x(low + ((high - low) * i) / BINS);
    return `<rect x="${px(at)}" y="${px(base - bar)}" width="${px(width / BINS)}" height="${px(bar)}" fill="#3b6ea5"/>`;
  });
  return [
    `<rect x="${px(x(range[0]))}" y="${top + MARGIN.top}" width="${px(x(range[1]) - x(range[0]))}" height="${height}" fill="#f3d9a4"/>`,
    ...bars,
    `<line x1="${px(x(0))}" x2="${px(x(0))}" y1="${top + MARGIN.top}" y2="${base}" stroke="#a33" stroke-dasharray="3 3"/>`,
    `<line x1="${left + MARGIN.left}" x2="${left + WIDTH - MARGIN.right}" y1="${base}" y2="${base}" stroke="#333"/>`,
    `<text x="${left + MARGIN.left}" y="${top + 20}" font-weight="bold">${title}</text>`,
    `<text x="${left + MARGIN.left}" y="${top + 38}" fill="#555">${note}</text>`,
    label(x(range[0]), base, range[0], 'start'),
    label(x(range[1]), base, range[1], 'end'),
  ].join('\n');
}

function label(x: number, base: number, value: number, anchor: 'start' | 'end'): string {
  return `<text x="${px(x)}" y="${base + 18}" text-anchor="${anchor}">${value.toFixed(2)}</text>`;
}

function extremes(values: Float32Array): [number, number] {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return [low, high];
}

function count(values: Float32Array, low: number, high: number): number[] {
  const counts = Array.from({ length: BINS }, () => 0);
  for (const value of values) {
    counts[Math.min(BINS - 1, Math.floor(((value - low) / (high - low)) * BINS))]++;
  }
  return counts;
}

/** A tenth of a pixel is enough, and keeps the file the same on every machine. */
function px(value: number): string {
  return value.toFixed(1);
}
