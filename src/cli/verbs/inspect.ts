/** `zeropoint inspect`: its words. */
import type { Command } from 'commander';
import { addModelOptions, type ModelOptions } from './common.ts';

export function addInspect(program: Command): void {
  const command = program
    .command('inspect')
    .description('show what a model is made of; reads the header only, whatever the size')
    .argument('<model>', 'path of an ONNX model');
  addModelOptions(command).action(async (model: string, options: ModelOptions) => {
    const { inspect } = await import('../commands/inspect.ts');
    await inspect(model, options);
  });
}
