// Fetching by ID: every check before anything changes, the fetched range durable before the key leaves.
//
// Room `fetch`: keys by their IDs at the destination. `received-keys` holds the KMA-keys of other sources with a bitmap of
// what was fetched; `fetch` makes every check before anything changes; `fetch-commits` makes the fetched ranges durable, many
// requests in one transaction, before the first key leaves. It asks no other KM, and never gives a range out twice.

import { asFault, Fault } from "../../core/fault.ts";
import type { OpenBlock, Range } from "../../vault/vault.ts";
import type { Context } from "../common/context.ts";
import { type KeyIdParts, MAX_KEY_BYTES, parseKeyId } from "../common/key-id.ts";
import { fitAnswer, stepped } from "../common/sizes.ts";
import type { Answer, FetchRequest } from "../ports/keys.ts";
import { type GrantedKeys, type Grantor, KeyGrant } from "../supply/grants.ts";
import { KeyNamer, type NamedFor, type Parties } from "../supply/key-namer.ts";
import type { Purpose } from "../supply/purpose.ts";
import { MAX_PIECES } from "../supply/source-key.ts";
import { FetchCommits, type Fetching } from "./fetch-commits.ts";
import type { ReceivedKey } from "./received-key.ts";
import type { ReceivedKeys } from "./received-keys.ts";

interface QueuedRequest extends FetchRequest {
  /** For whom the keys are named, when it is not `initiator` for `app`: in a session. */
  readonly apps?: NamedFor;
}

/** Answers requests for keys by their IDs. */
export class KeyFetcher {
  readonly #context: Context;
  readonly #commits: FetchCommits;
  /** Fetches from one KMA-key each, whose block is being opened: once for all that come meanwhile. */
  readonly #opening = new Map<ReceivedKey, Fetch[]>();

  constructor(context: Context) {
    this.#context = context;
    this.#commits = new FetchCommits(context);
  }

  /** `held`: what the initiator's home KM is the source of. @returns gives the request up */
  request(request: QueuedRequest, held: ReceivedKeys, answer: Answer): () => void {
    const { app, door, initiator, apps } = request;
    const purpose = held.purposes.of(door, app, apps?.initiator ?? initiator, apps?.target ?? app);
    try {
      const wanted = select(request.keyIds, held, purpose.namer);
      const fetch = new Fetch(this.#context, { wanted, held, purpose, answer });
      this.#collect(fetch);
      return () => fetch.giveUp();
    } catch (thrown) {
      answer.refused(asFault(thrown));
      return () => {};
    }
  }

  /** Marks the ranges in memory at once; opens the blocks; makes the marks durable. */
  #collect(fetch: Fetch): void {
    for (const { key, range } of fetch.wanted) key.mark(range);
    if (this.#openCached(fetch)) {
      this.#commit(fetch);
      return;
    }
    const [key, ...others] = keysOf(fetch.wanted);
    if (key !== undefined && others.length === 0) this.#openOnce(key, fetch);
    else this.#openAlone(fetch);
  }

