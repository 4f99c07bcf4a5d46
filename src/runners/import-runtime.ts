/** Loads an optional runtime, or says how to get it. */
import { UnsupportedError } from '../errors.ts';
import type { OrtModule } from './ort.ts';

/** A runtime's module. Throws UnsupportedError RUNTIME_MISSING if it is not installed, RUNTIME_FAILED if it is broken. */
export async function importRuntime(
  packageName: string,
  load: () => Promise<unknown>,
  given: unknown,
): Promise<OrtModule> {
  const module = given ?? (await loaded(packageName, load));
  const ort = isRuntime(module) ? module : (module as { default?: unknown } | null)?.default;
  if (isRuntime(ort)) return ort;
  throw new TypeError(`runner: expected the module of ${packageName} in options.ort, got something else`);
}

async function loaded(packageName: string, load: () => Promise<unknown>): Promise<unknown> {
  try {
    return await load();
  } catch (cause) {
    throw isMissing(cause, packageName) ? missing(packageName, cause) : broken(packageName, cause);
  }
}

function isRuntime(module: unknown): module is OrtModule {
  return typeof module === 'object' && module !== null && 'InferenceSession' in module && 'Tensor' in module;
}

/** True if the package itself is not there, not something that it needs. */
function isMissing(cause: unknown, packageName: string): boolean {
  if (!(cause instanceof Error)) return false;
  const code = 'code' in cause ? cause.code : undefined;
  // Node, Bun and Deno give a code; browsers a TypeError about the bare specifier.
  return (
    (code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND' || cause instanceof TypeError) &&
    cause.message.includes(packageName)
  );
}

function missing(packageName: string, cause: unknown): UnsupportedError {
  return new UnsupportedError(`runner: expected the package ${packageName}, got none`, {
    code: 'RUNTIME_MISSING',
    hint: `Run: npm install ${packageName}`,
    details: { package: packageName },
    cause,
  });
}

function broken(packageName: string, cause: unknown): UnsupportedError {
  const text = cause instanceof Error ? cause.message : String(cause);
  return new UnsupportedError(`runner: expected ${packageName} to start, got: ${text}`, {
    code: 'RUNTIME_FAILED',
    hint: `Reinstall it, or use another runtime: npm install onnxruntime-web`,
    details: { package: packageName },
    cause,
  });
}
