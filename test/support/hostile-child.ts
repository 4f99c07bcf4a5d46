/** `node child.mjs <file> <mode>`: reads the file and puts it through the mode; prints outcome and peak memory as JSON. */
import { QuantError } from 'zeropoint';
import { readModel } from 'zeropoint/onnx';
import { peakBytes } from '../../scripts/lib/peak.mjs';
import { MODES } from './every-mode.ts';

async function outcomeOf(file: string, mode: string): Promise<string> {
  try {
    const model = await readModel(file, { externalData: () => new Uint8Array(256) });
    await MODES[mode](model);
    return 'done';
  } catch (error) {
    if (error instanceof QuantError) return error.code;
    throw error;
  }
}

const outcome = await outcomeOf(process.argv[2], process.argv[3]);
const megabytes = peakBytes() / 1e6;
process.stdout.write(JSON.stringify({ outcome, megabytes }));