  #openAlone(fetch: Fetch): void {
    this.#open(fetch.wanted).then(
      () => this.#commit(fetch),
      (thrown: unknown) => fetch.failed(thrown),
    );
  }

  #openOnce(key: ReceivedKey, fetch: Fetch): void {
    const waiting = this.#opening.get(key);
    if (waiting !== undefined) {
      waiting.push(fetch);
      return;
    }
    const all = [fetch];
    this.#opening.set(key, all);
    this.#context.vault
      .open(key.block, () => key.used())
      .then(
        (open) => {
          using _open = open;
          this.#opening.delete(key);
          for (const each of all) {
            if (this.#openCached(each)) this.#commit(each);
            else this.#openAlone(each);
          }
        },
        (thrown: unknown) => {
          this.#opening.delete(key);
          for (const each of all) this.#fail(each, thrown);
        },
      );
  }

  /** What the answer throws concerns no other fetch. */
  #fail(fetch: Fetch, why: unknown): void {
    try {
      fetch.failed(why);
    } catch (err) {
      this.#context.log.error({ err }, "a fetch broke off when it was refused");
    }
  }

  #commit(fetch: Fetch): void {
    // rule: fetch-when-durable
    this.#commits.add(fetch.wanted, fetch.held, fetch);
  }

  /** Opens blocks that are in memory, if all of them are. */
  #openCached(fetch: Fetch): boolean {
    let before: WantedKey | undefined;
    for (const wanted of fetch.wanted) {
      const { key } = wanted;
      wanted.opened = before?.key === key ? before.opened : this.#context.vault.cached(key.block);
      if (wanted.opened === undefined) {
        fetch.close();
        return false;
      }
      before = wanted;
    }
    return true;
  }

  /** All at once, so that nothing is held while memory is waited for. */
  async #open(wanted: readonly WantedKey[]): Promise<void> {
    const keys = keysOf(wanted);
    const blocks = keys.map((key) => ({ block: key.block, used: () => key.used() }));
    const opened = await this.#context.vault.openJob({ blocks, emptySlots: 0 });
    for (const each of wanted) each.opened = opened.blocks[keys.indexOf(each.key)];
  }
}

interface FetchParts {
  readonly wanted: readonly WantedKey[];
  readonly held: ReceivedKeys;
  readonly purpose: Purpose;
  readonly answer: Answer;
}

/** One request whose checks have been passed, until its keys are written. */
class Fetch implements Fetching, Grantor<WantedKey> {
  readonly wanted: readonly WantedKey[];
  readonly held: ReceivedKeys;
  readonly #context: Context;
  readonly #purpose: Purpose;
  /** Undefined when the request was given up. */
  #answer: Answer | undefined;

  constructor(context: Context, { wanted, held, purpose, answer }: FetchParts) {
    this.wanted = wanted;
    this.held = held;
    this.#context = context;
    this.#purpose = purpose;
    this.#answer = answer;
  }

  giveUp(): void {
    this.#answer = undefined;
  }

  close(): void {
    for (const { opened } of this.wanted) opened?.[Symbol.dispose]();
  }

  /** Who breaks off while taking keys has none of the rest, and leaves nothing pinned. */
  durable(): void {
    const grant = new KeyGrant(this.wanted, this.#purpose, this);
    try {
      this.#note();
      if (this.#answer === undefined) grant[Symbol.dispose]();
      else this.#answer.granted(grant);
    } catch (thrown) {
      grant[Symbol.dispose]();
      throw thrown;
    }
  }

  #note(): void {
    for (const { key, length, range } of this.wanted) {
      const extent = { first: range.offset, end: range.offset + range.length };
      this.#context.audit.note("keys_fetched", this.#purpose.note(key.serial, length * 8), extent);
    }
  }

  /**
   * Nothing has left: the ranges are free again, and whoever is told to try again can. A commit that was rejected may still
   * have happened; then a restart before the next commit of the key takes them for fetched.
   */
  failed(thrown: unknown): void {
    this.close();
    // rule: free-after-rejection
    for (const { key, range } of this.wanted) key.unmark(range);
    this.held.retire(this.wanted);
    this.#answer?.refused(asFault(thrown));
  }

  /** The ranges stay marked, whether or not they have left. */
  ended({ count }: KeyGrant<WantedKey>, unwritten: number): void {
    this.close();
    for (const { key, range } of this.wanted) key.settle(range);
    this.held.retire(this.wanted);
    const { audit, meter } = this.#context;
    const { app, door, labels } = this.#purpose;
    meter.add("keys_fetched", labels, count - unwritten);
    if (unwritten === 0) return;
    meter.add("keys_undelivered", { app }, unwritten);
    audit.note("keys_undelivered", { door, app, peer: this.held.peer }, { count: unwritten });
  }
}

/** A key that is asked for by its ID, until it is written: one object each, for hundreds wait for each commit. */
class WantedKey implements GrantedKeys {
  readonly key: ReceivedKey;
  readonly offset: number;
  readonly length: number;
  readonly id: string;
  /** What it takes of the KMA-key. */
  readonly range: Range;
  /** The KMA-key's block; keys of one request that lie in one KMA-key may share it. */
  opened: OpenBlock | undefined = undefined;
  readonly count = 1;

