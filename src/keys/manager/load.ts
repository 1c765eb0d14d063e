// The books read back at a start: what was proved or held goes on, what was only reserved is destroyed.

import { asFault } from "../../core/fault.ts";
import type { BlockId, Change, KeyIdKey } from "../../vault/vault.ts";
import type { Context } from "../common/context.ts";
import { FIRST_OFFSET, STEP } from "../common/key-id.ts";
import { type ReceivedRow, readRow, type SourceRow, TABLE } from "../common/rows.ts";
import { inSlices, readTable } from "../common/slices.ts";
import { ReceivedKey } from "../fetch/received-key.ts";
import type { ReceivedKeys } from "../fetch/received-keys.ts";
import type { LinkInventory, StoredBlock } from "../links/link-inventory.ts";
import { CHUNK } from "../supply/high-water-marks.ts";
import { SourceKey } from "../supply/source-key.ts";
import type { SourceStock } from "../supply/stock.ts";

/** Where what is read back belongs. */
export interface KeyInventory {
  link(id: string): LinkInventory | undefined;
  /** Both directions with a peer, or with this KM itself; made when the configuration does not name the peer. */
  pair(peer: string): { readonly stock: SourceStock; readonly held: ReceivedKeys };
  /** The store is an old copy: of links that are not configured nothing is kept either. */
  readonly isRestored: boolean;
  /** Blocks that belong to others. */
  readonly others: Iterable<BlockId>;
}

/** @throws Fault HSM_UNAVAILABLE, STORE_UNAVAILABLE; Error when a row is none of ours */
export async function loadInventory(context: Context, books: KeyInventory): Promise<void> {
  const { vault, log } = context;
  const change = vault.change();
  loadPeers(context, books);
  const named = new Set<BlockId>(await loadLinks(context, books, change)).union(new Set(books.others));
  const sources = (await readTable(context, "source")).map(([, row]) => row);
  const helds = (await readTable(context, "held")).map(([, row]) => row);
  for await (const found of withIdKeys(context, sources.sort(bySerial))) loadSource(context, books, found, change);
  for await (const found of withIdKeys(context, helds.sort(bySerial))) loadReceived(context, books, found, change);
  for (const { block } of [...sources, ...helds]) named.add(block);
  const orphans = [...vault.blocks()].filter((block) => !named.has(block));
  for (const block of orphans) {
    change.destroy(block);
    context.audit.note("orphan_destroyed", { block });
  }
  if (orphans.length > 0) log.info({ blocks: orphans.length }, "blocks that no row names were destroyed");
  for (const peer of new Set(sources.filter(isReserved).map((row) => row.peer)))
    change.put(TABLE.peer, peer, books.pair(peer).stock.peerRow());
  await change.commit();
}

const isReserved = ({ state }: SourceRow): boolean => state === "reserved";

function loadPeers({ vault }: Context, books: KeyInventory): void {
  for (const [id, row] of vault.rows(TABLE.peer)) {
    const pair = books.pair(id);
    const { nextSerial, proved, givenUp, accepted, window } = readRow("peer", id, row);
    pair.stock.nextSerial = nextSerial;
    pair.stock.proved = proved;
    pair.stock.givenUp.restore(givenUp);
    pair.held.restoreAcceptance({ accepted, window });
  }
}

async function loadLinks(context: Context, books: KeyInventory, change: Change): Promise<BlockId[]> {
  const { vault, log } = context;
  for (const [id] of vault.rows(TABLE.link)) {
    if (books.link(id) !== undefined) continue;
    const kept = books.isRestored ? "destroyed" : "kept";
    log.warn({ link: id }, `the store has blocks of a link that is not configured; they are ${kept}`);
  }
  const isGone = ({ id, link }: StoredBlock) => !vault.has(id) || (books.isRestored && books.link(link) === undefined);
  const enter = (block: StoredBlock): void => {
    const { link, run, sequence } = block;
    context.audit.note("blocks_found", { link, run }, { first: sequence, end: sequence + 1 });
    books.link(link)?.restore(block);
  };
  const [gone, stored] = parted(await storedBlocks(context, (id) => books.link(id), enter), isGone);
  for (const { id } of gone) change.remove(TABLE.block, id);
  return stored.map(({ id }) => id);
}

/** What the store has of a link that the configuration did not have at the start. */
export async function loadLink(context: Context, link: LinkInventory): Promise<void> {
  const linkOf = (id: string) => (id === link.settings.id ? link : undefined);
  await storedBlocks(context, linkOf, (block) => linkOf(block.link)?.restore(block));
}

/** Enters how far links had gone, and gives their stored blocks to `enter`. @returns the rows of all blocks, in order */
async function storedBlocks(
  context: Context,
  linkOf: (id: string) => LinkInventory | undefined,
  enter: (block: StoredBlock) => void,
): Promise<readonly StoredBlock[]> {
  const { vault } = context;
  for (const [id, row] of vault.rows(TABLE.link)) {
    const { run, highest } = readRow("link", id, row);
    const book = linkOf(id);
    if (book !== undefined) book.highest = book.settled = { run, sequence: highest };
  }
  for (const [id, row] of vault.rows(TABLE.pad)) linkOf(id)?.restorePads(readRow("pad", id, row));
  const rows = (await readTable(context, "block")).map(([id, row]) => ({ ...row, id: id as BlockId }));
  const blocks = rows.sort((a, b) => a.run - b.run || a.sequence - b.sequence);
  await inSlices(context, blocks, (part) => {
    for (const block of part) if (vault.has(block.id)) enter(block);
  });
  return blocks;
}

