/** The most memory that this process ever held. */
import { readFileSync } from 'node:fs';

/**
 * Resident bytes. Not `maxRSS` where /proc is there: Linux lets a process begin with the peak of the one that started it
 * (`node -e` of 40 MB, started by a process of 900 MB, says 883).
 */
export function peakBytes() {
  const [, kilobytes] = /^VmHWM:\s+(\d+) kB/m.exec(status()) ?? [];
  return Number(kilobytes ?? process.resourceUsage().maxRSS) * 1024;
}

function status() {
  try {
    return readFileSync('/proc/self/status', 'utf8');
  } catch {
    return '';
  }
}
