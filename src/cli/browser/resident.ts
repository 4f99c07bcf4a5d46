/** Memory of a process, and of those behind a page, as Linux counts it. */
import { readFile } from 'node:fs/promises';
import type { Browser } from 'playwright-core';

/** `VmRSS`: resident now; `VmHWM`: the most that it ever was. */
type Counter = 'VmRSS' | 'VmHWM';

/** Bytes of all renderers and of the GPU process together; null where /proc is not there. */
export async function residentBytes(browser: Browser, counter: Counter): Promise<number | null> {
  if (process.platform !== 'linux') return null;
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send('SystemInfo.getProcessInfo');
  await session.detach();
  const counted = processInfo.filter(({ type }) => type === 'renderer' || type === 'GPU');
  const sizes = await Promise.all(counted.map(({ id }) => processBytes(id, counter)));
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** Bytes; 0 for a process that has ended meanwhile, and where /proc is not there. */
export async function processBytes(id: number, counter: Counter): Promise<number> {
  const text = await readFile(`/proc/${id}/status`, 'utf8').catch(() => '');
  const [, kilobytes] = new RegExp(`^${counter}:\\s+(\\d+) kB`, 'm').exec(text) ?? [];
  return Number(kilobytes ?? 0) * 1024;
}
