// Key relay as its destination: every check in its order, the outcome durable before it is told.

import { asFault, Fault } from "../../core/fault.ts";
import { parseRuns } from "../../core/text/runs.ts";
import type { Change, OpenBlock } from "../../vault/vault.ts";
import { outOfBounds } from "../common/bounds.ts";
import type { Context } from "../common/context.ts";
import { FIRST_OFFSET, kmaSerial } from "../common/key-id.ts";
import { kmaRow, receivedBlock, TABLE } from "../common/rows.ts";
import { emptyBitmap, ReceivedKey } from "../fetch/received-key.ts";
import type { Peer } from "../peers/peer.ts";
import type { RelayConfirmation, RelayOffer } from "../ports/peers.ts";
import type { Incoming } from "./relay-incoming.ts";
import { endContext } from "./relay-tags.ts";

/** What taking a key in costs about, with its commit. */
const ACCEPTED_US = 200;

/** A KMA-key that is being taken in. */
export interface Arrival {
  readonly source: Peer;
  readonly offer: RelayOffer;
  readonly serial: number;
  /** Whether its source still counts on it: what was given up meanwhile is not kept. */
  isWanted(): boolean;
}

/**
 * The serial of an offer, if its source may give it now.
 * @throws Fault PEER_UNAVAILABLE, MALFORMED_REQUEST, OUT_OF_BOUNDS, SERIAL_SEEN, STORE_FULL
 */
export function checkSerial({ policy }: Context, source: Peer, offer: RelayOffer): number {
  if (!source.isHeard) {
    throw new Fault("PEER_UNAVAILABLE", { text: `the state exchange with ${source.id} has not ended` });
  }
  const serial = kmaSerial(offer.keyId);
  if (serial === undefined || serial === 0) throw new Fault("MALFORMED_REQUEST", { text: "key_ID names no KMA-key" });
  checkRuns(offer.givenUp);
  if (!source.held.isCovered(serial)) throw outOfBounds(`serial ${serial} is far above what ${source.id} announced`);
  if (!source.held.isNew(serial)) throw new Fault("SERIAL_SEEN");
  if (source.held.size + source.held.expected >= policy.maxHeld) throw new Fault("STORE_FULL");
  return serial;
}

/** @throws Fault MALFORMED_REQUEST */
function checkRuns(text: string): void {
  try {
    parseRuns(text);
  } catch (cause) {
    throw new Fault("MALFORMED_REQUEST", { text: "the list of serials given up is none", cause });
  }
}

/** Accepts a KMA-key that came whole; its serial is expected. @throws Fault that becomes the 0x1102 */
export async function acceptKey(context: Context, arrival: Arrival, incoming: Incoming): Promise<RelayConfirmation> {
  const { source, offer, serial } = arrival;
  const block = incoming.nameOr(receivedBlock(source.id, serial));
  try {
    await context.pace.take("kx", ACCEPTED_US);
    using open = await context.vault.openJob(incoming.job);
    const key = incoming.open(open, block);
    if (key === undefined) throw new Fault("BAD_TAG");
    const tag = key.endTag(endContext(offer));
    const sealed = block === incoming.job.blocks[0]?.block ? undefined : await key.seal();
    await keepKey(context, arrival, key, (change) => {
      if (sealed !== undefined) change.keep(sealed);
      incoming.use(change, true);
    });
    return { keyId: offer.keyId, tag };
  } catch (thrown) {
    await lose(context, incoming, asFault(thrown));
    throw thrown;
  }
}

/**
 * Makes a KMA-key durable, with what else `enter` puts into the change, and enters it, unless its source gives it up
 * meanwhile. Rows are put when nothing is waited for any more: older ones would undo on the disk what others made durable
 * meanwhile, such as a mark of the same link's pads. @throws Fault
 */
export async function keepKey(
  context: Context,
  arrival: Arrival,
  key: OpenBlock,
  enter: (change: Change) => void,
): Promise<void> {
  const { source, offer, serial } = arrival;
  const { block, length } = key;
  const fetched = emptyBitmap(length);
  const row = { peer: source.id, serial, block, length, bornAt: context.ages.nowOn(), fetched, witness: FIRST_OFFSET };
  const { key: idKey, sealed } = await key.keyIdKey();
  try {
    if (!arrival.isWanted()) throw new Fault("PEER_UNAVAILABLE", { text: "the key was given up meanwhile" });
    source.held.accept(serial);
    const change = context.vault.change();
    enter(change);
    // What a KM on the way could have changed is not believed: it comes from the source itself too.
    if (offer.transit.length === 0) source.held.giveUp(offer.givenUp, change);
    change.keep(sealed).put(...source.peerRow());
    await change.put(TABLE.held, kmaRow(source.id, serial), row).commit();
    if (!arrival.isWanted()) throw await undo(context, arrival, key);
  } catch (thrown) {
    idKey[Symbol.dispose]();
    // A commit that was rejected may have happened: its row would stay for a key that is nobody's.
    const rest = context.vault.change().remove(TABLE.held, kmaRow(source.id, serial)).destroy(block);
    rest.commit().catch(IS_MADE_UP_FOR);
    throw thrown;
  }
  source.held.add(new ReceivedKey(row, idKey));
  context.meter.add("kma_keys_held", { peer: source.id });
  context.audit.note("kma_key_held", { peer: source.id, serial, block, bytes: length });
}

/** The vault removes what it could not remove now as soon as it can. */
const IS_MADE_UP_FOR = (): void => {};

/** What was given up while it was made durable is not kept: its source may never name it again. */
async function undo({ audit, vault }: Context, { source, serial }: Arrival, open: OpenBlock): Promise<Fault> {
  const { block, length } = open;
  const fields = { peer: source.id, serial, role: "destination", reason: "given_up" };
  audit.note("kma_key_held", { peer: source.id, serial, block, bytes: length });
  audit.note("kma_key_ended", { ...fields, bytes: length - FIRST_OFFSET });
  await vault.change().remove(TABLE.held, kmaRow(source.id, serial)).destroy(block).commit();
  return new Fault("PEER_UNAVAILABLE");
}

/** Destroys what a key came in. @throws Fault STORE_UNAVAILABLE */
export async function lose(context: Context, incoming: Incoming, fault: Fault): Promise<void> {
  const change = context.vault.change();
  incoming.lose(change, fault.code === "BAD_TAG" ? "mismatch" : "given_up");
  await change.commit();
}
