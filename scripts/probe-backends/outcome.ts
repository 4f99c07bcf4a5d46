/** What became of a case on a backend. */
import type { Tensor } from 'zeropoint';

export type Output = Pick<Tensor, 'dtype' | 'shape' | 'data'>;

export interface Ran {
  readonly stage: 'ran';
  readonly outputs: readonly Output[];
  /** Where the node ran; undefined if the runtime does not tell. */
  readonly provider?: string;
}

export interface Failed {
  readonly stage: 'load' | 'run' | 'crash';
  readonly message: string;
}

/** A kernel was found, and not run: the adapter lacks what it needs. */
export interface Placed {
  readonly stage: 'placed';
}

export type Outcome = Ran | Failed | Placed;
