// A Kx connection in memory between two key managers: what crosses it is copied, and can be delayed, lost or cut.

import { asFault, Fault } from "../../../src/core/fault.ts";
import type { KmId } from "../../../src/core/ids.ts";
import type { Clock } from "../../../src/core/ports.ts";
import type {
  ExtensionEntry,
  PeerConnection,
  PeerEvents,
  RelayConfirmation,
  RelayOffer,
  UnprotectedOffer,
} from "../../../src/keys/ports/peers.ts";
import type { PeerKeysRequest, SessionCreation } from "../../../src/keys/ports/sessions.ts";
import { base64Length } from "../../../src/wire/base64.ts";

/** One end's door: the key manager there, if it is up. */
export interface WireEnd {
  readonly id: KmId;
  readonly events: PeerEvents | undefined;
}

export type Crossing =
  | { readonly from: KmId; readonly kind: "relay"; readonly offer: RelayOffer }
  | { readonly from: KmId; readonly kind: "confirmation"; readonly confirmation: RelayConfirmation }
  | { readonly from: KmId; readonly kind: "tell"; readonly entries: readonly ExtensionEntry[] }
  | { readonly from: KmId; readonly kind: "told" }
  /** The route and IDs; the keys' letters cross beside it. */
  | { readonly from: KmId; readonly kind: "whole"; readonly requestId: string; readonly keyIds: readonly string[] }
  | { readonly from: KmId; readonly kind: "wholeTaken" }
  | { readonly from: KmId; readonly kind: "creation"; readonly creation: SessionCreation }
  | { readonly from: KmId; readonly kind: "created" }
  | { readonly from: KmId; readonly kind: "wish"; readonly wish: PeerKeysRequest }
  | { readonly from: KmId; readonly kind: "acknowledged" };

type Call<T> = { readonly resolve: (value: T) => void; readonly reject: (fault: Fault) => void };

export class Wire {
  readonly #clock: Clock;
  readonly ends: readonly [WireEnd, WireEnd];
  /** One way. */
  delayMs = 0;
  /** What it is true of never arrives. */
  lose: (crossing: Crossing) => boolean = () => false;
  /** What becomes of an offer on its way. */
  alter: (offer: RelayOffer) => RelayOffer = (offer) => offer;
  /** What becomes of a confirmation on its way. */
  twist: (confirmation: RelayConfirmation) => RelayConfirmation = (confirmation) => confirmation;
  /** All that was sent, lost or not. */
  readonly log: Crossing[] = [];
  /** The largest entry told, in bytes of JSON. */
  largestEntry = 0;
  #open: readonly [PeerSide, PeerSide] | undefined;

  constructor(clock: Clock, ends: readonly [WireEnd, WireEnd]) {
    this.#clock = clock;
    this.ends = ends;
  }

  get isUp(): boolean {
    return this.#open !== undefined;
  }

  /** A new connection; an older one is gone. */
  connect(): void {
    this.cut("replaced");
    const [a, b] = this.ends;
    const open = [new PeerSide(this, a, b), new PeerSide(this, b, a)] as const;
    this.#open = open;
    a.events?.connected(open[0]);
    if (this.#open === open) b.events?.connected(open[1]);
  }

  /** Both ends learn that it is gone; calls under way fail. */
  cut(_reason = "cut"): void {
    const open = this.#open;
    if (open === undefined) return;
    this.#open = undefined;
    for (const side of open) side.fail(new Fault("PEER_UNAVAILABLE"));
    for (const side of open) side.here.events?.disconnected(side);
  }

  /** The side at which `side`'s messages arrive, while the connection stands. */
  otherOf(side: PeerSide): PeerSide | undefined {
    const [a, b] = this.#open ?? [];
    return side === a ? b : side === b ? a : undefined;
  }

  /** Runs `arrive` at the other side, some time later, unless it is lost or cut. */
  carry(side: PeerSide, crossing: Crossing, arrive: (other: PeerSide) => void): void {
    this.log.push(crossing);
    if (this.lose(crossing)) return;
    const go = (): void => {
      const other = this.otherOf(side);
      if (other !== undefined) arrive(other);
    };
    if (this.delayMs > 0) this.#clock.after(this.delayMs, go);
    else queueMicrotask(go);
  }

  after(ms: number, then: () => void): () => void {
    return this.#clock.after(ms, then);
  }
}

/** The connection as one end holds it. */
class PeerSide implements PeerConnection {
  readonly id: KmId;
  readonly here: WireEnd;
  readonly #wire: Wire;
  readonly #calls = new Set<(fault: Fault) => void>();

  constructor(wire: Wire, here: WireEnd, there: WireEnd) {
    this.#wire = wire;
    this.here = here;
    this.id = there.id;
  }

