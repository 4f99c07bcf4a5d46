/**
 * Runs cases in pages of headless Chromium, many to a page. WebGPU keeps shaders from one session to the next, so what fails
 * or differs there is to be tried again with `toAPage: 1`.
 */
import type { DType } from 'zeropoint';
import { findBrowser, findOrtWeb } from '../../src/cli/browser/find-browser.ts';
import { openBrowser, type ModelPage } from '../../src/cli/browser/open-browser.ts';
import { openPageServer, type PageServer } from '../../src/cli/browser/page-server.ts';
import {
  PAGE_ARRAYS,
  PAGE_RUNTIMES,
  runtimeName,
  type PageAnswer,
  type PageJob,
  type WebTarget,
} from '../../src/cli/browser/page-job.ts';
import { NODE, type Case } from './cases.ts';
import type { Outcome, Output } from './outcome.ts';

/** Cases in one page. */
const TO_A_PAGE = 60;
const LONGEST_MS = 60_000;

export interface WebRun {
  readonly outcomes: readonly Outcome[];
  readonly runtime: string;
  readonly browser: string;
  readonly adapter: string | undefined;
  readonly hasHalf: boolean;
}

export async function runInPages(
  target: WebTarget,
  cases: readonly Case[],
  { toAPage = TO_A_PAGE }: { readonly toAPage?: number } = {},
): Promise<WebRun> {
  const server = await openPageServer(findOrtWeb());
  const outcomes: Outcome[] = [];
  const facts = { runtime: '', browser: '', adapter: undefined as string | undefined, hasHalf: false };
  let browser = await openBrowser(findBrowser(undefined), 'swiftshader');
  facts.browser = browser.version;
  let page: ModelPage | undefined;
  for (const [i, one] of cases.entries()) {
    if (i % toAPage === 0) {
      await page?.close();
      page = undefined;
    }
    try {
      page ??= await browser.openPage(server.origin);
      const { outcome, answer } = await runCase(target, page, server, one);
      outcomes.push(outcome);
      const { version, adapter, hasHalf } = answer;
      Object.assign(facts, { runtime: runtimeName(PAGE_RUNTIMES[target], version), adapter, hasHalf });
    } catch (error) {
      outcomes.push({ stage: 'crash', message: error instanceof Error ? error.message : String(error) });
      await browser.close().catch(() => undefined);
      browser = await openBrowser(findBrowser(undefined), 'swiftshader');
      page = undefined;
    }
    if (i % 250 === 249) console.error(`  ${target}: ${i + 1} of ${cases.length}`);
  }
  await browser.close();
  await server.close();
  return { outcomes, ...facts };
}

async function runCase(
  target: WebTarget,
  page: ModelPage,
  server: PageServer,
  one: Case,
): Promise<{ readonly outcome: Outcome; readonly answer: PageAnswer }> {
  server.clear();
  const batch = Object.entries(one.feeds).map(([name, { dtype, shape, data }]) => ({
    name,
    type: dtype,
    dims: shape,
    url: server.put(name, new Uint8Array(data.buffer, data.byteOffset, data.byteLength)),
  }));
  const job: PageJob = {
    runtime: PAGE_RUNTIMES[target],
    optimization: 'disabled',
    model: server.put('model', one.bytes),
    externalData: [],
    batches: [batch],
    fetches: one.outputs,
    sendTo: '/sent/case',
  };
  const answer = await withinTime(page.run(job));
  return { outcome: outcomeOf(answer, target, server), answer };
}

function withinTime<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${LONGEST_MS / 1000} s`)), LONGEST_MS);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

function outcomeOf(answer: PageAnswer, target: WebTarget, server: PageServer): Outcome {
  const provider = answer.placed.find(({ node }) => node === NODE)?.provider ?? answer.allOn;
  const { failure } = answer;
  if (failure?.stage === 'start') throw new Error(failure.message);
  if (failure !== undefined) {
    // Said by WebGPU alone: the node is there, and its shader needs what this adapter has not.
    const isGpu = PAGE_RUNTIMES[target].provider === 'webgpu';
    if (isGpu && !answer.hasHalf && failure.message.includes('requires f16')) return { stage: 'placed' };
    return { stage: failure.stage as 'load' | 'run', message: failure.message };
  }
  const outputs = answer.outputs[0].map(({ type, dims }, i) =>
    outputAt(type, dims, server.sent(`case/0/${i}`)),
  );
  return { stage: 'ran', outputs, ...(provider !== undefined && { provider }) };
}

function outputAt(type: string, shape: readonly number[], bytes: Uint8Array | undefined): Output {
  if (bytes === undefined) throw new Error('expected an output from the page, got none');
  return { dtype: type as DType, shape, data: new PAGE_ARRAYS[type](bytes.buffer) };
}
