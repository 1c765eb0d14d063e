// The exit codes of `qkm`, and the error that carries one with a sentence for the person who called.

/** As in sysexits.h where it has a fitting one; docs/operations.md lists them. */
export const EXIT = {
  ok: 0,
  /** The command ran and what it tried did not succeed: a test failed, the KM refused. */
  failed: 1,
  /** The command line is wrong. */
  usage: 64,
  /** Something that the command needs is not there or does not answer: a KM that does not run, a port that is taken. */
  unavailable: 69,
  /** A defect of qkm. */
  internal: 70,
  /** The configuration is wrong. */
  config: 78,
} as const;

/** The exit codes of `qkm`; docs/operations.md says what each means. */
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** Ends a command with one sentence on stderr, which says the remedy, and an exit code. */
export class CommandError extends Error {
  override readonly name = "CommandError";
  readonly exitCode: ExitCode;

  constructor(exitCode: ExitCode, sentence: string, cause?: unknown) {
    super(sentence, { cause });
    this.exitCode = exitCode;
  }
}
