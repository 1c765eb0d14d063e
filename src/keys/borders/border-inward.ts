// At the home of an application: keys that came over a border of another KM of this network, taken out from under their pad.

import { Fault } from "../../core/fault.ts";
import type { KmId } from "../../core/ids.ts";
import { type BorderTransfer, outcomeEntry, transferContext } from "../common/border-entries.ts";
import { borderBlock } from "../common/rows.ts";
import type { BorderAck, BorderArrival } from "../ports/borders.ts";
import type { FetchRequest, Grant } from "../ports/keys.ts";
import { padOf } from "../supply/grants.ts";
import type { BorderHost } from "./border-host.ts";
import { TAG_KEY_BYTES } from "./border-onward.ts";
import type { Scratch } from "./departures/departure-intent.ts";

const ANSWER_MS = 5000;

/** Receives what another KM hands on. */
export class BorderInward {
  readonly #host: BorderHost;
  readonly #scratch: Scratch;

  /** @param scratch not the one that keys are compared in */
  constructor(host: BorderHost, scratch: Scratch) {
    this.#host = host;
    this.#scratch = scratch;
  }

  /** The keys as they would have come over the border, lent until `take` is done. @throws Fault BAD_TAG, and as `take` does */
  async unmasked(
    peer: KmId,
    transfer: BorderTransfer,
    take: (arrival: BorderArrival) => Promise<readonly BorderAck[]>,
  ): Promise<readonly BorderAck[]> {
    const { initiator, target, keyIds } = transfer;
    const { memory, queue } = this.#scratch;
    // One at a time: it holds its pad in locked memory while it waits for room.
    return await queue.run(async () => {
      try {
        const letters = await this.#letters(peer, transfer);
        const keys = letters.map((each, index) => ({ keyId: keyIds[index] ?? "", letters: each }));
        return await take({ keys, initiator, target, callback: undefined });
      } finally {
        memory.fill(0);
      }
    });
  }

  /** The answer to a question, before the question itself has success. @throws Fault */
  async answer(peer: KmId, of: string, acks: readonly BorderAck[]): Promise<void> {
    const entries = acks.map(({ outcome, keyIds }) => outcomeEntry({ of, outcome, keyIds }));
    const connection = this.#host.peerOf(peer);
    if (connection === undefined) throw new Fault("PEER_UNAVAILABLE", { text: `${peer} is not connected` });
    await connection.tell(entries, ANSWER_MS);
  }

  #pad(peer: KmId, { target, pads }: BorderTransfer): Promise<Grant> {
    const request: FetchRequest = { door: "etsi020", app: target, initiator: target, keyIds: pads };
    return new Promise((resolve, reject) => {
      this.#host.fetchFrom(peer, request, { granted: resolve, refused: reject });
    });
  }

  async #letters(peer: KmId, transfer: BorderTransfer): Promise<readonly Uint8Array[]> {
    const { vault, random, self } = this.#host.context;
    const { lengths, key } = transfer;
    const { memory } = this.#scratch;
    using pad = await this.#pad(peer, transfer);
    using job = await vault.openJob({ blocks: [], emptySlots: 1 });
    const context = transferContext({ source: peer, destination: self }, transfer);
    const name = borderBlock("in", `inward/${random.hex(16)}`);
    const open = job.emptySlots[0]?.unmask(name, transfer, padOf(pad, key.length + TAG_KEY_BYTES), context);
    if (open === undefined) throw new Fault("BAD_TAG", { text: "the tag of keys that came over a border is wrong" });
    let [offset, end] = [0, 0];
    return lengths.map((length) => {
      const start = end;
      end = open.emit({ offset, length }, memory, start);
      offset += length;
      return memory.subarray(start, end);
    });
  }
}
