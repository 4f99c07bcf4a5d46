/** What the process ends with. */
export const ExitCode = {
  done: 0,
  failed: 1,
  usage: 2,
  /** A quality gate that the user set was not met. */
  gate: 3,
  /** Ended by Ctrl-C, SIGTERM or SIGHUP: 128 + SIGINT, as shells count. */
  interrupted: 130,
} as const;
