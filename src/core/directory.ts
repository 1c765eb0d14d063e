// The directory of applications as controller and key managers both know it: its limits, and a fingerprint to compare.

import { hash } from "node:crypto";

/** What a controller may make a KM keep. What exceeds it is refused as MALFORMED_REQUEST. */
export const DIRECTORY_LIMITS = {
  /** Applications of a network. */
  apps: 200_000,
  /** KMs at which they are at home. */
  homes: 1_024,
  /** Lines of one PATCH; a larger change is told as a whole. */
  changes: 4_096,
  /** Bytes of the body of a PUT or PATCH. */
  bodyBytes: 48 << 20,
  /** Bytes of one line. */
  lineBytes: 512,
  /** Entries in one answer. */
  page: 1_000,
} as const;

const BYTES = 16;

/**
 * Of a set of entries, whatever their order: the XOR of a hash of each. Adding and removing an entry are the same. It tells two
 * honest copies apart; somebody who may choose many entries could make two sets with one fingerprint.
 */
export class Fingerprint {
  readonly #sum: Buffer;

  /** @param text of another fingerprint; without it, of no entries */
  constructor(text?: string) {
    this.#sum = text === undefined ? Buffer.alloc(BYTES) : Buffer.from(text, "hex");
  }

  /** Adds an entry, or takes it away. */
  toggle(app: string, home: string): void {
    const digest = hash("sha256", `${app} ${home}`, "buffer");
    for (let at = 0; at < BYTES; at++) this.#sum[at] = (this.#sum[at] ?? 0) ^ (digest[at] ?? 0);
  }

  /** 32 hexadecimal digits. */
  get text(): string {
    return this.#sum.toString("hex");
  }
}
