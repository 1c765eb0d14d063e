// Relays whole keys of the token's random generator to a strict peer: for those who wait, and up to the high mark.
//
//   reserved ──success of the peer──> ready (in stock)
//       └──refusal, timeout, restart──> destroyed, and never tried again

import { asFault, Fault } from "../../core/fault.ts";
import type { OpenBlock } from "../../vault/vault.ts";
import { whyNotWorking } from "../common/availability.ts";
import type { Context } from "../common/context.ts";
import { TABLE, unprotectedBlock } from "../common/rows.ts";
import type { PeerConnection, UnprotectedOffer } from "../ports/peers.ts";
import { Bundle, keysText } from "./strict-bundle.ts";
import { countEnded, rowOf } from "./strict-inventory.ts";
import { BUNDLE_BYTES } from "./strict-received-keys.ts";
import type { KeyOptions, StrictStock } from "./strict-stock.ts";

/** Relays under way at a time. */
const WINDOW = 4;
/** So that a frame holds all keys of a relay with their IDs. */
const MAX_KEYS = 256;
const BACK_OFF_MS = { first: 1000, most: 60_000 };

/** What relaying to a strict peer needs of its surroundings. */
export interface RelayNeeds {
  readonly peer: PeerConnection["id"];
  /** The connection, while there is one. */
  connected(): PeerConnection | undefined;
  /** What to relay next, if anything: beyond what is ready and in flight. */
  wanted(): KeyOptions | undefined;
  /** Whether keys of a size that come may take the place of ready ones of other sizes. */
  mayReplace(size: number): boolean;
  /** Keys came into the stock, or will not. */
  changed(): void;
}

/** Relays keys to one strict peer, a bounded number at a time. */
export class StrictRelays {
  readonly #context: Context;
  readonly #stock: StrictStock;
  readonly #needs: RelayNeeds;
  readonly #underWay = new Set<Promise<void>>();
  #backOffMs = BACK_OFF_MS.first;
  /** Of one relay at most: fewer after a refusal, for the peer may take no more at a time, or have no more room. */
  #mostKeys = MAX_KEYS;
  #stopBackOff: (() => void) | undefined;
  #stopped = false;

  constructor(context: Context, stock: StrictStock, needs: RelayNeeds) {
    this.#context = context;
    this.#stock = stock;
    this.#needs = needs;
  }

