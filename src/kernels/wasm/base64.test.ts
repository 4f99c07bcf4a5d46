import { expect, test } from 'vitest';
import { decodeBase64 } from './base64.ts';

const BYTES = Uint8Array.from({ length: 256 }, (_, i) => i);

/** Runs `body` as in a browser. */
function withoutBuffer(body: () => void): void {
  const scope = globalThis as { Buffer?: unknown };
  const { Buffer } = scope;
  scope.Buffer = undefined;
  try {
    body();
  } finally {
    scope.Buffer = Buffer;
  }
}

function checkAll(): void {
  for (let length = 0; length <= 256; length++) {
    const bytes = BYTES.subarray(0, length);
    expect([...decodeBase64(btoa(String.fromCharCode(...bytes)))]).toEqual([...bytes]);
  }
}

test('decodes every byte and every padding', checkAll);

test('does so without Buffer', () => withoutBuffer(checkAll));
