/** A headless Chromium whose pages run models. */
import type { Page } from 'playwright-core';
import { UnsupportedError } from 'zeropoint';
import { findDriver } from './find-browser.ts';
import { runInPage } from './in-page.ts';
import type { PageAnswer, PageJob } from './page-job.ts';
import { residentBytes } from './resident.ts';

export interface OpenBrowser {
  /** `156.0.8078.108` */
  readonly version: string;
  /** A fresh page of the server at `origin`. */
  openPage(origin: string): Promise<ModelPage>;
  /** Bytes of the processes behind its pages; null where the system does not tell. */
  residentBytes(counter: 'VmRSS' | 'VmHWM'): Promise<number | null>;
  close(): Promise<void>;
}

export interface ModelPage {
  run(job: PageJob): Promise<PageAnswer>;
  close(): Promise<void>;
}

const FLAGS = [
  '--enable-unsafe-webgpu',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** What WebGPU computes on: SwiftShader, which does it on the CPU, or what Chromium finds. */
export type Adapter = 'swiftshader' | 'default';

const ADAPTER_FLAGS: Readonly<Record<Adapter, readonly string[]>> = {
  swiftshader: ['--use-webgpu-adapter=swiftshader'],
  // Chromium on Linux looks for no graphics card without it.
  default: process.platform === 'linux' ? ['--enable-features=Vulkan'] : [],
};

/** @throws UnsupportedError RUNTIME_MISSING without a driver, RUNTIME_FAILED if the browser does not start */
export async function openBrowser(executablePath: string, adapter: Adapter): Promise<OpenBrowser> {
  const driver = await findDriver();
  const browser = await driver
    .launch({ executablePath, headless: true, args: flagsFor(adapter) })
    .catch((cause: unknown) => {
      throw notStarted(executablePath, cause);
    });
  return {
    version: browser.version(),
    openPage: async (origin) => modelPage(await browser.newPage(), origin),
    residentBytes: (counter) => residentBytes(browser, counter),
    close: () => browser.close(),
  };
}

function flagsFor(adapter: Adapter): string[] {
  // Chromium refuses to run as root with its sandbox.
  const sandbox = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  return [...FLAGS, ...sandbox, ...ADAPTER_FLAGS[adapter]];
}

async function modelPage(page: Page, origin: string): Promise<ModelPage> {
  await page.goto(origin);
  return { run: (job) => page.evaluate(runInPage, job), close: () => page.close() };
}

function notStarted(path: string, cause: unknown): UnsupportedError {
  const text = cause instanceof Error ? cause.message.split('\n')[0] : String(cause);
  return new UnsupportedError(`${path}: expected a browser that starts, got: ${text}`, {
    code: 'RUNTIME_FAILED',
    hint: 'Name another one with --browser.',
    details: { browser: path },
    cause,
  });
}
