// Whole keys on their way to an application: taken, their blocks open, the mark durable, granted.

import { asFault } from "../../core/fault.ts";
import type { AppId, KmId } from "../../core/ids.ts";
import type { OpenBlock, OpenJob } from "../../vault/vault.ts";
import type { Context } from "../common/context.ts";
import type { Answer, Door, FetchRequest, Grant } from "../ports/keys.ts";
import type { Bundle } from "./strict-bundle.ts";
import type { BundleInventory } from "./strict-inventory.ts";

/** One key of a bundle. */
export interface Claim {
  readonly bundle: Bundle;
  readonly index: number;
}

/**
 * Takes keys in memory at once, opens their blocks, makes the marks durable.
 * @param end called with the number of keys that did not reach their application
 * @throws Fault HSM_UNAVAILABLE, STORE_UNAVAILABLE: nothing has left, and all are free again
 */
export async function grantClaims(
  context: Context,
  book: BundleInventory,
  claims: readonly Claim[],
  end: (unwritten: number) => void,
): Promise<Grant> {
  for (const { bundle, index } of claims) bundle.take(index);
  const bundles = [...new Set(claims.map(({ bundle }) => bundle))];
  let job: OpenJob | undefined;
  try {
    const blocks = bundles.map((bundle) => ({ block: bundle.block, used: () => bundle.used() }));
    job = await context.vault.openJob({ blocks, emptySlots: 0 });
    const change = context.vault.change();
    for (const bundle of bundles) book.write(bundle, change);
    await change.commit();
    for (const { bundle, index } of claims) bundle.mark(index);
  } catch (thrown) {
    job?.[Symbol.dispose]();
    for (const { bundle, index } of claims) bundle.putBack(index);
    book.doubt(bundles);
    book.retire(bundles);
    throw thrown;
  }
  const { blocks: open } = job;
  const settle = (): void => {
    job[Symbol.dispose]();
    for (const { bundle, index } of claims) bundle.settle(index);
    book.retire(bundles);
  };
  const opened = new Map(bundles.flatMap((bundle, index) => openOf(bundle, open[index])));
  return new UnprotectedGrant(claims, opened, (unwritten) => {
    settle();
    end(unwritten);
  });
}

/**
 * Gives what was granted to whoever asked, unless the request was given up. What `granted` throws concerns nobody else:
 * nothing stays pinned, and the process goes on.
 */
export function deliver(log: Context["log"], grant: Grant, answer: Answer | undefined): void {
  if (answer === undefined) {
    grant[Symbol.dispose]();
    return;
  }
  try {
    answer.granted(grant);
  } catch (err) {
    grant[Symbol.dispose]();
    log.error({ err }, "a request broke off when it was answered");
  }
}

/** The keys that a fetch by ID names. */
interface Fetched {
  readonly book: BundleInventory;
  readonly claims: readonly Claim[];
  /** Notes them in the audit log, when they are about to leave. */
  readonly note: () => void;
}

/** Answers a fetch by ID with the keys that `select` finds, or with what it throws. @returns gives the request up */
export function fetchClaims(
  context: Context,
  { app, door }: FetchRequest,
  answer: Answer,
  select: () => Fetched,
): () => void {
  let isGivenUp = false;
  try {
    const { book, claims, note } = select();
    const who = { door, app, peer: book.peer };
    const end = (unwritten: number): void => countGranted(context, "keys_fetched", who, [claims.length, unwritten]);
    grantClaims(context, book, claims, end).then(
      (grant) => {
        note();
        deliver(context.log, grant, isGivenUp ? undefined : answer);
      },
      (thrown: unknown) => {
        if (!isGivenUp) answer.refused(asFault(thrown));
      },
    );
  } catch (thrown) {
    answer.refused(asFault(thrown));
  }
  return () => {
    isGivenUp = true;
  };
}

/** Whose keys they are, and how they leave. */
interface Recipient {
  readonly door: Door;
  readonly app: AppId;
  readonly peer: KmId;
}

/** Counts the keys of a grant that has ended: those that left, and those that did not reach their application. */
export function countGranted(
  { meter, audit }: Pick<Context, "meter" | "audit">,
  counter: "keys_supplied" | "keys_fetched",
  { door, app, peer }: Recipient,
  [count, unwritten]: readonly [count: number, unwritten: number],
): void {
  meter.add(counter, { app, door }, count - unwritten);
  if (unwritten === 0) return;
  meter.add("keys_undelivered", { app }, unwritten);
  audit.note("keys_undelivered", { door, app, peer }, { count: unwritten });
}

/** Notes which keys somebody asked for and is given, or was. */
export function noteClaims(
  { audit }: Context,
  kind: "whole_keys_supplied" | "whole_keys_fetched" | "border_keys_fetched",
  { door, app, peer }: Recipient,
  claims: readonly Claim[],
): void {
  for (const { bundle, index } of claims) {
    audit.note(kind, { door, app, peer, block: bundle.block }, { first: index, end: index + 1 });
  }
}

const openOf = (bundle: Bundle, open: OpenBlock | undefined): [Bundle, OpenBlock][] =>
  open === undefined ? [] : [[bundle, open]];

class UnprotectedGrant implements Grant {
  readonly #claims: readonly Claim[];
  readonly #opened: ReadonlyMap<Bundle, OpenBlock>;
  readonly #end: (unwritten: number) => void;
  #written = 0;
  #isOpen = true;

  constructor(claims: readonly Claim[], opened: ReadonlyMap<Bundle, OpenBlock>, end: (unwritten: number) => void) {
    this.#claims = claims;
    this.#opened = opened;
    this.#end = end;
  }

  get count(): number {
    return this.#claims.length;
  }

  size(index: number): number {
    const { bundle, index: at } = this.#claim(index);
    return bundle.lengthOf(at);
  }

  idBytes(index: number): number {
    return this.#idOf(index).length;
  }

  writeId(index: number, target: Uint8Array, at: number): number {
    const id = this.#idOf(index);
    for (let letter = 0; letter < id.length; letter++) target[at + letter] = id.charCodeAt(letter);
    return at + id.length;
  }

  writeKey(index: number, target: Uint8Array, at: number): number {
    const { bundle, index: within } = this.#claim(index);
    this.#written++;
    return this.#open(bundle).emit(bundle.rangeOf(within), target, at);
  }

  [Symbol.dispose](): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    for (const { bundle, index } of this.#claims.slice(this.#written)) {
      this.#open(bundle).wipe(bundle.rangeOf(index));
    }
    this.#end(Math.max(0, this.count - this.#written));
  }

  #open(bundle: Bundle): OpenBlock {
    const open = this.#opened.get(bundle);
    if (open === undefined) throw new Error(`${bundle.block} is not open`);
    return open;
  }

  #idOf(index: number): string {
    const { bundle, index: at } = this.#claim(index);
    return bundle.keys[at]?.id ?? "";
  }

  #claim(index: number): Claim {
    const claim = this.#claims[index];
    if (claim === undefined) throw new RangeError(`a grant of ${this.count} keys has no key ${index}`);
    return claim;
  }
}
