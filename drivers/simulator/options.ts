// What a simulated module pair is told: its link, its rate, and its faults.

import type { LinkId } from "../../src/core/ids.ts";
import type { Secret } from "../../src/core/memory/secret.ts";
import type { Framing } from "../../src/kq/framing/framing.ts";

/** The simulated link: its name, block size, rate and faults. */
export interface PairOptions {
  readonly link: LinkId;
  readonly blockBytes: number;
  /** Secret key rate, the same at both ends. */
  readonly rateBitsPerS: number;
  /** Quantum bit error rate that the modules report, 0 to 1. */
  readonly qber: number;
  /** Blocks that each module holds for its KM at most. */
  readonly bufferBlocks: number;
  readonly pairingKey?: Secret | undefined;
  /** How frames lie on the lines; COBS unless said otherwise. */
  readonly framing?: Framing | undefined;
  /** Makes key and faults repeatable; without it key comes from the system's generator. Never for real use. */
  readonly seed?: string | undefined;
  readonly faults: Faults;
}

/** Probabilities are 0 to 1. */
export interface Faults {
  /** Part of the time between two blocks by which it may be shorter or longer, 0 to 1. */
  readonly jitter: number;
  /** That a block is missing at one end. */
  readonly loseBlocks: number;
  /** That a block differs between the ends. */
  readonly disagree: number;
  /** That a byte on a line has a wrong bit. */
  readonly flipBytes: number;
  /** That a byte on a line is missing. */
  readonly dropBytes: number;
  /** Both modules freeze every so often; 0 for never. */
  readonly stallEveryMs: number;
  readonly stallForMs: number;
  /** Both modules lose power and start again, with a new run, every so often; 0 for never. */
  readonly restartEveryMs: number;
}

/** A link on which nothing goes wrong. */
export const NO_FAULTS: Faults = {
  jitter: 0,
  loseBlocks: 0,
  disagree: 0,
  flipBytes: 0,
  dropBytes: 0,
  stallEveryMs: 0,
  stallForMs: 0,
  restartEveryMs: 0,
};
