// The contract of a driver that brings key from a QKD module. Its tests: test/contracts/key-source.ts.

import type { Secret } from "../core/memory/secret.ts";

/** One piece of distilled key, named {link, run, sequence} the same at both ends of the link. */
export interface ArrivedBlock {
  /** Number of the module pair's start. */
  readonly run: number;
  readonly sequence: number;
  /** Whoever iterates disposes it. */
  readonly key: Secret;
  /** Tells the module that the block is sealed and durable here; it may forget it. Call in any order. */
  acknowledge(): void;
}

/** What the module and its line say of themselves. */
export interface SourceStatus {
  readonly line: "up" | "down";
  readonly module?: string;
  readonly role?: "tx" | "rx";
  readonly run?: number;
  /** Quantum bit error rate, 0 to 1. */
  readonly qber?: number;
  /** Secret key rate as the module states it. */
  readonly keyRateBitsPerS?: number;
  readonly alarms: readonly string[];
}

/** An open key source. A line that falls silent or is pulled out does not end it: it comes back by itself. */
export interface KeySource extends AsyncDisposable {
  /**
   * Blocks in the order of the module, to one iterator; the next may be asked before the last is acknowledged.
   * A block that was not acknowledged comes again after a restart of either side. Ends at dispose.
   */
  blocks(): AsyncIterable<ArrivedBlock>;
  status(): SourceStatus;
}
