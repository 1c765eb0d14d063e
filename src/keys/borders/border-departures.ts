// Keys that leave over a border: the intent durable before the first byte, sent until they are acknowledged, void if not.
//
// What a kill leaves: before the intent is durable nothing has left; after it the next start finds the row, destroys the key
// and has it voided there, for whoever asked is gone. A key is supplied only when its row and its bytes are off the disk.

import { asFault, Fault } from "../../core/fault.ts";
import type { KmId } from "../../core/ids.ts";
import type { Context } from "../common/context.ts";
import { type BorderRow, borderBlock, TABLE } from "../common/rows.ts";
import { SerialQueue } from "../common/serial-queue.ts";
import type { BorderAck, BorderAnswer, BorderPath, FetchRequest, Grant } from "../ports.ts";
import { BUNDLE_BYTES } from "../strict/strict-received-keys.ts";
import { Backoff } from "./border-backoff.ts";
import type { BorderHost, BorderSettings } from "./border-host.ts";
import { idsIn, nameOf } from "./border-rows.ts";
import { Departure } from "./departure.ts";

/** On their way at a time, those that are being voided too. */
const MOST_UNDER_WAY = 1024;
/** Before a transfer that came to nothing is tried again. */
const RETRY_MS = { first: 200, most: 2000 };
/** IDs that arrived lately: who tells so twice is heard twice. */
const MOST_REMEMBERED = 1024;

/** Memory in which keys lie as base64 between a grant and their seal: locked, for one job at a time. */
export interface Scratch {
  readonly memory: Uint8Array;
  readonly queue: SerialQueue;
}

/** Bytes that the scratch must have: the letters of one block, each key's padded. */
export const SCRATCH_BYTES = 2 * BUNDLE_BYTES;

/** Keys on their way out over a border, each until it is relayed or void. */
export class BorderDepartures {
  readonly #host: BorderHost;
  readonly #context: Context;
  readonly #border: KmId;
  readonly #settings: BorderSettings;
  readonly #scratch: Scratch;
  readonly #underWay = new Set<Departure>();
  readonly #byKey = new Map<string, Departure>();
  readonly #arrived = new Set<string>();
  readonly #voids = new SerialQueue();
  /** Of those that are being voided. */
  readonly #backoffs = new Map<Departure, Backoff>();
  readonly #stopped = new AbortController();

  constructor(host: BorderHost, border: KmId, settings: BorderSettings, scratch: Scratch) {
    this.#host = host;
    this.#context = host.context;
    this.#border = border;
    this.#settings = settings;
    this.#scratch = scratch;
  }

  get size(): number {
    return this.#underWay.size;
  }

