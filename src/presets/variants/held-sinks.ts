/** Files that appear together or not at all: each is complete before the first takes its place. */
import type { Sink } from '../../formats/sink.ts';

export class HeldSinks {
  /** Those that are to be taken back after an error. */
  readonly #all: Sink[] = [];
  /** Those that are complete. */
  readonly #complete: Sink[] = [];

  /** The sink, with `close` put off until {@link commit}. */
  hold(sink: Sink): Sink {
    this.#all.push(sink);
    const { name, copies } = sink;
    const sibling = sink.sibling?.bind(sink);
    return {
      ...(name !== undefined && { name }),
      ...(copies !== undefined && { copies }),
      write: (bytes) => sink.write(bytes),
      flush: async () => sink.flush?.(),
      close: () => void this.#complete.push(sink),
      abort: (reason) => this.abort(reason),
      ...(sibling && { sibling: async (other: string) => this.hold(await sibling(other)) }),
    };
  }

  /** Puts all files in place; if one cannot be, takes back those before it as far as the targets can. */
  async commit(): Promise<void> {
    try {
      for (const sink of this.#complete) await sink.close?.();
    } catch (error) {
      await this.abort(error);
      throw error;
    }
  }

  /** Takes everything back. Failures to do so are not reported, since there is an error already. */
  async abort(reason: unknown): Promise<void> {
    for (const sink of this.#all.splice(0)) {
      try {
        await sink.abort?.(reason);
      } catch {
        continue;
      }
    }
  }
}