  /** Begins whatever relays may begin now. */
  kick(): void {
    while (!this.#stopped && this.#stopBackOff === undefined && this.#underWay.size < WINDOW && this.#isAble()) {
      const peer = this.#needs.connected();
      const wanted = peer && this.#needs.wanted();
      if (peer === undefined || wanted === undefined) return;
      const { size } = wanted;
      const count = Math.min(wanted.count, this.#mostKeys, Math.floor(BUNDLE_BYTES / size));
      this.#stock.fly(size, count);
      const relay = this.#relay(peer, { count, size }).finally(() => {
        this.#stock.fly(size, -count);
        this.#underWay.delete(relay);
        this.#needs.changed();
      });
      this.#underWay.add(relay);
    }
  }

  #isAble(): boolean {
    return whyNotWorking(this.#context) === undefined;
  }

  async #relay(peer: PeerConnection, wanted: KeyOptions): Promise<void> {
    const bundle = this.#bundle(wanted);
    try {
      await this.#reserve(bundle);
      await this.#send(peer, bundle);
      const { vault } = this.#context;
      const change = vault.change().destroy(unprotectedBlock("relayed", bundle.id));
      await change.put(TABLE.whole, bundle.id, rowOf(bundle, this.#needs.peer, "ready")).commit();
      this.#backOffMs = BACK_OFF_MS.first;
      this.#mostKeys = Math.min(2 * this.#mostKeys, MAX_KEYS);
      this.#stock.enter(bundle, this.#needs.mayReplace(wanted.size));
      this.#context.meter.add("kma_keys_ready", { peer: this.#needs.peer }, wanted.count);
    } catch (thrown) {
      this.#giveUp(bundle, asFault(thrown), peer);
    }
  }

  #bundle({ count, size }: KeyOptions): Bundle {
    const { random, ages } = this.#context;
    const id = random.hex(16);
    const keys = Array.from({ length: count }, () => ({ id: uuid(random.hex(16)), length: size }));
    const row = {
      block: unprotectedBlock("own", id),
      bornAt: ages.now(),
      keys: keysText(keys),
      taken: new Uint8Array(count),
    };
    return new Bundle(id, row);
  }

  /** Two copies under two names: one to relay, one to supply. Durable before any byte leaves. */
  async #reserve(bundle: Bundle): Promise<void> {
    const { vault, meter, audit } = this.#context;
    const { peer } = this.#needs;
    const bytes = bundle.keys.reduce((sum, { length }) => sum + length, 0);
    const change = vault.change();
    for (const sealed of await vault.generate([unprotectedBlock("relayed", bundle.id), bundle.block], bytes))
      change.keep(sealed);
    await change.put(TABLE.whole, bundle.id, rowOf(bundle, peer, "reserved")).commit();
    meter.add("kma_keys_sent", { peer }, bundle.keys.length);
    audit.note("whole_keys_made", { peer, block: bundle.block }, { count: bundle.keys.length });
  }

  async #send(peer: PeerConnection, bundle: Bundle): Promise<void> {
    const { vault, policy } = this.#context;
    using open = await vault.open(unprotectedBlock("relayed", bundle.id));
    if (peer !== this.#needs.connected()) throw new Fault("PEER_UNAVAILABLE");
    await peer.relayUnprotected(this.#offer(bundle, open), policy.relayTimeoutMs);
  }

  #offer(bundle: Bundle, open: OpenBlock): UnprotectedOffer {
    const { self, random } = this.#context;
    const keys = bundle.keys.map(({ id, length }, index) => ({
      keyId: id,
      length,
      writeKey: (target: Uint8Array, at: number) => open.emit(bundle.rangeOf(index), target, at),
    }));
    return { requestId: random.hex(8), source: self, destination: this.#needs.peer, transit: [], keys };
  }

  /** Its keys are destroyed: the peer may have them, and a second try would give it others under their IDs. */
  #giveUp(bundle: Bundle, { code }: Fault, peer: PeerConnection): void {
    const { vault, log, meter, clock } = this.#context;
    const change = vault.change().remove(TABLE.whole, bundle.id).destroy(bundle.block);
    change
      .destroy(unprotectedBlock("relayed", bundle.id))
      .commit()
      .catch((err: unknown) => log.warn({ peer: this.#needs.peer, err }, "whole keys given up are still on the disk"));
    countEnded(this.#context, { peer: this.#needs.peer, role: "source" }, bundle, "given_up");
    log.warn({ peer: this.#needs.peer, fault: code, keys: bundle.keys.length }, "a relay of whole keys was given up");
    meter.add("relays_refused", { peer: this.#needs.peer, direction: "out", fault: code });
    this.#mostKeys = Math.max(1, bundle.keys.length >> 1);
    if (peer !== this.#needs.connected() || this.#stopped || this.#stopBackOff !== undefined) return;
    this.#stopBackOff = clock.after(this.#backOffMs, () => {
      this.#stopBackOff = undefined;
      this.kick();
    });
    this.#backOffMs = Math.min(this.#backOffMs * 2, BACK_OFF_MS.most);
  }

  /** A new connection: what was refused before may go now. */
  reset(): void {
    this.#stopBackOff?.();
    this.#stopBackOff = undefined;
    this.#backOffMs = BACK_OFF_MS.first;
  }

  /** Begins no more; resolves when those under way have ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.reset();
    await Promise.all(this.#underWay);
  }
}

/** A UUID of version 4, never one of our own KSA-keys' IDs, which are of version 8. */
function uuid(hex: string): string {
  const variant = "89ab"[Number.parseInt(hex.slice(16, 17), 16) & 3] ?? "8";
  const fields = [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `4${hex.slice(13, 16)}`,
    variant + hex.slice(17, 20),
    hex.slice(20),
  ];
  return fields.join("-");
}