function parted<T>(all: readonly T[], isFirst: (one: T) => boolean): readonly [readonly T[], readonly T[]] {
  return [all.filter(isFirst), all.filter((one) => !isFirst(one))];
}

/** What opening a KMA-key's record costs about. */
const OPENED_US = 100;
/** Opened at once: the token's process need not wait for each answer to be taken. Half of what one turn has room for. */
const OPENED_TOGETHER = 10;

/** A KMA-key as the store has it; without its key-ID key when that is not what was sealed. */
interface Found<Row> {
  readonly row: Row;
  readonly idKey: KeyIdKey | undefined;
}

/** KMA-keys of the store in their order, their key-ID keys opened some at once. @throws Fault HSM_UNAVAILABLE */
async function* withIdKeys<Row extends { readonly block: BlockId }>(
  context: Context,
  rows: readonly Row[],
): AsyncGenerator<Found<Row>> {
  for (let at = 0; at < rows.length; at += OPENED_TOGETHER) {
    const part = rows.slice(at, at + OPENED_TOGETHER);
    await context.pace.take("housekeeping", part.length * OPENED_US);
    const opening = part.map(({ block }) => openIdKey(context, block));
    try {
      await Promise.all(opening);
    } catch (thrown) {
      for (const key of await Promise.allSettled(opening)) {
        if (key.status === "fulfilled") key.value?.[Symbol.dispose]();
      }
      throw thrown;
    }
    for (const [index, row] of part.entries()) yield { row, idKey: await opening[index] };
  }
}

// Oldest first, which the store's order of names is not.
const bySerial = (a: { readonly serial: number }, b: { readonly serial: number }): number => a.serial - b.serial;

function loadSource(context: Context, books: KeyInventory, { row, idKey }: Found<SourceRow>, change: Change): void {
  const { stock } = books.pair(row.peer);
  const key = idKey && new SourceKey(row, idKey);
  // The destination may keep it in vain.
  if (isReserved(row)) stock.givenUp.add(row.serial);
  if (key === undefined) {
    noteUnreadable(context, row, "source", row.length - row.mark);
    change.remove(TABLE.source, `${row.peer}/${row.serial}`).destroy(row.block);
  } else if (isReserved(row)) {
    stock.drop(key, "lost_at_restart", change);
  } else {
    stock.restore(key, row);
    noteFound(context, row, "source");
    if (row.state === "open" && !row.exact) countLost(context, row);
    if (key.left < STEP) stock.end([key], "lost_at_restart", change);
  }
}

/** The mark ran ahead of what was supplied, by two chunks at most: how much of them was supplied nobody knows. */
function countLost({ audit, log, meter }: Context, { peer, serial, mark }: SourceRow): void {
  const atMostBytes = 2 * CHUNK;
  audit.note("lost_at_restart", { peer, serial, mark, most: atMostBytes });
  meter.add("kma_bytes_lost", { peer, role: "source", reason: "lost_at_restart" }, atMostBytes);
  log.warn(
    { peer, serial, mark, atMostBytes },
    "keys below the durable mark are lost, for they may have been supplied",
  );
}

function loadReceived(context: Context, books: KeyInventory, { row, idKey }: Found<ReceivedRow>, change: Change): void {
  const { held } = books.pair(row.peer);
  if (idKey === undefined) {
    noteUnreadable(context, row, "destination", row.length);
    change.remove(TABLE.held, `${row.peer}/${row.serial}`).destroy(row.block);
  } else {
    const key = new ReceivedKey(row, idKey);
    held.add(key);
    noteFound(context, row, "destination");
    const { peer, serial } = row;
    for (const { offset, length } of key.used()) {
      if (offset + length <= FIRST_OFFSET) continue;
      const extent = { first: Math.max(offset, FIRST_OFFSET), end: offset + length };
      context.audit.note("fetched_found", { peer, serial }, extent);
    }
  }
}

/** What a kill kept from the audit log is told by what the store has at the next start. */
function noteFound(
  { audit }: Context,
  { peer, serial }: Pick<SourceRow, "peer" | "serial">,
  role: "source" | "destination",
): void {
  audit.note("kma_keys_found", { peer, role }, { first: serial, end: serial + 1 });
}

/** `bytes`: at most, for what was fetched of it nobody had. */
function noteUnreadable(
  { audit, meter }: Context,
  { peer, serial }: Pick<SourceRow, "peer" | "serial">,
  role: "source" | "destination",
  bytes: number,
): void {
  const labels = { peer, role, reason: "unreadable" };
  meter.add("kma_keys_ended", labels);
  audit.note("kma_key_ended", { ...labels, serial, bytes });
}

/** Undefined when the record is not what was sealed. @throws Fault HSM_UNAVAILABLE */
async function openIdKey({ vault, log }: Context, block: BlockId): Promise<KeyIdKey | undefined> {
  if (!vault.has(block)) return undefined;
  try {
    return await vault.keyIdKey(block);
  } catch (thrown) {
    if (asFault(thrown).code === "HSM_UNAVAILABLE") throw thrown;
    log.error({ block, err: thrown }, "a KMA-key could not be unsealed and is destroyed");
    return undefined;
  }
}