  constructor(id: string, { offset, length }: KeyIdParts, key: ReceivedKey) {
    this.id = id;
    this.key = key;
    this.offset = offset;
    this.length = length;
    this.range = { offset, length: stepped(length) };
  }

  get open(): OpenBlock {
    if (this.opened === undefined) throw new Error("a key is taken from a block that is not open");
    return this.opened;
  }
}

/** Each once. */
function keysOf(wanted: readonly WantedKey[]): readonly ReceivedKey[] {
  const keys: ReceivedKey[] = [];
  for (const { key } of wanted) if (!keys.includes(key)) keys.push(key);
  return keys;
}

/** The checks of key-protocol 3, each for all IDs before the next. @throws Fault KEY_NOT_FOUND, NOT_AUTHORIZED */
function select(keyIds: readonly string[], held: ReceivedKeys, namer: KeyNamer): WantedKey[] {
  const found = keyIds.map((id) => find(id, held));
  for (const { key, parts } of found) {
    // rule: check-id-tag
    if (!namer.fits(parts.tag, { ...parts, idKey: key.idKey })) throw new Fault("NOT_AUTHORIZED");
  }
  const wanted = found.map(({ key, parts }, index) => new WantedKey(keyIds[index] ?? "", parts, key));
  // rule: fetch-once
  if (wanted.some(({ key, range }) => key.isTaken(range)) || (wanted.length > 1 && overlap(wanted)))
    throw new Fault("KEY_NOT_FOUND");
  if (!fitAnswer(wanted.map(({ length }) => length))) throw new Fault("TOO_MANY_KEYS");
  if (wanted.length > MAX_PIECES && keysOf(wanted).length > MAX_PIECES) {
    throw new Fault("TOO_MANY_KEYS", {
      text: `the keys lie in more than ${MAX_PIECES} KMA-keys; ask for them in parts`,
    });
  }
  return wanted;
}

/** Whether an ID names a key of `length` bytes for these parties, of which nothing was fetched. */
export function isFetchable(id: string, length: number, held: ReceivedKeys, parties: Parties): boolean {
  try {
    return select([id], held, new KeyNamer(parties)).every((wanted) => wanted.length === length);
  } catch (thrown) {
    if (thrown instanceof Fault) return false;
    throw thrown;
  }
}

/** Whether an ID names a key of that source for these parties, fetched or not. */
export function isNamed(id: string, held: ReceivedKeys, parties: Omit<Parties, "source">): boolean {
  const parts = parseKeyId(id);
  const key = parts && held.get(parts.serial);
  if (parts === undefined || key === undefined) return false;
  return new KeyNamer({ ...parties, source: held.peer }).fits(parts.tag, { ...parts, idKey: key.idKey });
}

function find(id: string, held: ReceivedKeys): { readonly key: ReceivedKey; readonly parts: KeyIdParts } {
  const parts = parseKeyId(id);
  const key = parts && held.get(parts.serial);
  if (parts === undefined || key === undefined || parts.length > MAX_KEY_BYTES) throw new Fault("KEY_NOT_FOUND");
  return { key, parts };
}

function overlap(wanted: readonly WantedKey[]): boolean {
  const sorted = wanted
    .map(({ key, range }) => ({ serial: key.serial, first: range.offset, end: range.offset + range.length }))
    .sort((a, b) => a.serial - b.serial || a.first - b.first);
  return sorted.some((item, index) => {
    const before = sorted[index - 1];
    return before !== undefined && before.serial === item.serial && before.end > item.first;
  });
}
