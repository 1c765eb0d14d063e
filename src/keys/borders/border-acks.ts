// What the other network is to be told of its keys: durable with what it tells, sent again until it is heard.

import type { KmId } from "../../core/ids.ts";
import type { Change } from "../../vault/vault.ts";
import type { Context } from "../common/context.ts";
import { type BorderRow, TABLE } from "../common/rows.ts";
import type { BorderAck, BorderLine, BorderOutcome, BorderPath } from "../ports/borders.ts";
import { keysText } from "../strict/strict-bundle.ts";
import { Backoff } from "./border-backoff.ts";
import { borderRow, idsIn } from "./border-rows.ts";

/** Outcomes that may wait at a time: then nothing more is taken from this border. */
export const MOST_OWED = 4096;
/** Key IDs that one request tells of (020: at most 1,024). */
const MOST_IDS = 1024;

interface Owed {
  readonly id: string;
  readonly callback: string;
  readonly bornAt: number;
  readonly ack: BorderAck;
}

/** Acknowledgements that the system beyond a border has to be told, until it has taken them. */
export class BorderAcks {
  readonly #context: Context;
  readonly #border: KmId;
  readonly #line: () => BorderLine | undefined;
  readonly #owed = new Map<string, Owed>();
  readonly #backoff: Backoff;
  #sending = false;
  #stopped = false;

  /** `line` is asked each time: undefined where the configuration has the border no more. */
  constructor(context: Context, border: KmId, line: () => BorderLine | undefined) {
    this.#context = context;
    this.#border = border;
    this.#line = line;
    this.#backoff = new Backoff(context.clock);
  }

  get size(): number {
    return this.#owed.size;
  }

  restore(id: string, row: BorderRow): void {
    const { callback, bornAt, initiator, target, message, state } = row;
    const ack = { initiator, target, message, outcome: state as BorderOutcome, keyIds: idsIn(row) };
    this.#owed.set(id, { id, callback, bornAt, ack });
  }

  /** Writes what is owed into the change that makes it true; the function returned is called when that is durable. */
  owe(acks: readonly BorderAck[], callback: string, change: Change): () => void {
    const { random, ages } = this.#context;
    const added = acks.map((ack): Owed => {
      const owed = { id: `${this.#border}/ack/${random.hex(16)}`, callback, bornAt: ages.nowOn(), ack };
      const { outcome, message, keyIds } = ack;
      const keys = keysText(keyIds.map((id) => ({ id, length: 0 })));
      const given = { border: this.#border, bornAt: owed.bornAt, state: outcome, keys, callback, message };
      change.put(TABLE.border, owed.id, borderRow("ack", ack, given));
      return owed;
    });
    return () => {
      for (const owed of added) this.#owed.set(owed.id, owed);
      this.kick();
    };
  }

  /** Sends what is owed, in order, one request at a time. */
  kick(): void {
    if (this.#sending || this.#stopped || this.#backoff.isWaiting || this.#owed.size === 0) return;
    this.#sending = true;
    this.#sendSome().then(
      (isHeard) => this.#sent(isHeard),
      (err: unknown) => {
        this.#context.log.warn({ border: this.#border, err }, "acknowledgements could not be sent");
        this.#sent(false);
      },
    );
  }

  #sent(isHeard: boolean): void {
    this.#sending = false;
    if (isHeard) {
      this.#backoff.reset();
      this.kick();
    } else if (!this.#stopped) {
      this.#backoff.wait(() => this.kick());
    }
  }

  /** False when it is to be tried again later. */
  async #sendSome(): Promise<boolean> {
    const batch = this.#batch();
    const [first] = batch;
    const line = this.#line();
    if (first === undefined || line === undefined) return first === undefined;
    const answer = await line.sendAcks(
      first.callback,
      batch.map(({ ack }) => ack),
    );
    if (answer.kind === "unsent" || answer.kind === "unknown") {
      this.#context.log.info({ border: this.#border, why: answer.why }, "acknowledgements wait for the other network");
      return false;
    }
    if (answer.kind === "refused") {
      this.#context.log.warn({ border: this.#border, why: answer.why }, "acknowledgements were refused");
    }
    this.#forget(batch);
    return true;
  }

  /** The first, and what goes to the same place with it. */
  #batch(): readonly Owed[] {
    const batch: Owed[] = [];
    let ids = 0;
    for (const owed of this.#owed.values()) {
      ids += Math.max(1, owed.ack.keyIds.length);
      if (owed.callback !== (batch[0] ?? owed).callback || (batch.length > 0 && ids > MOST_IDS)) break;
      batch.push(owed);
    }
    return batch;
  }

  /** A row that stays because of a rejected commit is told again after the next start, which does no harm. */
  #forget(batch: readonly Owed[]): void {
    if (batch.length === 0) return;
    const change = this.#context.vault.change();
    for (const { id } of batch) {
      this.#owed.delete(id);
      change.remove(TABLE.border, id);
    }
    change.commit().catch((err: unknown) => {
      this.#context.log.warn({ border: this.#border, err }, "acknowledgements that were heard are still on the disk");
    });
  }

  /** `oldestBorn` without the time switched off. */
  expire(oldestBorn: number): void {
    const old = this.#sending ? [] : [...this.#owed.values()].filter(({ bornAt }) => bornAt <= oldestBorn);
    if (old.length === 0) return;
    this.#context.log.warn({ border: this.#border, count: old.length }, "acknowledgements were never heard: given up");
    this.#forget(old);
  }

  stop(): void {
    this.#stopped = true;
    this.#backoff.reset();
  }
}

/** One container for each outcome, more where there are too many keys for one. An empty ID stands for none. */
export function acksOf(
  path: BorderPath,
  outcomes: readonly (readonly [string, BorderOutcome])[],
): readonly BorderAck[] {
  const { initiator, target } = path;
  const groups = Map.groupBy(outcomes, ([, outcome]) => outcome);
  return [...groups].flatMap(([outcome, keys]) =>
    chunksOf(
      keys.map(([id]) => id).filter((id) => id !== ""),
      MOST_IDS,
    ).map((keyIds) => ({ initiator, target, outcome, message: "", keyIds })),
  );
}

/** At least one, which may be empty. */
const chunksOf = (ids: readonly string[], most: number): readonly (readonly string[])[] =>
  Array.from({ length: Math.max(1, Math.ceil(ids.length / most)) }, (_, at) => ids.slice(at * most, (at + 1) * most));
