// Tells the other network to destroy keys until it says that none of them will be had.

import { asFault } from "../../../core/fault.ts";
import type { KmId } from "../../../core/ids.ts";
import type { Context } from "../../common/context.ts";
import { SerialQueue } from "../../common/queues/serial-queue.ts";
import type { BorderAck, BorderLine, BorderOutcome } from "../../ports/borders.ts";
import { Backoff } from "../border-backoff.ts";
import type { Departure } from "./departure.ts";

/** What is done with answers. */
export interface VoidEvents {
  /** Acknowledgements came with an answer. @throws Fault */
  told(acks: readonly BorderAck[]): Promise<void>;
  /** Nothing of these keys will be had, or nobody can tell. */
  over(departure: Departure): void;
}

/** Voids of one border that are under way. */
export class BorderVoids {
  readonly #context: Context;
  readonly #border: KmId;
  readonly #line: () => BorderLine | undefined;
  readonly #events: VoidEvents;
  /** One request at a time. */
  readonly #queue = new SerialQueue();
  readonly #backoffs = new Map<Departure, Backoff>();
  #isStopped = false;

  /** `line` is asked each time: undefined where the configuration has the border no more. */
  constructor(context: Context, border: KmId, line: () => BorderLine | undefined, events: VoidEvents) {
    this.#context = context;
    this.#border = border;
    this.#line = line;
    this.#events = events;
  }

  /** Begins with keys that may be there. */
  add(departure: Departure): void {
    const backoff = new Backoff(this.#context.clock);
    this.#backoffs.set(departure, backoff);
    const again = (): void => {
      void this.#queue
        .run(() => this.#once(departure))
        .catch((thrown: unknown) =>
          this.#log.warn({ border: this.#border, fault: asFault(thrown).response }, "a void came to nothing yet"),
        )
        .then(() => {
          if (departure.state === "voiding" && !this.#isStopped) backoff.wait(again);
        });
    };
    again();
  }

  get #log(): Context["log"] {
    return this.#context.log;
  }

  async #once(departure: Departure): Promise<void> {
    const { ages, policy } = this.#context;
    const line = this.#line();
    if (departure.state !== "voiding" || this.#isStopped || line === undefined) return;
    if (ages.nowOn() - departure.bornAt > policy.maxAgeMs + policy.fetchWindowMs) {
      this.#log.warn({ border: this.#border, keys: departure.keys.length }, "nobody answered a void: it is given up");
      this.#over(departure, "given up");
      return;
    }
    const { initiator, target, keyIds } = departure;
    const answer = await line.sendVoid({ initiator, target, keyIds });
    if (answer.kind === "done") await this.#events.told(answer.acks);
    if (answer.kind !== "refused") return;
    this.#log.warn({ border: this.#border, why: answer.why }, "a void was refused");
    this.#over(departure, "refused");
  }

  /** What the other end says of keys that are being voided. */
  told(departure: Departure, outcome: BorderOutcome, keyIds: readonly string[]): void {
    // These answer the transfer that came before.
    if (outcome === "relayed" || outcome === "failed") return;
    if (departure.told(keyIds)) this.#over(departure, outcome);
  }

  #over(departure: Departure, outcome: string): void {
    const { initiator, target, keys } = departure;
    departure.state = "over";
    const fields = { peer: this.#border, initiator, target, direction: "out", outcome };
    this.#context.audit.note("border_keys_voided", fields, { count: keys.length });
    this.#events.over(departure);
  }

  /** Asks no more for these. */
  drop(departure: Departure): void {
    this.#backoffs.get(departure)?.reset();
    this.#backoffs.delete(departure);
  }

  /** Asks no more: the next start does. */
  stop(): void {
    this.#isStopped = true;
    for (const backoff of this.#backoffs.values()) backoff.reset();
  }
}
