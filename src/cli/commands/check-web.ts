/** onnxruntime-web in a fresh headless Chromium: one browser and one page for one model. */
import { dirname, join } from 'node:path';
import { Tensor, type DType } from 'zeropoint';
import { outputValues } from 'zeropoint/onnx';
import { findBrowser, findOrtWeb } from '../browser/find-browser.ts';
import { openBrowser, type OpenBrowser } from '../browser/open-browser.ts';
import { openPageServer, type PageServer } from '../browser/page-server.ts';
import {
  PAGE_ARRAYS,
  PAGE_RUNTIMES,
  runtimeName,
  type PageAnswer,
  type PageJob,
  type PageRuntime,
  type WebTarget,
} from '../browser/page-job.ts';
import { modelFacts } from '../model-facts.ts';
import type { RawJob, RawRun } from './check-run.ts';

/** A page that does not answer would hold everything up for ever: large models on SwiftShader take minutes. */
const LONGEST_MS = 15 * 60_000;

export async function runInBrowser(target: WebTarget, job: RawJob): Promise<RawRun> {
  const { words, signal } = job;
  const server = await openPageServer(findOrtWeb());
  let browser: OpenBrowser | undefined;
  const stop = (): void => void browser?.close().catch(() => undefined);
  signal.addEventListener('abort', stop);
  const timer = setTimeout(stop, LONGEST_MS);
  try {
    browser = await openBrowser(findBrowser(words.browser), words.adapter ?? 'swiftshader');
    return await inPage(browser, server, PAGE_RUNTIMES[target], job);
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', stop);
    await browser?.close().catch(() => undefined);
    await server.close();
  }
}

async function inPage(
  browser: OpenBrowser,
  server: PageServer,
  runtime: PageRuntime,
  job: RawJob,
): Promise<RawRun> {
  const page = await browser.openPage(server.origin);
  const before = await browser.residentBytes('VmRSS');
  const asked = pageJob(server, runtime, job);
  const answer = await page.run(asked).catch((error: unknown) => ended(error));
  const after = await browser.residentBytes('VmHWM').catch(() => null);
  const adapter = answer.adapter === undefined ? [] : [answer.adapter];
  const failure = failureOf(answer);
  return {
    runtime: runtimeName(runtime, answer.version),
    place: [`Chromium ${browser.version}`, ...adapter].join(', '),
    loadMs: answer.loadMs ?? null,
    runMs: answer.runMs,
    peakBytes: before === null || after === null ? null : Math.max(0, after - before),
    onCpu: onCpu(answer, runtime),
    outputs: failure === null ? outputsOf(answer, server, asked.fetches) : [],
    failure,
  };
}

function pageJob(server: PageServer, runtime: PageRuntime, { path, model, batches }: RawJob): PageJob {
  const external = Object.keys(modelFacts(model).externalData);
  return {
    runtime,
    optimization: 'all',
    model: server.put('model', path),
    externalData: external.map((file) => ({
      path: file,
      url: server.put(`external/${file}`, join(dirname(path), file)),
    })),
    batches: batches.map((feeds, run) =>
      Object.entries(feeds).map(([name, { dtype, shape, data }]) => ({
        name,
        type: dtype,
        dims: shape,
        url: server.put(
          `input/${run}/${name}`,
          new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
        ),
      })),
    ),
    fetches: outputValues(model).map(({ name }) => name),
    sendTo: '/sent',
  };
}

/** A page that crashed (out of memory, most often) or was closed after {@link LONGEST_MS}. */
function ended(error: unknown): PageAnswer {
  const message = error instanceof Error ? error.message.split('\n')[0] : String(error);
  return {
    version: undefined,
    adapter: undefined,
    hasHalf: false,
    placed: [],
    allOn: undefined,
    loadMs: undefined,
    runMs: [],
    outputs: [],
    failure: { stage: 'load', message: `the page ended: ${message}` },
  };
}

function failureOf({ failure }: PageAnswer): RawRun['failure'] {
  return failure ?? null;
}

/** Copies between GPU and CPU are no operators of the model. */
function onCpu({ placed, allOn }: PageAnswer, { provider }: PageRuntime): RawRun['onCpu'] {
  if (provider === 'wasm') return [];
  if (allOn === 'CPUExecutionProvider') return [{ op: 'all nodes', node: '' }];
  return placed
    .filter(({ provider: where, op }) => where === 'CPUExecutionProvider' && !op.startsWith('Memcpy'))
    .map(({ op, node }) => ({ op, node }));
}

function outputsOf(answer: PageAnswer, server: PageServer, names: readonly string[]): RawRun['outputs'] {
  return answer.outputs.map((outputs, run) =>
    Object.fromEntries(
      outputs.map(({ type, dims }, index) => {
        const bytes = server.sent(`${run}/${index}`) ?? new Uint8Array(0);
        // onnxruntime's names of these types are ours.
        return [names[index], new Tensor(type as DType, dims, new PAGE_ARRAYS[type](bytes.buffer))];
      }),
    ),
  );
}
