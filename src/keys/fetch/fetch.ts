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

interface Wanted {
  readonly key: ReceivedKey;
  readonly parts: KeyIdParts;
  /** What it takes of the KMA-key. */
  readonly range: Range;
}

/** Answers requests for keys by their IDs. */
export class KeyFetcher {
  readonly #context: Context;
  readonly #commits: FetchCommits;

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
    this.#open(fetch).then(
      () => this.#commit(fetch),
      (thrown: unknown) => fetch.failed(thrown),
    );
  }

  #commit(fetch: Fetch): void {
    // rule: fetch-when-durable
    this.#commits.add(fetch.keys, fetch.held, fetch);
  }

  /** Opens blocks that are in memory, if all of them are. */
  #openCached(fetch: Fetch): boolean {
    for (const key of fetch.keys) {
      const open = this.#context.vault.cached(key.block);
      if (open === undefined) {
        fetch.close();
        return false;
      }
      fetch.blocks.push(open);
    }
    return true;
  }

  /** All at once, so that nothing is held while memory is waited for. */
  async #open({ keys, blocks }: Fetch): Promise<void> {
    const wanted = keys.map((key) => ({ block: key.block, used: () => key.used() }));
    blocks.push(...(await this.#context.vault.openJob({ blocks: wanted, emptySlots: 0 })).blocks);
  }
}

interface FetchParts {
  readonly wanted: readonly Wanted[];
  readonly held: ReceivedKeys;
  readonly purpose: Purpose;
  readonly answer: Answer;
}

/** One request whose checks have been passed, until its keys are written. */
class Fetch implements Fetching, Grantor<GrantedKeys> {
  readonly wanted: readonly Wanted[];
  readonly held: ReceivedKeys;
  /** The KMA-keys in which its keys lie, each once, and their blocks while they are open. */
  readonly keys: readonly ReceivedKey[];
  readonly blocks: OpenBlock[] = [];
  readonly #context: Context;
  readonly #purpose: Purpose;
  /** Undefined when the request was given up. */
  #answer: Answer | undefined;

  constructor(context: Context, { wanted, held, purpose, answer }: FetchParts) {
    this.wanted = wanted;
    this.held = held;
    this.keys = keysOf(wanted);
    this.#context = context;
    this.#purpose = purpose;
    this.#answer = answer;
  }

  giveUp(): void {
    this.#answer = undefined;
  }

  close(): void {
    for (const open of this.blocks.splice(0)) open[Symbol.dispose]();
  }

  /** Who breaks off while taking keys has none of the rest, and leaves nothing pinned. */
  durable(): void {
    const grant = new KeyGrant(this.#granted(), this.#purpose, this);
    try {
      if (this.#answer === undefined) grant[Symbol.dispose]();
      else this.#answer.granted(grant);
    } catch (thrown) {
      grant[Symbol.dispose]();
      throw thrown;
    }
  }

  #granted(): readonly GrantedKeys[] {
    const { audit } = this.#context;
    const granted: GrantedKeys[] = [];
    for (const { key, parts, range } of this.wanted) {
      const extent = { first: range.offset, end: range.offset + range.length };
      audit.note("keys_fetched", this.#purpose.note(key.serial, parts.length * 8), extent);
      const open = this.blocks[this.keys.indexOf(key)];
      if (open !== undefined) granted.push(new FetchedKey(key, parts, open));
    }
    return granted;
  }

  /**
   * Nothing has left: the ranges are free again, and whoever is told to try again can. A commit that was rejected may still
   * have happened; then a restart before the next commit of the key takes them for fetched.
   */
  failed(thrown: unknown): void {
    this.close();
    // rule: free-after-rejection
    for (const { key, range } of this.wanted) key.unmark(range);
    this.held.retire(this.keys);
    this.#answer?.refused(asFault(thrown));
  }

  /** The ranges stay marked, whether or not they have left. */
  ended({ count }: KeyGrant<GrantedKeys>, unwritten: number): void {
    this.close();
    for (const { key, range } of this.wanted) key.settle(range);
    this.held.retire(this.keys);
    const { audit, meter } = this.#context;
    const { app, door, labels } = this.#purpose;
    meter.add("keys_fetched", labels, count - unwritten);
    if (unwritten === 0) return;
    meter.add("keys_undelivered", { app }, unwritten);
    audit.note("keys_undelivered", { door, app, peer: this.held.peer }, { count: unwritten });
  }
}

/** A key of a grant that was asked for by its ID. */
class FetchedKey implements GrantedKeys {
  readonly key: ReceivedKey;
  readonly open: OpenBlock;
  readonly offset: number;
  readonly length: number;
  readonly tag: Uint8Array;
  readonly count = 1;

  constructor(key: ReceivedKey, { offset, length, tag }: KeyIdParts, open: OpenBlock) {
    this.key = key;
    this.open = open;
    this.offset = offset;
    this.length = length;
    this.tag = tag;
  }
}

/** Each once. */
function keysOf(wanted: readonly Wanted[]): readonly ReceivedKey[] {
  const keys: ReceivedKey[] = [];
  for (const { key } of wanted) if (!keys.includes(key)) keys.push(key);
  return keys;
}

/** The checks of key-protocol 3, each for all IDs before the next. @throws Fault KEY_NOT_FOUND, NOT_AUTHORIZED */
function select(keyIds: readonly string[], held: ReceivedKeys, namer: KeyNamer): Wanted[] {
  const wanted = keyIds.map((id) => find(id, held));
  for (const { key, parts } of wanted) {
    // rule: check-id-tag
    if (!namer.fits(parts.tag, { ...parts, idKey: key.idKey })) throw new Fault("NOT_AUTHORIZED");
  }
  // rule: fetch-once
  if (wanted.some(({ key, range }) => key.isTaken(range)) || (wanted.length > 1 && overlap(wanted)))
    throw new Fault("KEY_NOT_FOUND");
  if (!fitAnswer(wanted.map(({ parts }) => parts.length))) throw new Fault("TOO_MANY_KEYS");
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
    return select([id], held, new KeyNamer(parties)).every(({ parts }) => parts.length === length);
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

function find(id: string, held: ReceivedKeys): Wanted {
  const parts = parseKeyId(id);
  const key = parts && held.get(parts.serial);
  if (parts === undefined || key === undefined || parts.length > MAX_KEY_BYTES) throw new Fault("KEY_NOT_FOUND");
  return { key, parts, range: { offset: parts.offset, length: stepped(parts.length) } };
}

function overlap(wanted: readonly Wanted[]): boolean {
  const sorted = wanted
    .map(({ key, range }) => ({ serial: key.serial, first: range.offset, end: range.offset + range.length }))
    .sort((a, b) => a.serial - b.serial || a.first - b.first);
  return sorted.some((item, index) => {
    const before = sorted[index - 1];
    return before !== undefined && before.serial === item.serial && before.end > item.first;
  });
}
