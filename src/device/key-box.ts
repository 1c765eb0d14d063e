// The contract of a driver that takes key from a vendor's key delivery box at this end of a link; the box at the other end
// has the same key. Its tests: test/contracts/key-box.ts.
//
//     this KM ── offer ──> box here            the other KM ── fetch(names) ──> box there
//        └────────────── the names, over Kx ──────────────^
//
// A module numbers its blocks itself. A box knows keys by names of its own, so the two KMs agree which keys make a block.

import type { LinkId } from "../core/ids.ts";
import type { Secret } from "../core/memory/secret.ts";
import type { Clock, Log } from "../core/ports.ts";
import type { SourceStatus } from "./key-source.ts";

/** A block that this end begins. Its key is in nobody else's hands than those of the two boxes and KMs. */
export interface BlockOffer {
  /** What the other end's box knows its key by, 1 to `LIMITS.keys`; no secrets. */
  readonly names: readonly string[];
  /** Call once, when the other end has the key: this end's secret is full after it. @throws Fault as `offer` */
  complete(): Promise<void>;
}

/** An open box. One that is gone does not end it: each call tries again. */
export interface KeyBox extends AsyncDisposable {
  /**
   * Takes new key for `into`, which is filled now or by `complete`. What was taken and is not used is lost.
   * @throws Fault INSUFFICIENT_KEYS when the box has no key or no time, perhaps with when to ask again; BOX_UNAVAILABLE
   */
  offer(into: Secret): Promise<BlockOffer>;
  /**
   * Fills `into` with the key that the other end's offer names. A box may know a name later than its peer: it is asked
   * again until `withinMs` are over.
   * @throws Fault KEY_NOT_FOUND, INSUFFICIENT_KEYS, BOX_UNAVAILABLE; MALFORMED_REQUEST when the names are none of its own
   */
  fetch(names: readonly string[], into: Secret, withinMs: number): Promise<void>;
  status(): SourceStatus;
}

/** Certificate, private key and trust anchor for the box: paths of PEM files, read anew with each connection. */
export interface BoxFiles {
  readonly certificate: string;
  readonly key: string;
  readonly trust: string;
}

/** Which box, and who we are to it. */
export interface BoxOptions {
  readonly link: LinkId;
  readonly host: string;
  readonly port: number;
  /** What the box calls this KM and the one at the other end. */
  readonly local: string;
  readonly remote: string;
  readonly tls: BoxFiles;
  /** Name in the box's certificate, where it is not `host`. */
  readonly serverName: string | undefined;
  readonly minTls: "1.2" | "1.3";
  /** Bits of each key that is asked for; as many as the box allows when left out. */
  readonly keyBits: number | undefined;
  /** ETSI 004: how the box writes its frames. */
  readonly wire: "A" | "B";
  /** Size of every link block. */
  readonly blockBytes: number;
}

/** What a driver is given by the node: time, log, and locked memory for what the box answers. */
export interface BoxPorts {
  readonly clock: Clock;
  readonly log: Log;
  /** All zero; `bytes` of it, for as long as the box is open. */
  memory(bytes: number): Uint8Array;
}

/** Opens a box; resolves even while it cannot be reached. */
export type OpenBox = (options: BoxOptions, ports: BoxPorts) => Promise<KeyBox>;