  relay(offer: RelayOffer, timeoutMs: number): Promise<RelayConfirmation> {
    const copy = structuredClone(offer);
    return this.#call(timeoutMs, "RELAY_TIMEOUT", (call) => {
      this.#wire.carry(this, { from: this.here.id, kind: "relay", offer: copy }, (other) =>
        other.#answer(call, { from: other.here.id, kind: "confirmation", confirmation: EMPTY }, async () =>
          this.#wire.twist(await other.#events().relayed(other, this.#wire.alter(copy))),
        ),
      );
    });
  }

  tell(entries: readonly ExtensionEntry[], timeoutMs: number): Promise<void> {
    for (const entry of entries) {
      this.#wire.largestEntry = Math.max(this.#wire.largestEntry, Buffer.byteLength(JSON.stringify(entry)));
    }
    const copy = JSON.parse(JSON.stringify(entries)) as ExtensionEntry[];
    return this.#call<void>(timeoutMs, "PEER_UNAVAILABLE", (call) => {
      this.#wire.carry(this, { from: this.here.id, kind: "tell", entries: copy }, (other) =>
        other.#answer(call, { from: other.here.id, kind: "told" }, () => other.#events().told(other, copy)),
      );
    });
  }

  relayUnprotected(offer: UnprotectedOffer, timeoutMs: number): Promise<void> {
    const { requestId, source, destination, transit } = offer;
    const keys = offer.keys.map((key) => ({ keyId: key.keyId, letters: lettersOf(key) }));
    const crossing = { kind: "whole", requestId, keyIds: keys.map(({ keyId }) => keyId) } as const;
    return this.#call<void>(timeoutMs, "RELAY_TIMEOUT", (call) => {
      this.#wire.carry(this, { from: this.here.id, ...crossing }, (other) =>
        other.#answer(call, { from: other.here.id, kind: "wholeTaken" }, async () => {
          try {
            const arrival = { requestId, source, destination, transit: [...transit], keys };
            return await other.#events().relayedUnprotected(other, arrival);
          } finally {
            for (const { letters } of keys) letters.fill(0);
          }
        }),
      );
    });
  }

  createSession(creation: SessionCreation, timeoutMs: number): Promise<void> {
    const copy = structuredClone(creation);
    return this.#call<void>(timeoutMs, "PEER_UNAVAILABLE", (call) => {
      this.#wire.carry(this, { from: this.here.id, kind: "creation", creation: copy }, (other) =>
        other.#answer(call, { from: other.here.id, kind: "created" }, () =>
          other.#events().sessionCreated(other, copy),
        ),
      );
    });
  }

  notifySession(wish: PeerKeysRequest, timeoutMs: number): Promise<readonly string[]> {
    const copy = structuredClone(wish);
    return this.#call<readonly string[]>(timeoutMs, "PEER_UNAVAILABLE", (call) => {
      this.#wire.carry(this, { from: this.here.id, kind: "wish", wish: copy }, (other) =>
        other.#answer(call, { from: other.here.id, kind: "acknowledged" }, async () => [
          ...(await other.#events().sessionNotified(other, copy)),
        ]),
      );
    });
  }

  #events(): PeerEvents {
    if (this.here.events === undefined) throw new Fault("PEER_UNAVAILABLE");
    return this.here.events;
  }

  #call<T>(timeoutMs: number, late: "RELAY_TIMEOUT" | "PEER_UNAVAILABLE", send: (call: Call<T>) => void): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#wire.otherOf(this) === undefined) return reject(new Fault("PEER_UNAVAILABLE"));
      const fail = (fault: Fault): void => {
        end();
        reject(fault);
      };
      const stopTimer = this.#wire.after(timeoutMs, () => fail(new Fault(late)));
      const end = (): void => {
        stopTimer();
        this.#calls.delete(fail);
      };
      this.#calls.add(fail);
      send({
        resolve: (value) => {
          end();
          resolve(value);
        },
        reject: fail,
      });
    });
  }

  /** Does what was asked, and carries the answer back. */
  async #answer<T>(call: Call<T>, crossing: Crossing, work: () => Promise<T>): Promise<void> {
    try {
      const value = await work();
      const told: Crossing =
        crossing.kind === "confirmation" ? { ...crossing, confirmation: value as RelayConfirmation } : crossing;
      this.#wire.carry(this, told, () => call.resolve(value));
    } catch (thrown) {
      const { code, message, failedAt } = asFault(thrown);
      const fault = new Fault(code, { text: message, ...(failedAt === undefined ? {} : { failedAt }) });
      this.#wire.carry(this, crossing, () => call.reject(fault));
    }
  }

  fail(fault: Fault): void {
    for (const reject of [...this.#calls]) reject(fault);
  }

  close(_reason: string): void {
    if (this.#wire.otherOf(this) !== undefined) this.#wire.cut("closed");
  }
}

function lettersOf(key: UnprotectedOffer["keys"][number]): Uint8Array {
  const letters = new Uint8Array(base64Length(key.length));
  key.writeKey(letters, 0);
  return letters;
}

const EMPTY: RelayConfirmation = { keyId: "", tag: new Uint8Array(0) };
