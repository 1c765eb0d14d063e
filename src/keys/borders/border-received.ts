// Keys that came over a border: durable under their foreign IDs before they are answered, fetched once, or voided.
//
//             ┌──fetch──> supplied
//   new ──> held ──void──> voided <──void── (unknown: a tombstone, so that a transfer that comes late revives nothing)
//             └──too old─> ended

import { Fault, malformed } from "../../core/fault.ts";
import type { AppId, KmId } from "../../core/ids.ts";
import type { Change } from "../../vault/vault.ts";
import type { Context } from "../common/context.ts";
import { MAX_KEY_BYTES } from "../common/key-id.ts";
import { type BorderRow, borderBlock, TABLE } from "../common/rows.ts";
import { fitAnswer } from "../common/sizes.ts";
import type { BorderAck, BorderArrival, BorderOutcome, BorderPath, BorderVoid } from "../ports/borders.ts";
import { Bundle, keysText } from "../strict/strict-bundle.ts";
import type { Claim } from "../strict/strict-grant.ts";
import { BundleInventory } from "../strict/strict-inventory.ts";
import { BUNDLE_BYTES } from "../strict/strict-received-keys.ts";
import { MAX_PIECES } from "../supply/source-key.ts";
import { acksOf } from "./border-acks.ts";
import { borderRow, nameOf } from "./border-rows.ts";
import { checkValues, type Repeated } from "./border-values.ts";
import type { Scratch } from "./departures/departure-intent.ts";
import { VoidedIds } from "./voided-ids.ts";

/** Writes what is owed for the outcomes into the change that makes them durable. */
export type Owing = (acks: readonly BorderAck[], change: Change) => void;

const isSame = (one: BorderPath, other: BorderPath): boolean =>
  one.initiator === other.initiator && one.target === other.target;

type Arrived = BorderArrival["keys"][number];
type State = "new" | "held" | "supplied" | "ended" | "voided" | "elsewhere";

/** What the other end is told of a key that comes, or comes again. */
const ARRIVED: Readonly<Record<Exclude<State, "new" | "elsewhere">, BorderOutcome>> = {
  held: "relayed",
  supplied: "relayed",
  ended: "failed",
  voided: "failed",
};

/** And of one that is to be voided. */
const VOIDED: Readonly<Record<State, BorderOutcome>> = {
  new: "key not present",
  held: "voided",
  supplied: "failed to void",
  ended: "voided",
  voided: "voided",
  elsewhere: "key not present",
};

/** Keys that came in over a border, under their foreign IDs, until their applications have fetched them. */
export class BorderReceivedKeys {
  readonly book: BundleInventory;
  readonly #context: Context;
  readonly #border: KmId;
  readonly #scratch: Scratch;
  readonly #names = new Map<string, Claim>();
  readonly #paths = new WeakMap<Bundle, BorderPath>();
  readonly #voided: VoidedIds;
  /** Over, the oldest first: their IDs are not accepted again. */
  readonly #gone = new Set<Bundle>();

  constructor(context: Context, border: KmId, scratch: Scratch) {
    this.#context = context;
    this.#border = border;
    this.#scratch = scratch;
    this.#voided = new VoidedIds(context, border);
    this.book = new BundleInventory(context, {
      ...{ peer: border, role: "destination" },
      write: (bundle, change) => void change.put(TABLE.border, bundle.id, this.#rowOf(bundle, "held")),
      forget: (bundle, change) => this.#forget(bundle, change),
    });
  }

  restore(id: string, row: BorderRow): void {
    const { kind, initiator, target, state } = row;
    if (kind === "void") {
      this.#voided.restore(row);
      return;
    }
    const bundle = new Bundle(id, { ...row, block: borderBlock("in", id) });
    this.#paths.set(bundle, { initiator, target });
    if (state === "gone") this.#gone.add(bundle);
    else this.book.add(bundle);
    this.#learn(bundle);
  }

  #learn(bundle: Bundle): void {
    for (const [index, { id }] of bundle.keys.entries()) this.#names.set(nameOf(id), { bundle, index });
  }

