/** `zeropoint inspect`: its words. */
import type { Command } from 'commander';
import { addCommonOptions, type CommonOptions } from './common.ts';

export function addInspect(program: Command): void {
  const command = program
    .command('inspect')
    .description('show what a model is made of; reads the header only, whatever the size')
    .argument('<model>', 'path of an ONNX model');
  addCommonOptions(command).action(async (model: string, options: CommonOptions) => {
    const { inspect } = await import('../commands/inspect.ts');
    await inspect(model, options);
  });
}
