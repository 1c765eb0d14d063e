// One connection after its hellos, seen from one end: good frames in, numbered messages out, until it is disposed.

import type { Clock } from "../core/ports.ts";
import { Malformed, Reader } from "./codec.ts";
import type { Frame, Guard } from "./guard.ts";
import { Inbox } from "./inbox.ts";
import type { Limits } from "./limits.ts";
import type { Line } from "./line.ts";
import { decode, encode, type Incoming, KQ, type KqName, type PayloadOf } from "./messages.ts";
import { Outbox } from "./outbox.ts";

/** What can be wrong with a frame: labels of the counter `line_faults`. */
export type LineFault = "damaged" | "repeated" | "order" | "malformed" | "refused" | "silence" | "spent" | "restarted";

/** Time, limits, and whom frames go to. */
export interface ConnectionPorts {
  readonly clock: Clock;
  readonly limits: Limits;
  readonly line: Line;
  readonly guard: Guard;
  /** A numbered message, once and in order; views in it are lent until this returns. Throws Malformed if it makes no sense. */
  accept(message: Incoming): void;
  /** Adds to the outbox what should go out, while it has room. `due`: small things too, which wait for company. */
  fill(connection: Connection, due: boolean): void;
  fault(kind: LineFault): void;
  /** The other end breaks the rules, or the numbers are spent: begin again. */
  lost(kind: LineFault): void;
}

/** On a line bad enough to ask, asking once may not be enough. */
const ASK_TIMES = 3;

/** One connection of host and module after their hellos. */
export class Connection implements Disposable {
  readonly #ports: ConnectionPorts;
  readonly #outbox: Outbox;
  readonly #inbox: Inbox;
  #heardAt: number;
  #ackOut = 0;
  #ackIn = -1;
  #cancelGather: (() => void) | undefined;
  /** When what waits for company goes out; Infinity while nothing does. */
  #gatheredAt = Number.POSITIVE_INFINITY;
  /** What waited for company should go out, as soon as the line takes it. */
  #due = false;
  #ended = false;

  constructor(ports: ConnectionPorts) {
    this.#ports = ports;
    this.#outbox = new Outbox(ports.limits);
    this.#inbox = new Inbox(ports.limits);
    this.#heardAt = ports.clock.monotonicMs();
  }

  get hasRoom(): boolean {
    return this.#outbox.hasRoom && !this.#outbox.spent;
  }

  /** How the frames sent have fared lately; see `Outbox`. */
  get luck(): number {
    return this.#outbox.luck;
  }

  /** Puts a message into the outbox. `values` must stay as they are until `arrived` is called. */
  send<N extends KqName>(name: N, values: PayloadOf<N>, arrived?: () => void): void {
    this.#outbox.add(name, (to) => encode(name, values, to), arrived);
  }

  /** A frame that is no hello. `settle` follows when the chunk is done. */
  received(frame: Buffer): void {
    if (this.#ended) return;
    const good = this.#ports.guard.open(frame, (opened) => this.#opened(opened));
    if (good === undefined) this.damaged();
  }

  /** Something arrived that cannot be a frame. */
  damaged(): void {
    if (this.#ended) return;
    this.#ports.fault("damaged");
    this.#inbox.damaged(this.#ports.clock.monotonicMs());
  }

  /** Sends what is due now; small things wait a moment for company. */
  settle(): void {
    if (this.#ended) return;
    if (this.#inbox.owes === "soon") this.gather("rest");
    this.#pump();
  }

  /** Sends what the owner has to say within `gatherMs`, or within `restMs` where the other end can do without. */
  gather(how?: "rest"): void {
    if (this.#ended) return;
    const { clock, limits } = this.#ports;
    const waitMs = how === "rest" ? limits.restMs : limits.gatherMs;
    const at = clock.monotonicMs() + waitMs;
    if (at >= this.#gatheredAt) return;
    this.#cancelGather?.();
    this.#gatheredAt = at;
    this.#cancelGather = clock.after(waitMs, () => {
      this.#gatheredAt = Number.POSITIVE_INFINITY;
      this.#pump(true);
    });
  }

  /** Looks at the deadlines. */
  tick(): void {
    const { clock, limits } = this.#ports;
    const now = clock.monotonicMs();
    const quietMs = now - this.#heardAt;
    const spent = this.#outbox.spent || this.#ackOut > limits.lastNumber;
    if (spent || quietMs >= limits.silenceMs) {
      this.#ports.lost(spent ? "spent" : "silence");
      return;
    }
    if (quietMs >= limits.nudgeMs) this.#inbox.owe();
    this.#outbox.tick(now);
    this.#pump(true);
  }

  [Symbol.dispose](): void {
    this.#ended = true;
    this.#cancelGather?.();
    this.#ports.guard[Symbol.dispose]();
  }

  #opened(frame: Frame): true {
    const now = this.#ports.clock.monotonicMs();
    this.#heardAt = now;
    try {
      if (frame.name === "acknowledgement") this.#acknowledged(frame, now);
      else if (KQ[frame.name].order === "numbered") this.#numbered(frame, now);
    } catch (thrown) {
      if (!(thrown instanceof Malformed)) throw thrown;
      this.#ports.lost("malformed");
    }
    return true;
  }

  #acknowledged(frame: Frame, nowMs: number): void {
    if (frame.number <= this.#ackIn) return;
    this.#ackIn = frame.number;
    const { next, resend } = KQ.acknowledgement.get(new Reader(frame.body));
    if (!this.#outbox.acknowledged(next, resend === 1, nowMs)) throw new Malformed("an acknowledgement of the unsent");
  }

  #numbered(frame: Frame, nowMs: number): void {
    const verdict = this.#inbox.take(frame.number, nowMs);
    if (verdict === "next") this.#ports.accept(decode(frame.name, new Reader(frame.body)));
    else this.#ports.fault(verdict === "repeated" ? "repeated" : "order");
  }

  #pump(all = false): void {
    const { line, guard, clock } = this.#ports;
    this.#due ||= all;
    if (this.#ended || !line.writable) return;
    const { owes } = this.#inbox;
    const due = this.#due || owes === "now";
    this.#due = false;
    if (due && owes) {
      const values = this.#inbox.acknowledge();
      for (let times = values.resend === 1 ? ASK_TIMES : 1; times > 0; times--) {
        line.put(guard.seal("acknowledgement", this.#ackOut++, (to) => encode("acknowledgement", values, to)));
      }
    }
    const now = clock.monotonicMs();
    while (line.writable) {
      this.#ports.fill(this, due);
      const parcel = this.#outbox.next(now);
      if (parcel === undefined) break;
      line.put(guard.seal(parcel.name, parcel.number, parcel.put));
    }
    line.flush();
  }
}
