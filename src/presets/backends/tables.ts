/** The releases of onnxruntime that were probed, newest first. `npm run probe` makes a table; it gets a line here. */
import { ORT_1_30 } from './onnxruntime-1.30.generated.ts';
import type { BackendTable } from './table.ts';

const TABLES: readonly BackendTable[] = [ORT_1_30];

/** Models of older opsets have not been probed for any release. */
export const OLDEST_KNOWN: number = Math.min(...TABLES.map(({ oldestOpset }) => oldestOpset));

/** The table of a release, `1.30` or `1.30.0`; without one the newest. @throws RangeError if that was not probed */
export function backendTable(version?: string): BackendTable {
  if (version === undefined) return TABLES[0];
  const found = TABLES.find((table) => table.version === version || table.version.startsWith(`${version}.`));
  if (found !== undefined) return found;
  const known = TABLES.map((table) => table.version).join(', ');
  throw new RangeError(`check: expected a version of onnxruntime of ${known}, got ${version}`);
}
