/** Chromium and playwright-core, which drives it: both are the user's, and only `check --run` needs them. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { UnsupportedError } from 'zeropoint';
import type { BrowserType } from 'playwright-core';

/** Names of Chromium and its kin on the path. */
const PROGRAMS = [
  'chromium',
  'chromium-browser',
  'google-chrome',
  'google-chrome-stable',
  'chrome',
  'msedge',
];

/** Where the systems without such a path put them. */
const PLACES: Readonly<Record<string, readonly string[] | undefined>> = {
  darwin: [
    '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
    '/Applications/Chromium.app/Contents/MacOS/Chromium',
  ],
  win32: ['PROGRAMFILES', 'PROGRAMFILES(X86)', 'LOCALAPPDATA'].flatMap((name) => {
    const folder = process.env[name];
    return folder === undefined ? [] : [join(folder, 'Google/Chrome/Application/chrome.exe')];
  }),
};

/**
 * Path of a browser: `given`, what CHROMIUM names, or the first that is found.
 * @throws UnsupportedError RUNTIME_MISSING with what to do
 */
export function findBrowser(given: string | undefined): string {
  const named = given ?? process.env.CHROMIUM;
  if (named !== undefined) {
    if (existsSync(named)) return named;
    throw browserMissing(`nothing at ${named}`);
  }
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  const onPath = PROGRAMS.flatMap((name) => folders.map((folder) => join(folder, name)));
  const found = [...onPath, ...(PLACES[process.platform] ?? [])].find((path) => existsSync(path));
  if (found === undefined) throw browserMissing('none on the path');
  return found;
}

function browserMissing(got: string): UnsupportedError {
  return new UnsupportedError(`check --run: expected Chromium or Chrome, got ${got}`, {
    code: 'RUNTIME_MISSING',
    hint: 'Install one (Debian: apt-get install chromium; anywhere: npx playwright-core install chromium), and name it with --browser if it is not on the path.',
    details: { browser: got },
  });
}

/** The driver, beside this package or in the project of the working directory. @throws UnsupportedError RUNTIME_MISSING */
export async function findDriver(): Promise<BrowserType> {
  const path = resolvePeer('playwright-core');
  if (path === undefined) throw peerMissing('playwright-core', 'It drives the browser');
  const module = (await import(pathToFileURL(path).href)) as PlaywrightModule;
  return (module.chromium ?? module.default?.chromium) as BrowserType;
}

interface PlaywrightModule {
  readonly chromium?: BrowserType;
  readonly default?: { readonly chromium?: BrowserType };
}

/** The folder of onnxruntime-web's files for pages. @throws UnsupportedError RUNTIME_MISSING */
export function findOrtWeb(): string {
  const path = resolvePeer('onnxruntime-web');
  if (path === undefined) throw peerMissing('onnxruntime-web', 'Pages load their runtime from it');
  return dirname(path);
}

function peerMissing(name: string, why: string): UnsupportedError {
  return new UnsupportedError(`check --run: expected the package ${name}, got none`, {
    code: 'RUNTIME_MISSING',
    hint: `${why}. Run: npm install ${name}`,
    details: { package: name },
  });
}

function resolvePeer(name: string): string | undefined {
  for (const place of [import.meta.url, join(process.cwd(), 'package.json')]) {
    try {
      return createRequire(place).resolve(name);
    } catch {
      // The next place.
    }
  }
  return undefined;
}
