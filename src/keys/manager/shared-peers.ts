// With whom this KM shares keys: itself, other KMs, and peers of another make; and what may be asked of each. The one place
// where what applications ask goes one way for peers that prove keys, and another for strict ones.

import { Fault } from "../../core/fault.ts";
import type { KmId } from "../../core/ids.ts";
import type { Context } from "../common/context.ts";
import { isNamed, type KeyFetcher } from "../fetch/fetch.ts";
import type { LocalStock } from "../peers/local-stock.ts";
import { Peer } from "../peers/peer.ts";
import type { Answer, FetchRequest, KeySizes, SupplyRequest, SupplyStatus } from "../ports/keys.ts";
import { notWithStrict, type StrictPeers } from "../strict/strict.ts";
import type { Parties } from "../supply/key-namer.ts";
import { supplyStatus } from "../supply/supply-status.ts";

interface SharedPeersParts {
  readonly context: Context;
  readonly local: LocalStock;
  readonly peers: ReadonlyMap<KmId, Peer>;
  readonly strict: StrictPeers;
  readonly keyFetcher: KeyFetcher;
}

/** Who supplies keys shared with one KM, of whatever make. */
interface Supplier {
  readonly sizes: KeySizes;
  readonly desk: { request(request: SupplyRequest, answer: Answer): () => void };
}

/** Finds what is shared with the home of an application. */
export class SharedPeers {
  readonly #parts: SharedPeersParts;

  constructor(parts: SharedPeersParts) {
    this.#parts = parts;
  }

  /** All but the strict ones. */
  get all(): readonly (Peer | LocalStock)[] {
    return [this.#parts.local, ...this.#parts.peers.values()];
  }

  /** What is shared with a peer that proves keys, or with ourselves. */
  of(peer: KmId): Peer | LocalStock | undefined {
    return peer === this.#parts.context.self ? this.#parts.local : this.#parts.peers.get(peer);
  }

  /** The same for an application's home. @throws Fault NO_ROUTE, EXTENSION_UNSUPPORTED */
  for(home: KmId): Peer | LocalStock {
    if (this.#parts.strict.get(home) !== undefined) throw notWithStrict(home);
    return this.#proving(home);
  }

  /** @throws Fault NO_ROUTE */
  #proving(home: KmId): Peer | LocalStock {
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

  /** Of new keys with an application's home. @throws Fault NO_ROUTE */
  supplier(home: KmId): Supplier {
    return this.#parts.strict.get(home) ?? this.#proving(home);
  }

  /** How much there is of them. @throws Fault NO_ROUTE */
  status(home: KmId): SupplyStatus {
    const { context, strict } = this.#parts;
    return strict.get(home)?.status ?? supplyStatus(context, this.#proving(home), context.policy.defaultKeyBits);
  }

  /** Keys that a KM has supplied. @throws Fault KEY_NOT_FOUND */
  fetch(source: KmId, request: FetchRequest, answer: Answer): () => void {
    const other = this.#parts.strict.get(source);
    if (other !== undefined) return other.held.request(request, answer);
    const held = this.of(source)?.held;
    if (held === undefined) throw new Fault("KEY_NOT_FOUND");
    return this.#parts.keyFetcher.request(request, held, answer);
  }

  /** Whether a KM has supplied a key of that ID to these applications, fetched or not. */
  hasSupplied(source: KmId, keyId: string, { initiator, target }: Pick<Parties, "initiator" | "target">): boolean {
    const { context, strict } = this.#parts;
    const held = this.of(source)?.held;
    if (held === undefined) return strict.get(source)?.held.knows(keyId) ?? false;
    return isNamed(keyId, held, { destination: context.self, initiator, target });
  }

  /** Ends the waiting of all requests. */
  refuseAll(fault: Fault): void {
    for (const { desk } of this.all) desk.refuseAll(fault);
    this.#parts.strict.refuseAll(fault);
  }

  /** Token and store are back: requests that waited for them are served. */
  recovered(): void {
    for (const { desk } of this.all) desk.pump();
    this.#parts.strict.recovered();
  }
}
