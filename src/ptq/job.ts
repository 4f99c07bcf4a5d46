/** What every long job takes as its last argument. */

/** How far a job is. */
export interface Progress {
  readonly stage: 'clean' | 'calibrate' | 'convert' | 'verify';
  readonly done: number;
  /** How many there will be, where known. */
  readonly total?: number;
  readonly unit: 'batches' | 'nodes' | 'weights';
  readonly samples?: number;
}

/** Last argument of every long job: how to stop it and how to follow it. */
export interface JobOptions {
  /** Aborting throws the signal's reason at the next step and leaves nothing behind. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
}
