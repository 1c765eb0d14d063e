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
import type { Answer, FetchRequest, Grant } from "../ports.ts";
import { type GrantedKey, grantKeys } from "../supply/grants.ts";
import { type NamedFor, nameFits, type Parties } from "../supply/key-namer.ts";
import { MAX_PIECES } from "../supply/source-key.ts";
import { FetchCommits } from "./fetch-commits.ts";
import type { ReceivedKey, ReceivedKeys } from "./received-keys.ts";

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

type Blocks = ReadonlyMap<ReceivedKey, OpenBlock>;

/** A fetch whose checks have been passed. */
interface Fetch {
  readonly wanted: readonly Wanted[];
  readonly held: ReceivedKeys;
  /** Marked durably, and open until dispose. */
  durable(blocks: Blocks): void;
  failed(thrown: unknown): void;
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
    const apps = request.apps ?? { initiator: request.initiator, target: request.app };
    const parties = { source: held.peer, destination: this.#context.self, ...apps };
    let givenUp = false;
    try {
      const wanted = select(request.keyIds, held, parties);
      this.#collect({
        wanted,
        held,
        durable: (blocks) => {
          const grant = this.#grant(request, parties, wanted, blocks, held);
          if (givenUp) grant[Symbol.dispose]();
          else give(grant, answer);
        },
        failed: (thrown) => {
          if (!givenUp) answer.refused(asFault(thrown));
        },
      });
    } catch (thrown) {
      answer.refused(asFault(thrown));
    }
    return () => {
      givenUp = true;
    };
  }

  /** Marks the ranges in memory at once; opens the blocks; makes the marks durable. */
  #collect(fetch: Fetch): void {
    for (const { key, range } of fetch.wanted) key.mark(range);
    const keys = new Set(fetch.wanted.map(({ key }) => key));
    const cached = this.#cached(keys);
    if (cached !== undefined) {
      this.#commit(fetch, cached);
      return;
    }
    this.#open(keys).then(
      (blocks) => this.#commit(fetch, blocks),
      (thrown: unknown) => giveBack(fetch, thrown),
    );
  }

  #commit(fetch: Fetch, blocks: Blocks): void {
    // rule: fetch-when-durable
    this.#commits.add(blocks.keys(), fetch.held, {
      durable: () => fetch.durable(blocks),
      failed: (thrown) => {
        close(blocks);
        giveBack(fetch, thrown);
      },
    });
  }

  /** Blocks that are in memory, if all of them are. */
  #cached(keys: ReadonlySet<ReceivedKey>): Blocks | undefined {
    const blocks = new Map<ReceivedKey, OpenBlock>();
    for (const key of keys) {
      const open = this.#context.vault.cached(key.block);
      if (open === undefined) {
        close(blocks);
        return undefined;
      }
      blocks.set(key, open);
    }
    return blocks;
  }

  /** All at once, so that nothing is held while memory is waited for. */
  async #open(keys: ReadonlySet<ReceivedKey>): Promise<Blocks> {
    const blocks = [...keys].map((key) => ({ block: key.block, used: () => key.used() }));
    const job = await this.#context.vault.openJob({ blocks, emptySlots: 0 });
    return new Map([...keys].flatMap((key, index) => entryOf(key, job.blocks[index])));
  }

  #grant({ app, door }: FetchRequest, parties: Parties, wanted: readonly Wanted[], blocks: Blocks, held: ReceivedKeys) {
    const keys = wanted.flatMap(({ key, parts }): GrantedKey[] => {
      const open = blocks.get(key);
      return open === undefined ? [] : [{ ...parts, idKey: key.idKey, open }];
    });
    const { audit, meter } = this.#context;
    const { initiator, target } = parties;
    for (const { key, parts, range } of wanted) {
      const fields = { door, initiator, target, peer: held.peer, serial: key.serial, bits: parts.length * 8 };
      audit.note("keys_fetched", fields, { first: range.offset, end: range.offset + range.length });
    }
    return grantKeys(keys, parties, (unwritten) => {
      close(blocks);
      settle(wanted, held);
      meter.add("keys_fetched", { app, door }, keys.length - unwritten);
      if (unwritten === 0) return;
      meter.add("keys_undelivered", { app }, unwritten);
      audit.note("keys_undelivered", { door, app, peer: held.peer }, { count: unwritten });
    });
  }
}

/** Who breaks off while taking keys has none of the rest, and leaves nothing pinned. */
function give(grant: Grant, answer: Answer): void {
  try {
    answer.granted(grant);
  } catch (thrown) {
    grant[Symbol.dispose]();
    throw thrown;
  }
}

function close(blocks: Blocks): void {
  for (const open of blocks.values()) open[Symbol.dispose]();
}

const entryOf = (key: ReceivedKey, open: OpenBlock | undefined): [ReceivedKey, OpenBlock][] =>
  open === undefined ? [] : [[key, open]];

/**
 * Nothing has left: the ranges are free again, and whoever is told to try again can. A commit that was rejected may still
 * have happened; then a restart before the next commit of the key takes them for fetched.
 */
function giveBack({ wanted, held, failed }: Fetch, thrown: unknown): void {
  // rule: free-after-rejection
  for (const { key, range } of wanted) key.unmark(range);
  held.retire(new Set(wanted.map(({ key }) => key)));
  failed(thrown);
}

/** The ranges stay marked, whether or not they have left. */
function settle(wanted: readonly Wanted[], held: ReceivedKeys): void {
  for (const { key, range } of wanted) key.settle(range);
  held.retire(new Set(wanted.map(({ key }) => key)));
}

/** The checks of key-protocol 3, each for all IDs before the next. @throws Fault KEY_NOT_FOUND, NOT_AUTHORIZED */
function select(keyIds: readonly string[], held: ReceivedKeys, parties: Parties): Wanted[] {
  const wanted = keyIds.map((id) => find(id, held));
  for (const { key, parts } of wanted) {
    // rule: check-id-tag
    if (!nameFits(parts.tag, { ...parts, idKey: key.idKey }, parties)) throw new Fault("NOT_AUTHORIZED");
  }
  // rule: fetch-once
  if (wanted.some(({ key, range }) => key.isTaken(range)) || (wanted.length > 1 && overlap(wanted)))
    throw new Fault("KEY_NOT_FOUND");
  if (!fitAnswer(wanted.map(({ parts }) => parts.length))) throw new Fault("TOO_MANY_KEYS");
  if (wanted.length > MAX_PIECES && new Set(wanted.map(({ key }) => key)).size > MAX_PIECES) {
    throw new Fault("TOO_MANY_KEYS", {
      text: `the keys lie in more than ${MAX_PIECES} KMA-keys; ask for them in parts`,
    });
  }
  return wanted;
}

/** Whether an ID names a key of `length` bytes for these parties, of which nothing was fetched. */
export function isFetchable(id: string, length: number, held: ReceivedKeys, parties: Parties): boolean {
  try {
    return select([id], held, parties).every(({ parts }) => parts.length === length);
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
  return nameFits(parts.tag, { ...parts, idKey: key.idKey }, { ...parties, source: held.peer });
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
