/**
 * `npm run test:transformersjs`: transformers.js loads every variant that the command line makes of two small models (a BERT
 * classifier; a merged decoder with its cache), offline, from a folder, in Node and in Chromium, and its answers are compared
 * with those of the float model. Prints a line a test, and `N passed, N failed, N skipped` at the end.
 *
 * Bounds: signal to noise of the logits. Weights are random, which is harder for few bits than trained ones: what is tested is
 * that each file is loaded, understood, and computed as meant. A wrong kernel or layout gives 0 dB or less.
 */
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from '../../scripts/build.mjs';
import { install } from '../../scripts/lib/install.mjs';
import { ROOT, run } from '../../scripts/lib/run.mjs';
import { hasChromium, SOFTWARE_GPU, withPage } from '../support/chromium.mjs';
import { answer, stayLocal } from './answers.mjs';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const FIXTURES = join(ROOT, 'test/fixtures/transformersjs');
const PACKAGES = join(HERE, 'node_modules');
const BROWSER_MS = 10 * 60_000;

/** Command line by the name that a model's folder gets. */
const PRESETS = { web: ['--all'], compat: ['--all', '--compat', 'transformersjs-3'] };
const KINDS = ['bert', 'decoder'];

/** Least signal to noise in decibels: 16, 8, and 4 bits. */
const BOUNDS = { fp16: 45, q8: 18, int8: 18, uint8: 18, q4: 5, q4f16: 5, bnb4: 3 };
const DTYPES = Object.keys(BOUNDS);
/** SwiftShader has no 16-bit arithmetic, and WebGPU no integer products: other dtypes are not for it. */
const ON_WEBGPU = ['q4', 'bnb4'];

/** Folders of models as transformers.js has them, with all variants. */
async function makeModels(root) {
  for (const kind of KINDS) {
    for (const [preset, words] of Object.entries(PRESETS)) {
      const folder = join(root, `${kind}-${preset}`);
      mkdirSync(folder);
      cpSync(join(FIXTURES, kind), folder, { recursive: true });
      const cli = [join(ROOT, 'dist/cli/main.js'), 'variants', folder, ...words, '--quiet'];
      const { code, output } = await run(process.execPath, cli);
      if (code !== 0) throw new Error(`zeropoint variants ${folder}: exit code ${code}\n${output}`);
    }
  }
}

/** Everything that is asked: float first. */
function questions(devices) {
  return KINDS.flatMap((kind) =>
    Object.keys(PRESETS).flatMap((preset) =>
      devices.flatMap(({ device, dtypes }) =>
        ['fp32', ...dtypes].map((dtype) => ({ folder: `${kind}-${preset}`, dtype, device })),
      ),
    ),
  );
}

function decibels(expected, got) {
  if (expected.length !== got.length) return -Infinity;
  const power = (values) => values.reduce((sum, value) => sum + value * value, 0);
  return 10 * Math.log10(power(expected) / power(expected.map((value, i) => value - got[i])));
}

/** What is wrong with an answer; undefined if nothing is. */
function fault({ dtype }, got, float) {
  if ('error' in got) return got.error;
  if (dtype === 'fp32') return undefined;
  const ratio = decibels(float.logits, got.logits);
  if (!(ratio >= BOUNDS[dtype])) return `expected at least ${BOUNDS[dtype]} dB, got ${ratio.toFixed(1)}`;
  if (got.tokens.length !== float.tokens.length)
    return `expected ${float.tokens.length} tokens, got ${got.tokens.length}`;
  const isSame = got.tokens.every((token, i) => token === float.tokens[i]);
  return dtype === 'fp16' && !isSame ? `expected tokens ${float.tokens}, got ${got.tokens}` : undefined;
}

const total = { passed: 0, failed: 0, skipped: 0 };

function judge(place, asked, answers) {
  const floats = new Map();
  for (const [i, question] of asked.entries()) {
    const { folder, dtype, device } = question;
    const got = answers[i];
    if (dtype === 'fp32') floats.set(`${folder} ${device}`, got);
    const wrong = fault(question, got, floats.get(`${folder} ${device}`));
    total[wrong === undefined ? 'passed' : 'failed']++;
    const mark = wrong === undefined ? 'ok' : `FAILED: ${wrong}`;
    console.log(`${place}, ${device}: ${folder} ${dtype}: ${mark}`);
  }
}

async function inNode(root) {
  const { href } = pathToFileURL(join(PACKAGES, '@huggingface/transformers/dist/transformers.node.mjs'));
  const transformers = await import(href);
  stayLocal(transformers, root);
  const asked = questions([{ device: 'cpu', dtypes: DTYPES }]);
  const answers = [];
  for (const question of asked) {
    answers.push(await answer(transformers, question).catch((error) => ({ error: String(error) })));
  }
  judge('Node', asked, answers);
}

async function inChromium(root) {
  if (!hasChromium()) {
    total[process.env.CI ? 'failed' : 'skipped']++;
    console.log('Chromium: not there');
    return;
  }
  const onCpu = questions([{ device: 'wasm', dtypes: DTYPES }]);
  const onGpu = questions([{ device: 'webgpu', dtypes: ON_WEBGPU }]);
  const page = {
    roots: { '/packages/': PACKAGES, '/models/': root, '/': HERE },
    path: '/page.html',
    flags: SOFTWARE_GPU,
    timeoutMs: BROWSER_MS,
  };
  const ask = async (all) => {
    const transformers = await import('/packages/@huggingface/transformers/dist/transformers.web.min.js');
    const { answer: answerOf, stayLocal: stay } = await import(`${location.origin}/answers.mjs`);
    stay(transformers, '/models/');
    transformers.env.backends.onnx.wasm.wasmPaths = '/packages/onnxruntime-web/dist/';
    const answers = [];
    for (const question of all) {
      answers.push(await answerOf(transformers, question).catch((error) => ({ error: String(error) })));
    }
    return answers;
  };
  await withPage(page, async (opened) => {
    judge('Chromium', onCpu, await opened.evaluate(ask, onCpu));
    const answers = [];
    for (const question of onGpu) {
      // onnxruntime-web uses shaders again from one session to the next, some wrongly: each file has a page to itself.
      await opened.reload();
      answers.push(...(await opened.evaluate(ask, [question])));
    }
    judge('Chromium', onGpu, answers);
  });
}

await install(HERE);
await build();
const root = mkdtempSync(join(tmpdir(), 'zeropoint-transformersjs-'));
try {
  await makeModels(root);
  await inNode(root);
  await inChromium(root);
} finally {
  rmSync(root, { recursive: true, force: true });
}
console.log(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exitCode = total.failed === 0 ? 0 : 1;
