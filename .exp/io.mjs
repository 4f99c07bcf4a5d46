import { open } from 'node:fs/promises';
const h = await open('/dev/null'); const P = Object.getPrototypeOf(h); await h.close();
const t = {}; 
for (const k of ['sync','read','write','close','stat']) { const f = P[k]; P[k] = async function (...a) { const s = performance.now(); try { return await f.apply(this,a);} finally { (t[k] ??= [0,0])[0] += performance.now()-s; t[k][1]++; } }; }
const { readModel, writeModel, quantizeDynamic, quantizeWeights } = await import('/work/main/dist/onnx.js');
const [p, mode] = process.argv.slice(2);
let s = performance.now();
const m = await readModel(p); let e = performance.now(); console.log('read', e-s); s = e;
const { model } = mode==='w' ? await quantizeWeights(m, { bits: 4, blockSize: 32, embeddings: false }) : await quantizeDynamic(m, { weightDType: 'int8' }); e = performance.now(); console.log('quantize', e-s); s = e;
await writeModel(model, '/tmp/o.onnx', { overwrite: true }); e = performance.now(); console.log('write', e-s); console.log(t);
