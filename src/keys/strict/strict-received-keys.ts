// What a strict peer relays to us: sealed and durable under its IDs before it is answered, fetched once.

import { Fault } from "../../core/fault.ts";
import type { AppId, KmId } from "../../core/ids.ts";
import type { Change } from "../../vault/vault.ts";
import type { Context } from "../common/context.ts";
import { MAX_KEY_BYTES } from "../common/key-id.ts";
import { SerialQueue } from "../common/queues/serial-queue.ts";
import { TABLE, type UnprotectedRow, unprotectedBlock } from "../common/rows.ts";
import { fitAnswer } from "../common/sizes.ts";
import type { Answer, FetchRequest } from "../ports/keys.ts";
import type { UnprotectedArrival } from "../ports/peers.ts";
import { MAX_PIECES } from "../supply/source-key.ts";
import { Bundle, keysText } from "./strict-bundle.ts";
import { type Claim, fetchClaims, noteClaims } from "./strict-grant.ts";
import { BundleInventory, rowOf } from "./strict-inventory.ts";

/** Bytes of one block of keys: no more than the smallest block of a link, so that every slot holds it. */
export const BUNDLE_BYTES = 4096;

const ID_BYTES = 36;
/** Printable ASCII that JSON does not escape. */
const KEY_ID = /^[ !#-[\]-~]{1,256}$/;

type Arrived = UnprotectedArrival["keys"][number];

/** Keys that a strict peer relayed to this KM. */
export class StrictReceivedKeys {
  readonly book: BundleInventory;
  readonly #context: Context;
  readonly #peer: KmId;
  #fetchApps: ReadonlySet<AppId>;
  /** IDs that were accepted: of keys here, of those fetched since, of those being stored. */
  readonly #names = new Map<string, Claim | "gone" | "arriving">();
  /** Fetched whole: their IDs are not accepted again. The oldest first. */
  readonly #gone = new Set<Bundle>();
  readonly #serialQueue = new SerialQueue();

  constructor(context: Context, peer: KmId, fetchApps: readonly AppId[]) {
    this.#context = context;
    this.#peer = peer;
    this.#fetchApps = new Set(fetchApps);
    this.book = new BundleInventory(context, {
      peer,
      role: "destination",
      write: (bundle, change) => void change.put(TABLE.whole, bundle.id, rowOf(bundle, peer, "held")),
      forget: (...over) => this.#forget(...over),
    });
  }

  /** These applications may fetch from now on. */
  allow(fetchApps: readonly AppId[]): void {
    this.#fetchApps = new Set(fetchApps);
  }

  restore(id: string, row: UnprotectedRow): void {
    const bundle = new Bundle(id, row);
    if (row.state === "gone") this.#remember(bundle);
    else this.#enter(bundle);
  }

  #enter(bundle: Bundle): void {
    this.book.add(bundle);
    for (const [index, { id }] of bundle.keys.entries()) this.#names.set(id, { bundle, index });
  }

  #remember(bundle: Bundle): void {
    this.#gone.add(bundle);
    for (const { id } of bundle.keys) this.#names.set(id, "gone");
  }

  /** The IDs of what was fetched whole stay, as many as keys may be held, so that nothing is accepted twice. */
  #forget(bundle: Bundle, change: Change): void {
    this.#remember(bundle);
    change.put(TABLE.whole, bundle.id, rowOf(bundle, this.#peer, "gone"));
    let remembered = [...this.#gone].reduce((sum, { keys }) => sum + keys.length, 0);
    for (const oldest of this.#gone) {
      if (remembered <= this.#context.policy.maxHeld) return;
      remembered -= oldest.keys.length;
      this.#unlearn(oldest, change);
    }
  }

  #unlearn(bundle: Bundle, change: Change): void {
    this.#gone.delete(bundle);
    for (const { id } of bundle.keys) this.#names.delete(id);
    change.remove(TABLE.whole, bundle.id);
  }

  /** Ends what is too old, and forgets its names. `oldestBorn` without the time switched off. */
  expire(oldestBorn: number): void {
    this.book.end(
      [...this.book.bundles].filter(({ bornAt }) => bornAt <= oldestBorn),
      "expired",
    );
    const old = [...this.#gone].filter(({ bornAt }) => bornAt <= oldestBorn);
    if (old.length === 0) return;
    const change = this.#context.vault.change();
    for (const bundle of old) this.#unlearn(bundle, change);
    change.commit().catch((err: unknown) => {
      this.#context.log.warn({ peer: this.#peer, err }, "names of old keys are still on the disk");
    });
  }

  /** Durable when it resolves. @throws Fault */
  async take(arrival: UnprotectedArrival): Promise<void> {
    this.#check(arrival);
    const ids = arrival.keys.map(({ keyId }) => keyId);
    for (const id of ids) this.#names.set(id, "arriving");
    try {
      await this.#serialQueue.run(() => this.#store(arrival.keys));
      this.#context.meter.add("kma_keys_held", { peer: this.#peer }, ids.length);
    } finally {
      for (const id of ids) if (this.#names.get(id) === "arriving") this.#names.delete(id);
    }
  }

  #check({ source, destination, transit, keys }: UnprotectedArrival): void {
    const route = [source, ...transit, destination];
    if (destination !== this.#context.self || route.at(-2) !== this.#peer || new Set(route).size < route.length) {
      throw new Fault("NOT_ON_ROUTE");
    }
    if (this.#fetchApps.size === 0) {
      throw new Fault("PROTECTION_REFUSED", { text: "no application here may fetch keys of this peer (fetch_apps)" });
    }
    if (keys.some(({ keyId }) => !KEY_ID.test(keyId))) {
      throw new Fault("MALFORMED_REQUEST", { text: 'key_ID must be printable ASCII without " and \\' });
    }
    if (keys.some(({ letters }) => mostBytes(letters) > MAX_KEY_BYTES + 2)) {
      throw new Fault("KEY_SIZE_INVALID", { text: `a key shall have at most ${MAX_KEY_BYTES} bytes` });
    }
    if (keys.some(({ keyId }) => this.#names.has(keyId))) {
      throw new Fault("SERIAL_SEEN", { text: "a key of that ID was accepted before" });
    }
    const arriving = [...this.#names.values()].filter((what) => what === "arriving").length;
    if (this.book.occupied + arriving + keys.length > this.#context.policy.maxHeld) throw new Fault("STORE_FULL");
  }

  /** All keys of a message become durable together or not at all. */
  async #store(keys: readonly Arrived[]): Promise<void> {
    const { vault, random, ages } = this.#context;
    const change = vault.change();
    const bundles: Bundle[] = [];
    for (const group of grouped(keys)) {
      const id = random.hex(16);
      const block = unprotectedBlock("held", id);
      const { sealed, lengths } = await vault.sealLetters(
        block,
        group.map(({ letters }) => letters),
      );
      const entries = group.map(({ keyId }, index) => ({ id: keyId, length: lengths[index] ?? 0 }));
      const row = { block, bornAt: ages.nowOn(), keys: keysText(entries), taken: new Uint8Array(entries.length) };
      const bundle = new Bundle(id, row);
      bundles.push(bundle);
      change.keep(sealed);
    }
    for (const bundle of bundles) this.book.write(bundle, change);
    await change.commit().catch((thrown: unknown) => {
      this.#undo(bundles);
      throw thrown;
    });
    for (const bundle of bundles) {
      const { block, keys: entered } = bundle;
      this.#context.audit.note("whole_keys_held", { peer: this.#peer, block }, { count: entered.length });
      this.#enter(bundle);
    }
  }

  /** A commit that was rejected may have happened, but the peer is told that it did not. */
  #undo(bundles: readonly Bundle[]): void {
    const change = this.#context.vault.change();
    for (const { id, block } of bundles) change.remove(TABLE.whole, id).destroy(block);
    change.commit().catch((err: unknown) => {
      this.#context.log.warn({ peer: this.#peer, err }, "whole keys that were refused may be on the disk");
    });
  }

  /** Whether the peer has relayed a key with this ID. */
  knows(keyId: string): boolean {
    return (this.#names.get(keyId) ?? this.#inOtherCase(keyId)) !== undefined;
  }

  /** @returns gives the request up */
  request(request: FetchRequest, answer: Answer): () => void {
    const { app, door, keyIds } = request;
    return fetchClaims(this.#context, request, answer, () => {
      const claims = this.#select(app, keyIds);
      const who = { door, app, peer: this.#peer };
      const note = (): void => noteClaims(this.#context, "whole_keys_fetched", who, claims);
      return { book: this.book, claims, note };
    });
  }

  /** The checks of key-protocol 3, in its order. @throws Fault KEY_NOT_FOUND, NOT_AUTHORIZED, TOO_MANY_KEYS */
  #select(app: AppId, keyIds: readonly string[]): readonly Claim[] {
    const claims = keyIds.map((id) => {
      const named = this.#names.get(id) ?? this.#inOtherCase(id);
      if (typeof named !== "object" || !this.book.has(named.bundle)) throw new Fault("KEY_NOT_FOUND");
      return named;
    });
    if (!this.#fetchApps.has(app)) throw new Fault("NOT_AUTHORIZED");
    const isTwice = new Set(claims).size < claims.length;
    if (isTwice || claims.some(({ bundle, index }) => bundle.isTaken(index))) throw new Fault("KEY_NOT_FOUND");
    const surplus = keyIds.reduce((sum, { length }) => sum + length - ID_BYTES, 0);
    const lengths = claims.map(({ bundle, index }) => bundle.lengthOf(index));
    if (!fitAnswer(lengths, surplus)) throw new Fault("TOO_MANY_KEYS");
    if (new Set(claims.map(({ bundle }) => bundle)).size > MAX_PIECES) {
      throw new Fault("TOO_MANY_KEYS", {
        text: `the keys lie in more than ${MAX_PIECES} blocks; ask for them in parts`,
      });
    }
    return claims;
  }

  /** UUIDs are compared whatever their case; other names of a peer's keys as they are. */
  #inOtherCase(id: string) {
    return UUID.test(id) ? (this.#names.get(id.toLowerCase()) ?? this.#names.get(id.toUpperCase())) : undefined;
  }
}

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Bytes of a key, or a few more. */
const mostBytes = ({ length }: Uint8Array): number => Math.ceil(length / 4) * 3;

/** In their order, each group fit for one block. */
function grouped(keys: readonly Arrived[]): Arrived[][] {
  const groups: Arrived[][] = [];
  let open: Arrived[] = [];
  let free = 0;
  for (const key of keys) {
    const bytes = mostBytes(key.letters);
    if (bytes > free) {
      open = [];
      groups.push(open);
      free = BUNDLE_BYTES;
    }
    open.push(key);
    free -= bytes;
  }
  return groups;
}
