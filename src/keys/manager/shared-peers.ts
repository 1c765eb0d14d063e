// With whom this KM shares keys: itself, other KMs, and peers of another make; and what may be asked of each.

import { Fault } from "../../core/fault.ts";
import type { KmId } from "../../core/ids.ts";
import type { LocalStock } from "../peers/local-stock.ts";
import { Peer } from "../peers/peer.ts";
import type { KeySizes } from "../ports.ts";
import { notWithStrict, type StrictPeers } from "../strict/strict.ts";

interface SharedPeersParts {
  readonly self: KmId;
  readonly local: LocalStock;
  readonly peers: ReadonlyMap<KmId, Peer>;
  readonly strict: StrictPeers;
}

/** Finds what is shared with the home of an application, and sums over all. */
export class SharedPeers {
  readonly #parts: SharedPeersParts;

  constructor(parts: SharedPeersParts) {
    this.#parts = parts;
  }

  /** All but the strict ones. */
  get all(): readonly (Peer | LocalStock)[] {
    return [this.#parts.local, ...this.#parts.peers.values()];
  }

  /** What is shared with a peer, or with ourselves. */
  of(peer: KmId): Peer | LocalStock | undefined {
    return peer === this.#parts.self ? this.#parts.local : this.#parts.peers.get(peer);
  }

  /** The same for an application's home. @throws Fault NO_ROUTE, EXTENSION_UNSUPPORTED */
  for(home: KmId): Peer | LocalStock {
    if (this.#parts.strict.get(home) !== undefined) throw notWithStrict(home);
    const pair = this.of(home);
    const isLeft = pair instanceof Peer && !pair.isConfigured;
    if (pair === undefined || isLeft) throw new Fault("NO_ROUTE", { text: `${home} is no peer of this KM` });
    if (pair instanceof Peer && pair.unreachable !== undefined) throw pair.unreachable;
    return pair;
  }

  /** Of keys with an application's home. @throws Fault as `for` */
  sizes(home: KmId): KeySizes {
    return this.for(home).sizes;
  }
}
