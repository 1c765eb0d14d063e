// At a border: keys for applications that are at home at another KM go on to it, and nothing of them stays here.
//
// A transfer is accepted when that KM holds the keys, durably; until then the other network has no answer, or 503, and sends
// again, as it must after every fault. So a loss, a repetition or a crash anywhere on the way ends in the same keys there:
// whoever holds them knows their IDs and values. What a crash leaves here is a sealed block that no row names.

import { Fault } from "../../core/fault.ts";
import type { AppId, KmId } from "../../core/ids.ts";
import {
  type BorderOutcomes,
  type BorderQuestion,
  keysEntry,
  transferContext,
  voidEntry,
} from "../common/border-entries.ts";
import { idsOf } from "../common/grant-ids.ts";
import { borderBlock } from "../common/rows.ts";
import { keysOf } from "../common/sizes.ts";
import type { BorderAck, BorderArrival, BorderVoid } from "../ports/borders.ts";
import type { Grant } from "../ports/keys.ts";
import type { ExtensionEntry } from "../ports/peers.ts";
import { padOf } from "../supply/grants.ts";
import type { BorderHost } from "./border-host.ts";
import { grouped } from "./border-received.ts";

/** Bytes of a pad beyond its key: they key the tag. */
export const TAG_KEY_BYTES = 32;
/** Questions under way: each holds a pad in locked memory while it waits for room. */
const MOST_ASKED = 8;
const ANSWER_MS = 8000;

/** A question, until its answer has come. */
interface Asked {
  readonly home: KmId;
  readonly outcomes: BorderOutcomes[];
}

/** Hands what comes over a border on to the homes of its applications. */
export class BorderOnward {
  readonly #host: BorderHost;
  readonly #asked = new Map<string, Asked>();

  constructor(host: BorderHost) {
    this.#host = host;
  }

  /** They are held at `home` when it resolves. @throws Fault: the other network is to send them again */
  async transfer(border: KmId, home: KmId, arrival: BorderArrival): Promise<readonly BorderAck[]> {
    const { initiator, target, keys } = arrival;
    const acks: BorderAck[] = [];
    for (const group of grouped(keys)) {
      const keyIds = group.map(({ keyId }) => keyId);
      const asked = { border, initiator, target, keyIds };
      const letters = group.map((key) => key.letters);
      acks.push(...(await this.#ask(home, asked, (question) => this.#masked(home, question, letters))));
    }
    return acks;
  }

  /** @throws Fault */
  async void(border: KmId, home: KmId, { initiator, target, keyIds }: BorderVoid): Promise<readonly BorderAck[]> {
    return await this.#ask(home, { border, initiator, target, keyIds }, async (question) => voidEntry(question));
  }

  /** The answer to a question. @throws Fault NOT_AUTHORIZED */
  told(peer: KmId, outcome: BorderOutcomes): void {
    const asked = this.#asked.get(outcome.of);
    if (asked?.home !== peer) throw new Fault("NOT_AUTHORIZED", { text: "nobody asked that" });
    asked.outcomes.push(outcome);
  }

  async #ask(
    home: KmId,
    keys: Omit<BorderQuestion, "of">,
    entryOf: (question: BorderQuestion) => Promise<ExtensionEntry>,
  ): Promise<readonly BorderAck[]> {
    if (this.#asked.size >= MOST_ASKED) throw new Fault("BUSY", { retryAfterMs: 1000 });
    const of = this.#host.context.random.hex(16);
    const outcomes: BorderOutcomes[] = [];
    this.#asked.set(of, { home, outcomes });
    try {
      const entry = await entryOf({ of, ...keys });
      await this.#peer(home).tell([entry], ANSWER_MS);
    } finally {
      this.#asked.delete(of);
    }
    const { initiator, target } = keys;
    return outcomes.map(({ outcome, keyIds }) => ({ initiator, target, outcome, keyIds, message: "" }));
  }

  /** @throws Fault PEER_UNAVAILABLE */
  #peer(home: KmId) {
    const peer = this.#host.peerOf(home);
    if (peer !== undefined) return peer;
    throw new Fault("PEER_UNAVAILABLE", { text: `${home} is not connected`, retryAfterMs: 1000 });
  }

  /** Keys of one block under a pad of the two KMs' pool. The block is destroyed before they leave. @throws Fault */
  async #masked(home: KmId, question: BorderQuestion, letters: readonly Uint8Array[]): Promise<ExtensionEntry> {
    const { context } = this.#host;
    const { vault, random, self } = context;
    this.#peer(home);
    const block = borderBlock("in", `onward/${random.hex(16)}`);
    const { sealed, lengths } = await vault.sealLetters(block, letters);
    await vault.change().keep(sealed).commit();
    try {
      const bytes = lengths.reduce((sum, length) => sum + length, 0);
      using pad = await this.#pad(home, question.target, bytes + TAG_KEY_BYTES);
      using job = await vault.openJob({ blocks: [{ block }], emptySlots: 0 });
      const [open] = job.blocks;
      if (open === undefined) throw new Error(`${block} is not open`);
      const named = { ...question, lengths, pads: idsOf(pad) };
      const masked = open.mask(
        padOf(pad, bytes + TAG_KEY_BYTES),
        transferContext({ source: self, destination: home }, named),
      );
      return keysEntry({ ...named, ...masked });
    } finally {
      await vault.change().destroy(block).commit();
    }
  }

  /** Taken off the quota of the application that gets the keys, as key that it asked for. */
  #pad(home: KmId, target: AppId, bytes: number): Promise<Grant> {
    const wish = {
      door: "etsi020",
      app: target,
      destination: target,
      ...keysOf(bytes, this.#host.sizes(home)),
    } as const;
    return new Promise((resolve, reject) => {
      this.#host.supply(home, wish, { granted: resolve, refused: reject });
    });
  }
}