  #rowOf(bundle: Bundle, state: "held" | "gone"): BorderRow {
    const block = state === "held" ? bundle.block : "";
    const { bornAt, keys, taken } = bundle.written;
    return borderRow("in", this.#pathOf(bundle), { border: this.#border, bornAt, keys, taken, state, block });
  }

  #pathOf(bundle: Bundle): BorderPath {
    const path = this.#paths.get(bundle);
    if (path === undefined) throw new Error(`${bundle.id} has no path`);
    return path;
  }

  /** The IDs of bundles that are over stay, as many as keys may be held. */
  #forget(bundle: Bundle, change: Change): void {
    this.#gone.add(bundle);
    change.put(TABLE.border, bundle.id, this.#rowOf(bundle, "gone"));
    let remembered = this.#gone.values().reduce((sum, { keys }) => sum + keys.length, 0);
    for (const oldest of this.#gone) {
      if (remembered <= this.#context.policy.maxHeld) return;
      remembered -= oldest.keys.length;
      this.#unlearn(oldest, change);
    }
  }

  #unlearn(bundle: Bundle, change: Change): void {
    this.#gone.delete(bundle);
    for (const { id } of bundle.keys) this.#names.delete(nameOf(id));
    change.remove(TABLE.border, bundle.id);
  }

  #stateOf(keyId: string, { initiator, target }: BorderPath): State {
    const claim = this.#names.get(nameOf(keyId));
    const voided = this.#voided.pathOf(keyId);
    const path = voided ?? (claim && this.#pathOf(claim.bundle));
    if (path === undefined) return "new";
    if (!isSame(path, { initiator, target })) return "elsewhere";
    if (claim === undefined || voided !== undefined) return "voided";
    if (claim.bundle.isTaken(claim.index)) return "supplied";
    return this.book.has(claim.bundle) ? "held" : "ended";
  }

  /**
   * Makes new keys durable, with what is owed for all of them. One at a time.
   * @throws Fault MALFORMED_REQUEST, KEY_SIZE_INVALID, KEY_ID_TAKEN, STORE_FULL, HSM_UNAVAILABLE, STORE_UNAVAILABLE:
   * nothing was kept
   */
  async take(arrival: BorderArrival, owe: Owing): Promise<readonly BorderAck[]> {
    const states = arrival.keys.map((key) => ({ key, state: this.#stateOf(key.keyId, arrival) }));
    const fresh = states.filter(({ state }) => state === "new").map(({ key }) => key);
    this.#check(arrival.keys, fresh);
    await this.#checkRepeated(arrival, states);
    const outcomes = states.map(({ key: { keyId }, state }): readonly [string, BorderOutcome] => [
      keyId,
      state === "new" || state === "elsewhere" ? "relayed" : ARRIVED[state],
    ]);
    const acks = acksOf(arrival, outcomes);
    await this.#store(arrival, fresh, (change) => owe(acks, change));
    return acks;
  }

  /**
   * An ID stands for one key, between two applications: the first. Of a key that was fetched nothing is left to compare.
   * @throws Fault KEY_ID_TAKEN, with an alarm: whoever sends it may give one ID to two keys
   */
  async #checkRepeated(
    path: BorderPath,
    states: readonly { readonly key: Arrived; readonly state: State }[],
  ): Promise<void> {
    const repeated = states.flatMap(({ key: { keyId, letters }, state }): Repeated[] => {
      const claim = state === "held" ? this.#names.get(nameOf(keyId)) : undefined;
      return claim === undefined ? [] : [{ claim, letters }];
    });
    try {
      if (states.some(({ state }) => state === "elsewhere")) {
        throw new Fault("KEY_ID_TAKEN", { text: "a key_id belongs to other applications already" });
      }
      await checkValues(this.#context, this.#scratch, repeated, (bundle) => this.book.has(bundle));
    } catch (thrown) {
      if (thrown instanceof Fault && thrown.code === "KEY_ID_TAKEN") this.#alarm(path, thrown);
      throw thrown;
    }
  }

  #alarm({ initiator, target }: BorderPath, { message: why }: Fault): void {
    const alarm = "border_key_differs";
    this.#context.meter.add("alarms", { alarm });
    this.#context.log.error({ alarm, border: this.#border, initiator, target, why }, "keys at a border are refused");
  }

  #check(keys: readonly Arrived[], fresh: readonly Arrived[]): void {
    if (new Set(keys.map(({ keyId }) => nameOf(keyId))).size < keys.length) throw malformed("a key_id is there twice");
    if (keys.some(({ letters }) => letters.length === 0 || mostBytes(letters) > MAX_KEY_BYTES + 2)) {
      throw new Fault("KEY_SIZE_INVALID", { text: `a key shall have 1 to ${MAX_KEY_BYTES} bytes` });
    }
    if (this.book.occupied + fresh.length > this.#context.policy.maxHeld) throw new Fault("STORE_FULL");
  }

  async #store(path: BorderPath, fresh: readonly Arrived[], also: (change: Change) => void): Promise<void> {
    const { vault, random, ages, meter, audit } = this.#context;
    const { initiator, target } = path;
    const change = vault.change();
    const bundles: Bundle[] = [];
    for (const group of grouped(fresh)) {
      const id = `${this.#border}/in/${random.hex(16)}`;
      const block = borderBlock("in", id);
      const letters = group.map((key) => key.letters);
      const { sealed, lengths } = await vault.sealLetters(block, letters);
      const keys = keysText(group.map(({ keyId }, index) => ({ id: keyId, length: lengths[index] ?? 0 })));
      const bundle = new Bundle(id, { block, bornAt: ages.nowOn(), keys, taken: new Uint8Array(group.length) });
      this.#paths.set(bundle, { initiator, target });
      bundles.push(bundle);
      change.keep(sealed);
    }
    for (const bundle of bundles) this.book.write(bundle, change);
    also(change);
    await change.commit().catch((thrown: unknown) => {
      this.#undo(bundles);
      throw thrown;
    });
    for (const bundle of bundles) {
      const { block, keys } = bundle;
      audit.note("border_keys_held", { peer: this.#border, initiator, target, block }, { count: keys.length });
      this.book.add(bundle);
      this.#learn(bundle);
    }
    meter.add("border_keys", { border: this.#border, direction: "in", outcome: "held" }, fresh.length);
  }

  /** A commit that was rejected may have happened; the other end is told that it is to send again. */
  #undo(bundles: readonly Bundle[]): void {
    const change = this.#context.vault.change();
    for (const { id, block } of bundles) change.remove(TABLE.border, id).destroy(block);
    change.commit().catch((err: unknown) => {
      this.#context.log.warn({ border: this.#border, err }, "keys that were refused may be on the disk");
    });
  }

  /** Durable when it resolves. One at a time. @throws Fault STORE_UNAVAILABLE */
  async void(request: BorderVoid, owe: Owing): Promise<readonly BorderAck[]> {
    const { vault, audit } = this.#context;
    const keyIds = request.keyIds.length > 0 ? request.keyIds : this.#heldOf(request);
    const found = keyIds.map((keyId) => ({ keyId, state: this.#stateOf(keyId, request) }));
    const outcomes = found.map(({ keyId, state }): readonly [string, BorderOutcome] => [keyId, VOIDED[state]]);
    const acks = acksOf(request, outcomes.length > 0 ? outcomes : [["", "voided"]]);
    const change = vault.change();
    const claims = found.flatMap(({ keyId, state }) => (state === "held" ? (this.#take(keyId) ?? []) : []));
    for (const { bundle } of claims) this.book.write(bundle, change);
    const buried = found.filter(({ state }) => state === "held" || state === "new").map(({ keyId }) => keyId);
    for (const keyId of buried) this.#voided.add(keyId, request, change);
    owe(acks, change);
    try {
      await change.commit();
    } catch (thrown) {
      for (const { bundle, index } of claims) bundle.putBack(index);
      for (const keyId of buried) this.#voided.drop(keyId);
      this.book.doubt(claims.map(({ bundle }) => bundle));
      throw thrown;
    }
    for (const { bundle, index } of claims) bundle.settle(index);
    this.book.retire(claims.map(({ bundle }) => bundle));
    const { initiator, target } = request;
    for (const { outcome, keyIds: ids } of acks) {
      const fields = { peer: this.#border, initiator, target, direction: "in", outcome };
      audit.note("border_keys_voided", fields, { count: ids.length });
    }
    return acks;
  }

  #heldOf({ initiator, target }: BorderPath): readonly string[] {
    return [...this.book.bundles].flatMap((bundle) => {
      if (!isSame(this.#pathOf(bundle), { initiator, target })) return [];
      return bundle.free(bundle.left).flatMap((index) => bundle.keys[index]?.id ?? []);
    });
  }

  #take(keyId: string): Claim | undefined {
    const claim = this.#names.get(nameOf(keyId));
    claim?.bundle.take(claim.index);
    return claim;
  }

  /** Whether a key of that ID came over this border, whatever became of it; `path`: for these applications. */
  knows(keyId: string, path?: BorderPath): boolean {
    const claim = this.#names.get(nameOf(keyId));
    return claim !== undefined && (path === undefined || isSame(path, this.#pathOf(claim.bundle)));
  }

  /** @throws Fault KEY_NOT_FOUND, NOT_AUTHORIZED, TOO_MANY_KEYS */
  select(path: BorderPath, keyIds: readonly string[]): readonly Claim[] {
    const claims = keyIds.map((id) => {
      const claim = this.#names.get(nameOf(id));
      if (claim === undefined || !this.book.has(claim.bundle)) throw new Fault("KEY_NOT_FOUND");
      return claim;
    });
    if (!claims.every(({ bundle }) => isSame(path, this.#pathOf(bundle)))) throw new Fault("NOT_AUTHORIZED");
    const isTwice = new Set(claims).size < claims.length;
    if (isTwice || claims.some(({ bundle, index }) => bundle.isTaken(index))) throw new Fault("KEY_NOT_FOUND");
    if (!fitAnswer(claims.map(({ bundle, index }) => bundle.lengthOf(index)))) throw new Fault("TOO_MANY_KEYS");
    if (new Set(claims.map(({ bundle }) => bundle)).size > MAX_PIECES) {
      throw new Fault("TOO_MANY_KEYS", {
        text: `the keys lie in more than ${MAX_PIECES} blocks; ask for them in parts`,
      });
    }
    return claims;
  }

  /** Ends what is too old, and forgets its names. `oldestBorn` without the time switched off. */
  expire(oldestBorn: number): void {
    const isOld = ({ bornAt }: { readonly bornAt: number }): boolean => bornAt <= oldestBorn;
    this.book.end([...this.book.bundles].filter(isOld), "expired");
    const gone = [...this.#gone].filter(isOld);
    if (gone.length === 0 && !this.#voided.has(isOld)) return;
    const change = this.#context.vault.change();
    for (const bundle of gone) this.#unlearn(bundle, change);
    this.#voided.expire(isOld, change);
    change.commit().catch((err: unknown) => {
      this.#context.log.warn({ border: this.#border, err }, "names of old keys are still on the disk");
    });
  }
}

/** Bytes of a key, or a few more. */
const mostBytes = ({ length }: Uint8Array): number => Math.ceil(length / 4) * 3;

/** In their order, each group fit for one block. */
export function grouped(keys: readonly Arrived[]): Arrived[][] {
  const groups: Arrived[][] = [];
  let free = 0;
  for (const key of keys) {
    const bytes = mostBytes(key.letters);
    if (bytes > free) {
      groups.push([]);
      free = BUNDLE_BYTES;
    }
    groups.at(-1)?.push(key);
    free -= bytes;
  }
  return groups;
}

/** The application of a path, as keys are asked for. */
export const pathFor = (app: AppId, initiator: AppId): BorderPath => ({ initiator, target: app });
