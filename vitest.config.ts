import { configDefaults, defineConfig } from 'vitest/config';

const source = (path: string): string => new URL(`./src/${path}`, import.meta.url).pathname;

/** They need Chromium, and minutes: `npm run test:browser`. */
const BROWSER_TESTS = '**/*.browser.test.ts';

// Tests import the package by its public names, resolved to the sources so that no build is needed.
export default defineConfig({
  resolve: {
    alias: [
      { find: /^zeropoint$/, replacement: source('index.ts') },
      { find: /^zeropoint\/onnx$/, replacement: source('onnx.ts') },
    ],
  },
  test: {
    include: ['{src,test,examples}/**/*.test.ts'],
    exclude: [...configDefaults.exclude, ...(process.env.ZEROPOINT_BROWSER_TESTS ? [] : [BROWSER_TESTS])],
    testTimeout: 60_000,
  },
});
