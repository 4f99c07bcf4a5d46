/**
 * Runs inside the page: `page.evaluate` sends the text of {@link runInPage}, so that it can use nothing from outside its
 * own body. onnxruntime tells where it placed nodes in its verbose log alone, which goes to the console; so the console is
 * listened to while a session is made.
 */
import type { PageAnswer, PageJob, PlacedNode } from './page-job.ts';

interface OrtTensor {
  readonly type: string;
  readonly dims: readonly number[];
  readonly data: ArrayBufferView;
}

interface OrtSession {
  run(feeds: Record<string, OrtTensor>, fetches: readonly string[]): Promise<Record<string, OrtTensor>>;
  release(): Promise<void>;
}

interface Ort {
  readonly env: {
    readonly versions: { readonly web?: string };
    readonly wasm: { numThreads?: number };
  };
  readonly InferenceSession: {
    create(model: Uint8Array, options: Readonly<Record<string, unknown>>): Promise<OrtSession>;
  };
  readonly Tensor: new (type: string, data: unknown, dims: readonly number[]) => OrtTensor;
}

interface Gpu {
  requestAdapter(): Promise<{
    readonly info: { readonly vendor: string; readonly architecture: string };
    readonly features: ReadonlySet<string>;
  } | null>;
}

/** What the page has, see page-server.ts, and what it keeps from one job to the next. */
interface Page {
  zeropointLines?: string[];
  importModule(path: string): Promise<{ readonly default?: Ort }>;
}

export async function runInPage(job: PageJob): Promise<PageAnswer> {
  // Before the runtime is loaded, which keeps the functions that it finds: so a later job of this page hears through them.
  const page = globalThis as unknown as Page;
  const lines = (page.zeropointLines ??= []);
  const listen = (...words: readonly unknown[]): void => void lines.push(words.join(' '));
  Object.assign(console, { log: listen, debug: listen, info: listen, warn: listen, error: listen });

  const answer = {
    version: undefined as string | undefined,
    adapter: undefined as string | undefined,
    hasHalf: false,
    placed: [] as PlacedNode[],
    allOn: undefined as string | undefined,
    loadMs: undefined as number | undefined,
    runMs: [] as number[],
    outputs: [] as { type: string; dims: readonly number[] }[][],
    failure: undefined as PageAnswer['failure'],
  };

  const bytesAt = async (url: string): Promise<Uint8Array> => {
    const response = await fetch(url);
    if (!response.ok) throw new Error(`${url}: ${response.status}`);
    return new Uint8Array(await response.arrayBuffer());
  };

  const arrays: Readonly<Record<string, new (buffer: ArrayBuffer) => ArrayBufferView>> = {
    float32: Float32Array,
    float64: Float64Array,
    float16: Uint16Array,
    int8: Int8Array,
    uint8: Uint8Array,
    int16: Int16Array,
    uint16: Uint16Array,
    int32: Int32Array,
    uint32: Uint32Array,
    int64: BigInt64Array,
    uint64: BigUint64Array,
    bool: Uint8Array,
  };

  const placements = (): void => {
    let provider = '';
    for (const line of lines) {
      const [, text] = /VerifyEachNodeIsAssignedToAnEp\]\s+(.*)$/.exec(line) ?? [];
      if (text === undefined) continue;
      const [, placedOn] = /placed on \[(\w+)\]/.exec(text) ?? [];
      if (text.startsWith('All nodes placed on')) answer.allOn = placedOn;
      const [, op, node] = /^(\S+) \((.*)\)$/.exec(text) ?? [];
      if (placedOn !== undefined) provider = placedOn;
      else if (op !== undefined) answer.placed.push({ op, node, provider });
    }
    lines.length = 0;
  };

  let stage: 'start' | 'load' | 'run' = 'start';
  try {
    const { script, provider } = job.runtime;
    if (provider === 'webgpu') {
      // TypeScript's library of the DOM does not have WebGPU yet.
      const adapter = await (navigator as { gpu?: Gpu }).gpu?.requestAdapter();
      if (!adapter) throw new Error('this browser gives no WebGPU adapter');
      answer.adapter = `${adapter.info.vendor} ${adapter.info.architecture}`.trim();
      answer.hasHalf = adapter.features.has('shader-f16');
    }
    const loaded = await page.importModule(`/ort/${script}`);
    const ort = loaded.default ?? (loaded as unknown as Ort);
    answer.version = ort.env.versions.web;
    ort.env.wasm.numThreads = 1;

    stage = 'load';
    const model = await bytesAt(job.model);
    const externalData: { path: string; data: Uint8Array }[] = [];
    for (const { path: name, url } of job.externalData) {
      externalData.push({ path: name, data: await bytesAt(url) });
    }
    const start = performance.now();
    const session = await ort.InferenceSession.create(model, {
      executionProviders: [provider],
      graphOptimizationLevel: job.optimization,
      externalData,
      // Only WebGPU shares a model with the CPU.
      logSeverityLevel: provider === 'webgpu' ? 0 : 4,
    });
    answer.loadMs = performance.now() - start;
    placements();

    stage = 'run';
    for (const [run, batch] of job.batches.entries()) {
      const feeds: Record<string, OrtTensor> = {};
      for (const { name, type, dims, url } of batch) {
        const { buffer } = await bytesAt(url);
        feeds[name] = new ort.Tensor(type, new arrays[type](buffer as ArrayBuffer), dims);
      }
      const begun = performance.now();
      const results = await session.run(feeds, job.fetches);
      answer.runMs.push(performance.now() - begun);
      answer.outputs.push([]);
      for (const [index, name] of job.fetches.entries()) {
        const { type, dims, data } = results[name];
        answer.outputs[run].push({ type, dims });
        const body = new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice();
        await fetch(`${job.sendTo}/${run}/${index}`, { method: 'POST', body });
      }
    }
    await session.release();
  } catch (error) {
    placements();
    const message = error instanceof Error ? error.message : String(error);
    answer.failure = { stage, message };
  }
  return answer;
}
