// Multipath at its destination: the parts of a KMA-key, kept until all have come, then their XOR (key-protocol 2).

import { asFault, Fault } from "../../core/fault.ts";
import type { BlockId, EmptySlot, OpenBlock } from "../../vault/vault.ts";
import type { Context } from "../common/context.ts";
import { partBlock, receivedBlock } from "../common/rows.ts";
import type { Remote } from "../peers/peer.ts";
import type { Part, RelayConfirmation, RelayOffer } from "../ports.ts";
import { type Arrival, checkSerial, keepKey, lose } from "./relay-destination.ts";
import type { Incoming } from "./relay-incoming.ts";
import { endContext } from "./relay-tags.ts";

/** Parts of one KMA-key: as many routes as share no KM in any sensible network. */
const MAX_PARTS = 16;

type PartOffer = RelayOffer & { readonly part: Part };

export const isPart = (offer: RelayOffer): offer is PartOffer => offer.part !== undefined;

/** One KMA-key whose parts come. The outcome is the same for all of them. */
interface Gathering extends Arrival {
  readonly parts: number;
  readonly seen: Set<number>;
  /** Parts that are durable here; without a row, so that a restart destroys them. */
  readonly kept: BlockId[];
  readonly outcome: PromiseWithResolvers<RelayConfirmation>;
  isOver: boolean;
}

export class Gatherings {
  readonly #context: Context;
  readonly #byKey = new Map<string, Gathering>();

  constructor(context: Context) {
    this.#context = context;
  }

  /**
   * Checks a part's serial and place among the others. The function returned takes the part in and resolves when all
   * have come. @throws Fault MALFORMED_REQUEST, SERIAL_SEEN, and as for a whole key
   */
  place(source: Remote, offer: PartOffer): (incoming: Incoming, waitMs: number) => Promise<RelayConfirmation> {
    const { part, parts } = offer.part;
    const isSane = Number.isSafeInteger(part) && part >= 1 && part <= parts && parts >= 2 && parts <= MAX_PARTS;
    if (!isSane) throw new Fault("MALFORMED_REQUEST", { text: `a key has 2 to ${MAX_PARTS} parts, numbered from 1` });
    const known = this.#byKey.get(nameOf(source, offer));
    if (known !== undefined) checkSame(known, offer);
    const serial = known?.serial ?? checkSerial(this.#context, source, offer);
    return (incoming, waitMs) => this.#take(known ?? this.#begin(source, offer, serial), offer, incoming, waitMs);
  }

  #begin(source: Remote, offer: PartOffer, serial: number): Gathering {
    const { peer } = source;
    const outcome = Promise.withResolvers<RelayConfirmation>();
    // Each part's relay waits for it as soon as the part is durable.
    outcome.promise.catch(() => {});
    const gathering: Gathering = {
      source,
      offer,
      serial,
      parts: offer.part.parts,
      seen: new Set(),
      kept: [],
      outcome,
      isWanted: () => source.peer === peer && source.held.isExpected(serial),
      isOver: false,
    };
    source.held.expect(serial);
    this.#byKey.set(nameOf(source, offer), gathering);
    return gathering;
  }

  async #take(gathering: Gathering, offer: PartOffer, incoming: Incoming, waitMs: number): Promise<RelayConfirmation> {
    gathering.seen.add(offer.part.part);
    const stopTimer = this.#context.clock.after(waitMs, () => {
      const text = `only ${gathering.kept.length} of ${gathering.parts} parts of the key have come in time`;
      this.#end(gathering, new Fault("RELAY_TIMEOUT", { text }));
    });
    try {
      await this.#keepPart(gathering, offer, incoming);
      return await gathering.outcome.promise;
    } catch (thrown) {
      this.#end(gathering, asFault(thrown));
      throw thrown;
    } finally {
      stopTimer();
    }
  }

  async #keepPart(gathering: Gathering, offer: PartOffer, incoming: Incoming): Promise<void> {
    const { source, serial } = gathering;
    const { vault } = this.#context;
    const block = incoming.nameOr(partBlock(source.id, serial, offer.part.part));
    const change = vault.change();
    try {
      using open = await vault.openJob(incoming.job);
      const part = incoming.open(open, block);
      if (part === undefined) throw new Fault("BAD_TAG");
      if (block !== incoming.job.blocks[0]?.block) change.keep(await part.seal());
      incoming.use(change, true);
      source.held.accept(serial);
      await change.put(...source.peerRow()).commit();
    } catch (thrown) {
      await lose(this.#context, incoming, asFault(thrown));
      throw thrown;
    }
    const { part, parts } = offer.part;
    this.#context.audit.note("kma_part_held", { peer: source.id, serial, part, parts, block });
    gathering.kept.push(block);
    if (gathering.isOver) this.#destroy([block]);
    else if (gathering.kept.length === gathering.parts) await this.#combine(gathering);
  }

  async #combine(gathering: Gathering): Promise<void> {
    const { source, offer, serial, kept } = gathering;
    const { vault } = this.#context;
    using open = await vault.openJob({ blocks: kept.map((block) => ({ block })), emptySlots: 1 });
    const key = combined(open.emptySlots[0], open.blocks, receivedBlock(source.id, serial));
    const tag = key.endTag(endContext(offer));
    const change = vault.change().keep(await key.seal());
    for (const block of kept) change.destroy(block);
    await keepKey(this.#context, gathering, key, change);
    this.#forget(gathering);
    gathering.outcome.resolve({ keyId: offer.keyId, tag });
  }

  /** A part is missing or wrong: all are given up. */
  #end(gathering: Gathering, fault: Fault): void {
    if (gathering.isOver) return;
    this.#forget(gathering);
    gathering.outcome.reject(fault);
    const labels = { peer: gathering.source.id, role: "destination", reason: "given_up" };
    this.#context.meter.add("kma_keys_ended", labels);
    const { source, serial } = gathering;
    this.#context.audit.note("kma_parts_ended", { peer: source.id, serial, reason: "given_up" });
    this.#destroy(gathering.kept);
  }

  #forget(gathering: Gathering): void {
    gathering.isOver = true;
    gathering.source.held.settle(gathering.serial);
    this.#byKey.delete(nameOf(gathering.source, gathering.offer));
  }

  #destroy(blocks: readonly BlockId[]): void {
    if (blocks.length === 0) return;
    const change = this.#context.vault.change();
    for (const block of blocks) change.destroy(block);
    change.commit().catch((err: unknown) => {
      this.#context.log.warn({ err }, "parts of a KMA-key that was given up are still on the disk");
    });
  }
}

const nameOf = ({ id }: Remote, { keyId }: RelayOffer): string => `${id} ${keyId}`;

/** @throws Fault MALFORMED_REQUEST, SERIAL_SEEN */
function checkSame({ offer, parts, seen }: Gathering, other: PartOffer): void {
  if (seen.has(other.part.part)) throw new Fault("SERIAL_SEEN", { text: "this part of the key came before" });
  if (other.part.parts === parts && other.requestId === offer.requestId) return;
  throw new Fault("MALFORMED_REQUEST", { text: "the parts of the key do not belong together" });
}

/** @throws Fault BAD_TAG: parts that cannot be combined are none of one key */
function combined(emptySlot: EmptySlot | undefined, parts: readonly OpenBlock[], block: BlockId): OpenBlock {
  const lengths = new Set(parts.map(({ length }) => length));
  if (emptySlot === undefined || lengths.size !== 1) throw new Fault("BAD_TAG", { text: "the parts differ in length" });
  return emptySlot.combine(block, parts);
}