  restore(id: string, row: BorderRow): void {
    const { initiator, target, bornAt } = row;
    const keys = idsIn(row).map((keyId) => ({ keyId, length: 0 }));
    const parts = { id, border: this.#border, block: borderBlock("out", id), bornAt, initiator, target, keys };
    const departure = new Departure(this.#context.vault, parts);
    departure.mayBeThere = true;
    departure.failed(new Fault("STOPPING"));
    this.#add(departure);
  }

  /** What a start found is voided. */
  begin(): void {
    for (const departure of this.#underWay) this.#void(departure);
  }

  #add(departure: Departure): void {
    this.#underWay.add(departure);
    for (const keyId of departure.keyIds) this.#byKey.set(nameOf(keyId), departure);
  }

  #drop(departure: Departure): void {
    this.#underWay.delete(departure);
    this.#backoffs.get(departure)?.reset();
    this.#backoffs.delete(departure);
    for (const keyId of departure.keyIds) {
      const name = nameOf(keyId);
      if (this.#byKey.get(name) === departure) this.#byKey.delete(name);
    }
  }

  /**
   * Fetches keys in the name of the application beyond the border and sends them there; resolves when the other network
   * has relayed all of them, and nothing of them is left here. @throws Fault, and they will be void there
   */
  async depart(path: BorderPath, keyIds: readonly string[], signal: AbortSignal): Promise<void> {
    const { isOut, timeoutMs } = this.#settings;
    if (!isOut) {
      throw new Fault("NO_ROUTE", { text: `keys only come in over the border ${this.#border}: it has no url` });
    }
    if (this.#underWay.size >= MOST_UNDER_WAY) throw new Fault("BUSY");
    const departures = await this.#intend(path, keyIds);
    const late = new AbortController();
    const stopTimer = this.#context.clock.after(timeoutMs, () => late.abort());
    const ended = AbortSignal.any([signal, late.signal, this.#stopped.signal]);
    try {
      for (const departure of departures) this.#send(departure, ended);
      await Promise.all(departures.map(({ left }) => left));
    } catch (thrown) {
      // Of a request all keys are supplied or none.
      for (const departure of departures) this.#fail(departure, asFault(thrown));
      throw thrown;
    } finally {
      stopTimer();
    }
  }

  /** Fetched for the path, sealed apart, and durable as what is about to leave. @throws Fault, and nothing will leave */
  async #intend({ initiator, target }: BorderPath, keyIds: readonly string[]): Promise<readonly Departure[]> {
    const { vault, audit } = this.#context;
    using grant = await fetched(this.#host, { door: "etsi020", app: target, initiator, keyIds });
    const change = vault.change();
    const departures: Departure[] = [];
    for (const group of groupsOf(grant)) {
      const keys = group.map((index) => ({ keyId: keyIds[index] ?? "", length: grant.size(index) }));
      const id = `${this.#border}/out/${this.#context.random.hex(16)}`;
      const block = borderBlock("out", id);
      const bornAt = this.#context.ages.nowOn();
      const parts = { id, border: this.#border, block, bornAt, initiator, target, keys };
      const departure = new Departure(vault, parts);
      change.keep(await this.#sealed(grant, group, departure)).put(...departure.row("sending"));
      departures.push(departure);
    }
    await change.commit().catch((thrown: unknown) => {
      for (const departure of departures) this.#erase(departure);
      throw thrown;
    });
    for (const departure of departures) {
      this.#add(departure);
      const { block, keys } = departure;
      const fields = { peer: this.#border, initiator, target, block };
      audit.note("border_keys_sent", fields, { count: keys.length });
    }
    return departures;
  }

  async #sealed(grant: Grant, group: readonly number[], { block }: Departure) {
    const { memory, queue } = this.#scratch;
    return await queue.run(async () => {
      let end = 0;
      try {
        const letters = group.map((index) => {
          const start = end;
          end = grant.writeKey(index, memory, start);
          return memory.subarray(start, end);
        });
        return (await this.#context.vault.sealLetters(block, letters)).sealed;
      } finally {
        memory.fill(0, 0, end);
      }
    });
  }

  #erase({ id, block }: Departure): void {
    const change = this.#context.vault.change().remove(TABLE.border, id).destroy(block);
    change.commit().catch((err: unknown) => {
      this.#context.log.warn({ border: this.#border, err }, "keys that did not leave are still on the disk");
    });
  }

  #send(departure: Departure, ended: AbortSignal): void {
    const giveUp = (): void => this.#fail(departure, new Fault("PEER_UNAVAILABLE", { text: this.#lateText }));
    if (ended.aborted) {
      giveUp();
      return;
    }
    ended.addEventListener("abort", giveUp, { once: true });
    departure.left.then(...both(() => ended.removeEventListener("abort", giveUp)));
    this.#sendUntilTaken(departure, ended).catch((thrown: unknown) => this.#fail(departure, asFault(thrown)));
  }

  get #lateText(): string {
    return `the key manager of the other network, ${this.#border}, did not acknowledge the keys in time`;
  }

  async #sendUntilTaken(departure: Departure, ended: AbortSignal): Promise<void> {
    let pauseMs = RETRY_MS.first;
    while (departure.state === "sending") {
      const answer = await this.#try(departure, ended);
      if (departure.state !== "sending" || answer.kind === "accepted") return;
      if (answer.kind === "refused") {
        throw new Fault("BORDER_REFUSED", { text: `${this.#border} does not take the keys: ${answer.why}` });
      }
      if (answer.kind === "done") {
        await this.acknowledged(answer.acks);
        return;
      }
      this.#context.log.info({ border: this.#border, why: answer.why }, "keys could not leave yet");
      await this.#pause(pauseMs, ended);
      pauseMs = Math.min(2 * pauseMs, RETRY_MS.most);
    }
  }

  /** What did not come to the point of being refused may have been kept. */
  async #try(departure: Departure, ended: AbortSignal): Promise<BorderAnswer> {
    const { line } = this.#settings;
    if (line === undefined) return { kind: "unsent", why: "there is no url" };
    const couldBeThere = departure.mayBeThere;
    departure.mayBeThere = true;
    const answer = await line.send(departure, ended);
    if (departure.state === "sending" && (answer.kind === "unsent" || answer.kind === "refused")) {
      departure.mayBeThere = couldBeThere;
    }
    return answer;
  }

  #pause(ms: number, ended: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const over = (): void => {
        stop();
        ended.removeEventListener("abort", over);
        resolve();
      };
      const stop = this.#context.clock.after(ms, over);
      ended.addEventListener("abort", over, { once: true });
    });
  }

  /** @throws Fault KEY_NOT_FOUND, STORE_UNAVAILABLE */
  async acknowledged(acks: readonly BorderAck[]): Promise<void> {
    let isStrange = false;
    for (const ack of acks) {
      const groups = Map.groupBy(ack.keyIds, (keyId) => this.#find(ack, keyId));
      for (const [departure, keyIds] of groups) {
        if (departure !== undefined) await this.#told(departure, ack, keyIds);
        else isStrange ||= keyIds.some((keyId) => !this.#arrived.has(nameOf(keyId)));
      }
    }
    if (isStrange) throw new Fault("KEY_NOT_FOUND");
  }

  #find({ initiator, target }: BorderPath, keyId: string): Departure | undefined {
    const departure = this.#byKey.get(nameOf(keyId));
    return departure?.initiator === initiator && departure.target === target ? departure : undefined;
  }

  async #told(departure: Departure, { outcome, message }: BorderAck, keyIds: readonly string[]): Promise<void> {
    if (departure.state === "voiding") {
      this.#voidTold(departure, outcome, keyIds);
    } else if (departure.state === "sending" && outcome === "relayed") {
      if (departure.told(keyIds)) await this.#left(departure);
    } else if (departure.state === "sending") {
      const why = [outcome, message].filter((part) => part !== "").join(": ");
      this.#fail(departure, new Fault("BORDER_REFUSED", { text: `${this.#border} answers: ${why}` }));
    }
  }

  /** All are relayed: what is left of them here is destroyed, and then they may be supplied. */
  async #left(departure: Departure): Promise<void> {
    const { vault } = this.#context;
    await vault.change().remove(TABLE.border, departure.id).destroy(departure.block).commit();
    if (departure.state !== "sending") {
      // Given up meanwhile: it has its row again.
      if (departure.state === "voiding")
        await vault
          .change()
          .put(...departure.row("voiding"))
          .commit();
      return;
    }
    departure.arrived();
    this.#drop(departure);
    this.#remember(departure);
    this.#note(departure, "relayed");
  }

  #remember({ keyIds }: Departure): void {
    for (const keyId of keyIds) this.#arrived.add(nameOf(keyId));
    for (const oldest of this.#arrived) {
      if (this.#arrived.size <= MOST_REMEMBERED) return;
      this.#arrived.delete(oldest);
    }
  }

  #note({ initiator, target, block, keys }: Departure, outcome: string): void {
    const { audit, meter } = this.#context;
    audit.note("border_keys_left", { peer: this.#border, initiator, target, block, outcome }, { count: keys.length });
    meter.add("border_keys", { border: this.#border, direction: "out", outcome }, keys.length);
  }

  #fail(departure: Departure, fault: Fault): void {
    if (departure.state !== "sending") return;
    const isToBeVoided = departure.failed(fault);
    this.#note(departure, fault.code === "BORDER_REFUSED" ? "refused" : "given up");
    this.#context.log.warn({ border: this.#border, fault: fault.response }, "keys did not leave; they are destroyed");
    if (!isToBeVoided) {
      this.#drop(departure);
      this.#erase(departure);
      return;
    }
    const change = this.#context.vault.change().put(...departure.row("voiding"));
    change
      .destroy(departure.block)
      .commit()
      .catch((err: unknown) => {
        // The next start finds what is on its way and does the same.
        this.#context.log.warn({ border: this.#border, err }, "keys that did not leave are still on the disk");
      });
    this.#void(departure);
  }

  /** Tells the other network to destroy keys until it says that none of them will be had. */
  #void(departure: Departure): void {
    const backoff = new Backoff(this.#context.clock);
    this.#backoffs.set(departure, backoff);
    const again = (): void => {
      void this.#voids
        .run(() => this.#voidOnce(departure))
        .then(
          () => {
            if (departure.state === "voiding" && !this.#stopped.signal.aborted) backoff.wait(again);
          },
          (err: unknown) => this.#context.log.error({ border: this.#border, err }, "a defect ended a void"),
        );
    };
    again();
  }

  async #voidOnce(departure: Departure): Promise<void> {
    const { line } = this.#settings;
    const { ages, policy, log } = this.#context;
    if (departure.state !== "voiding" || this.#stopped.signal.aborted) return;
    if (ages.nowOn() - departure.bornAt > policy.maxAgeMs + policy.fetchWindowMs) {
      log.warn({ border: this.#border, keys: departure.keys.length }, "nobody answered a void: it is given up");
      this.#voided(departure, "given up");
    } else if (line !== undefined) {
      const { initiator, target, keyIds } = departure;
      const answer = await line.sendVoid({ initiator, target, keyIds });
      if (answer.kind === "done") await this.acknowledged(answer.acks);
      if (answer.kind === "refused") {
        log.warn({ border: this.#border, why: answer.why }, "a void was refused");
        this.#voided(departure, "refused");
      }
    }
  }

  #voidTold(departure: Departure, outcome: string, keyIds: readonly string[]): void {
    // `relayed` and `failed` answer the transfer that came before.
    if (outcome !== "voided" && outcome !== "key not present" && outcome !== "failed to void") return;
    if (departure.told(keyIds)) this.#voided(departure, outcome);
  }

  #voided(departure: Departure, outcome: string): void {
    const { initiator, target, keys } = departure;
    departure.state = "over";
    this.#drop(departure);
    this.#remember(departure);
    const fields = { peer: this.#border, initiator, target, direction: "out", outcome };
    this.#context.audit.note("border_keys_voided", fields, { count: keys.length });
    this.#erase(departure);
  }

  /** Whoever waits is refused; what may be there is voided after the next start. */
  stop(): void {
    this.#stopped.abort();
    for (const backoff of this.#backoffs.values()) backoff.reset();
  }
}

/** Runs `then` whatever becomes of a promise. */
const both = (then: () => void): [() => void, () => void] => [then, then];

const fetched = (host: BorderHost, request: FetchRequest): Promise<Grant> =>
  new Promise((resolve, reject) => void host.fetch(request, { granted: resolve, refused: reject }));

/** Indices of a grant's keys, each group fit for one block. */
function groupsOf(grant: Grant): readonly (readonly number[])[] {
  const groups: number[][] = [];
  let free = 0;
  for (let index = 0; index < grant.count; index++) {
    // As many as their letters would stand for at most.
    const bytes = Math.ceil(grant.size(index) / 3) * 3;
    if (bytes > free) {
      groups.push([]);
      free = BUNDLE_BYTES;
    }
    groups.at(-1)?.push(index);
    free -= bytes;
  }
  return groups;
}
