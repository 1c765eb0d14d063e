// Keys that leave over a border: the intent durable before the first byte, sent until they are acknowledged, void if not.
//
// What a kill leaves: before the intent is durable nothing has left; after it the next start finds the row, destroys the key
// and has it voided there, for whoever asked is gone. A key is supplied only when its row and its bytes are off the disk.

import { asFault, Fault } from "../../../core/fault.ts";
import type { KmId } from "../../../core/ids.ts";
import type { Context } from "../../common/context.ts";
import { type BorderRow, borderBlock, TABLE } from "../../common/rows.ts";
import type { BorderAck, BorderAnswer, BorderPath } from "../../ports/borders.ts";
import type { BorderHost, BorderSettings } from "../border-host.ts";
import { idsIn, nameOf } from "../border-rows.ts";
import { BorderVoids } from "./border-voids.ts";
import { Departure } from "./departure.ts";
import { erase, intend, type Scratch } from "./departure-intent.ts";

/** On their way at a time, those that are being voided too. */
const MOST_UNDER_WAY = 1024;
/** Requests that wait for the other network: each holds its keys in locked memory. */
const MOST_ASKING = 64;
/** Before a transfer that came to nothing is tried again. */
const RETRY_MS = { first: 200, most: 2000 };
/** IDs that arrived lately, with their path: who tells so twice is heard twice. */
const MOST_REMEMBERED = 1024;

/** Keys on their way out over a border, each until it is relayed or void. */
export class BorderDepartures {
  readonly #host: BorderHost;
  readonly #context: Context;
  readonly #border: KmId;
  readonly #settings: () => BorderSettings;
  readonly #scratch: Scratch;
  readonly #underWay = new Set<Departure>();
  readonly #byKey = new Map<string, Departure>();
  readonly #arrived = new Map<string, string>();
  readonly #voids: BorderVoids;
  readonly #stopped = new AbortController();
  #asking = 0;

  constructor(host: BorderHost, border: KmId, settings: () => BorderSettings, scratch: Scratch) {
    this.#host = host;
    this.#context = host.context;
    this.#border = border;
    this.#settings = settings;
    this.#scratch = scratch;
    this.#voids = new BorderVoids(host.context, border, () => settings().line, {
      told: (acks) => this.acknowledged(acks),
      over: (departure) => this.#voided(departure),
    });
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
    for (const departure of this.#underWay) this.#voids.add(departure);
  }

  #add(departure: Departure): void {
    this.#underWay.add(departure);
    for (const keyId of departure.keyIds) this.#byKey.set(nameOf(keyId), departure);
  }

  #drop(departure: Departure): void {
    this.#underWay.delete(departure);
    this.#voids.drop(departure);
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
    const { isOut, timeoutMs } = this.#settings();
    if (!isOut) {
      throw new Fault("NO_ROUTE", { text: `keys only come in over the border ${this.#border}: it has no url` });
    }
    if (this.#underWay.size >= MOST_UNDER_WAY || this.#asking >= MOST_ASKING) throw new Fault("BUSY");
    this.#asking++;
    try {
      await this.#leaveWithin(timeoutMs, path, keyIds, signal);
    } finally {
      this.#asking--;
    }
  }

  async #leaveWithin(
    timeoutMs: number,
    path: BorderPath,
    keyIds: readonly string[],
    signal: AbortSignal,
  ): Promise<void> {
    const departures = await intend(this.#host, { border: this.#border, scratch: this.#scratch, path, keyIds });
    for (const departure of departures) this.#add(departure);
    const late = new AbortController();
    const stopTimer = this.#context.clock.after(timeoutMs, () => late.abort());
    const ended = AbortSignal.any([signal, late.signal, this.#stopped.signal]);
    try {
      for (const departure of departures) this.#send(departure, ended);
      await Promise.all(departures.map(({ left }) => left));
    } catch (thrown) {
      // Of a request all keys are supplied or none.
      for (const departure of departures) {
        if (departure.state === "over" && departure.mayBeThere) this.#revoke(departure, asFault(thrown));
        else this.#fail(departure, asFault(thrown));
      }
      throw thrown;
    } finally {
      stopTimer();
    }
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
    const { line } = this.#settings();
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
      this.#voids.told(departure, outcome, keyIds);
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

  #remember({ keyIds, ...path }: Pick<Departure, "keyIds" | "initiator" | "target">): void {
    for (const keyId of keyIds) this.#arrived.set(nameOf(keyId), pathText(path));
    for (const oldest of this.#arrived.keys()) {
      if (this.#arrived.size <= MOST_REMEMBERED) return;
      this.#arrived.delete(oldest);
    }
  }

  #note({ initiator, target, block, keys }: Departure, outcome: string): void {
    const { audit, meter } = this.#context;
    audit.note("border_keys_left", { peer: this.#border, initiator, target, block, outcome }, { count: keys.length });
    meter.add("border_keys", { border: this.#border, direction: "out", outcome }, keys.length);
  }

  /** It has arrived, but is supplied to nobody. */
  #revoke(departure: Departure, fault: Fault): void {
    departure.state = "sending";
    this.#add(departure);
    this.#fail(departure, fault);
  }

  #fail(departure: Departure, fault: Fault): void {
    if (departure.state !== "sending") return;
    const isToBeVoided = departure.failed(fault);
    this.#note(departure, fault.code === "BORDER_REFUSED" ? "refused" : "given up");
    this.#context.log.warn({ border: this.#border, fault: fault.response }, "keys did not leave; they are destroyed");
    if (!isToBeVoided) {
      this.#drop(departure);
      erase(this.#context, departure);
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
    this.#voids.add(departure);
  }

  /**
   * Keys that arrived lately are void, for who asked was not given them; that they are to be is durable when it resolves.
   * @throws Fault KEY_NOT_FOUND, STORE_UNAVAILABLE
   */
  async revoke(path: BorderPath, keyIds: readonly string[]): Promise<void> {
    const { vault, random, ages } = this.#context;
    if (!keyIds.every((keyId) => this.#arrived.get(nameOf(keyId)) === pathText(path))) throw new Fault("KEY_NOT_FOUND");
    const id = `${this.#border}/out/${random.hex(16)}`;
    const keys = keyIds.map((keyId) => ({ keyId, length: 0 }));
    const own = { id, border: this.#border, block: borderBlock("out", id), bornAt: ages.nowOn(), keys };
    const departure = new Departure(vault, { ...own, initiator: path.initiator, target: path.target });
    departure.mayBeThere = true;
    departure.failed(new Fault("STOPPING"));
    await vault
      .change()
      .put(...departure.row("voiding"))
      .commit();
    this.#add(departure);
    this.#voids.add(departure);
  }

  /** Nothing of them will be had there. */
  #voided(departure: Departure): void {
    this.#drop(departure);
    this.#remember(departure);
    erase(this.#context, departure);
  }

  /** Whoever waits is refused; what may be there is voided after the next start. */
  stop(): void {
    this.#stopped.abort();
    this.#voids.stop();
  }
}

const pathText = ({ initiator, target }: BorderPath): string => `${initiator} ${target}`;

/** Runs `then` whatever becomes of a promise. */
const both = (then: () => void): [() => void, () => void] => [then, then];
