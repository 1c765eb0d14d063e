// The module's end of Kq: answers the host's call, holds blocks, sends them as far as there is room.

import type { LinkId } from "../../core/ids.ts";
import { step } from "../../core/life-cycle.ts";
import type { Secret } from "../../core/memory/secret.ts";
import type { Clock, Log, Random } from "../../core/ports.ts";
import { Malformed } from "../codec.ts";
import { Connection, type LineFault } from "../connection.ts";
import { COBS } from "../framing/cobs.ts";
import type { Decoder, Framing } from "../framing/framing.ts";
import {
  freshNonce,
  helloFrame,
  isHello,
  isNone,
  isSame,
  readHello,
  refusalOf,
  type Self,
  sideOf,
  WRONG_VERSION,
} from "../greeting.ts";
import { plainGuard, SealedGuard } from "../guard.ts";
import { MODULE_LIFE } from "../life.ts";
import { LIMITS, type Limits, MAX_FRAGMENT_BYTES } from "../limits.ts";
import { Line, type Write } from "../line.ts";
import type { Hello, Incoming } from "../messages.ts";
import { type Health, statusOf } from "./health.ts";
import { type MadeBlock, Shelf } from "./shelf.ts";

/** The module's link, name, role and memory. */
export interface ModuleOptions {
  readonly link: LinkId;
  readonly name: string;
  readonly role: "tx" | "rx";
  readonly blockBytes: number;
  /** Number of this start of the module pair; never the same twice. */
  readonly run: number;
  /** Blocks that it holds for the host at most. */
  readonly bufferBlocks: number;
  /** Bytes of key in one frame, 1 to 16,384; fewer on a bad line. */
  readonly pieceBytes?: number | undefined;
  readonly pairingKey?: Secret | undefined;
  readonly limits?: Partial<Limits> | undefined;
  /** How frames lie on the line; COBS unless said otherwise. */
  readonly framing?: Framing | undefined;
}

/** Time, randomness and memory of a module. */
export interface ModulePorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  fault?(kind: LineFault): void;
}

const PIECE_BYTES = 2_048;
/** Frames that arrive in a row before pieces get longer; times that one is asked for in vain before they get shorter. */
const LUCKY = 512;
const UNLUCKY = -12;

/** The module's end of Kq. */
export class Module {
  readonly #self: Self;
  readonly #ports: ModulePorts;
  readonly #limits: Limits;
  readonly #shelf: Shelf;
  readonly #framing: Framing;
  readonly #decoder: Decoder;
  #state: keyof typeof MODULE_LIFE = "down";
  #line: Line | undefined;
  #connection: Connection | undefined;
  #own: Uint8Array;
  #host: Hello | undefined;
  #granted = 0;
  #health: Health = { qber: 0, keyRateBitsPerS: 0, alarms: [] };
  #statusAt = 0;
  #helloAt = 0;
  #helloMs = 0;
  #answeredAt = 0;
  #refused: string | undefined;
  #cancelTick: (() => void) | undefined;

  /** @throws RangeError when `pieceBytes` is out of bounds */
  constructor(options: ModuleOptions, ports: ModulePorts) {
    const { role, pieceBytes = PIECE_BYTES, ...about } = options;
    if (pieceBytes < 1 || pieceBytes > MAX_FRAGMENT_BYTES) throw new RangeError(`no pieces of ${pieceBytes} bytes`);
    this.#self = { ...about, side: role };
    this.#ports = ports;
    this.#limits = { ...LIMITS, ...options.limits };
    this.#shelf = new Shelf(options.bufferBlocks, pieceBytes);
    this.#own = freshNonce(ports.random);
    this.#framing = options.framing ?? COBS;
    this.#decoder = this.#framing.decoder(
      (frame) => this.#frame(frame),
      () => this.#connection?.damaged(),
    );
  }

  get connected(): boolean {
    return this.#state === "open";
  }

  /** Blocks that it holds now, and those it dropped because it held too many. */
  get held(): { readonly blocks: number; readonly dropped: number } {
    return { blocks: this.#shelf.size, dropped: this.#shelf.dropped };
  }

  /** Takes a block over; `false` when there was no room and it is gone. */
  offer(block: MadeBlock): boolean {
    const kept = this.#shelf.offer(block);
    this.#connection?.gather();
    return kept;
  }

  report(health: Health): void {
    this.#health = health;
    this.#statusAt = 0;
  }

  attach(write: Write): void {
    this.#go("attached");
    this.#line = new Line(write, this.#framing);
    this.#decoder.reset();
    this.#armTick();
    this.#call();
  }

  detach(): void {
    this.#go("detached");
    this.#cancelTick?.();
    this.#endConnection();
    this.#line = undefined;
  }

  /** Bytes from the host, lent until this returns. */
  received(chunk: Buffer): void {
    this.#decoder.push(chunk);
    this.#connection?.settle();
  }

  drained(): void {
    this.#line?.drained();
    this.#connection?.settle();
  }

  /** Power off: everything held is gone. */
  close(): void {
    if (this.#state !== "down") this.detach();
    this.#shelf.clear();
  }

  #go(event: "attached" | "called" | "agreed" | "lost" | "detached"): void {
    this.#state = step(MODULE_LIFE, this.#state, event);
  }

  #armTick(): void {
    this.#cancelTick = this.#ports.clock.after(this.#limits.tickMs, () => {
      this.#armTick();
      this.#tick(this.#ports.clock.monotonicMs());
    });
  }

  #tick(now: number): void {
    if (this.#connection) this.#look(this.#connection);
    else if (this.#state === "answered" && now >= this.#answeredAt + this.#limits.silenceMs) this.#lost("silence");
    else if (now >= this.#helloAt) this.#hello();
  }

  /** Cuts pieces to suit the line. What is cut stays cut until a new connection. */
  #look(connection: Connection): void {
    connection.tick();
    if (this.#connection !== connection) return;
    if (connection.luck >= LUCKY) this.#shelf.lengthen();
    if (connection.luck <= UNLUCKY && this.#shelf.shorten()) this.#lost("damaged");
  }

  #call(): void {
    this.#own = freshNonce(this.#ports.random);
    this.#host = undefined;
    this.#helloMs = this.#limits.helloMs;
    this.#hello();
  }

  #hello(): void {
    this.#helloAt = this.#ports.clock.monotonicMs() + this.#helloMs;
    this.#helloMs = Math.min(2 * this.#helloMs, this.#limits.helloMaxMs);
    if (!this.#line?.writable) return;
    this.#line.put(helloFrame(this.#self, this.#own, this.#host?.own));
    this.#line.flush();
  }

  #frame(frame: Buffer): void {
    if (!isHello(frame)) {
      this.#connection?.received(frame);
      return;
    }
    try {
      const hello = readHello(frame);
      if (hello === undefined) this.#connection?.damaged();
      else if (hello === "otherVersion") this.#refuse(WRONG_VERSION.sentence);
      else if (isNone(hello.echo)) this.#called(hello);
      else if (this.#state === "answered") this.#confirmed(hello);
    } catch (thrown) {
      if (!(thrown instanceof Malformed)) throw thrown;
      this.#fault("malformed");
    }
  }

  /** A host begins: its first hello, or the same again. */
  #called(hello: Hello): void {
    if (sideOf(hello) !== "host") {
      this.#refuse("the other end of the line is a module too: check the cable");
      return;
    }
    const again = this.#host !== undefined && isSame(hello.own, this.#host.own);
    if (again && this.#state === "open") return;
    if (!again) this.#own = freshNonce(this.#ports.random);
    this.#go("called");
    this.#endConnection();
    this.#host = hello;
    this.#answeredAt = this.#ports.clock.monotonicMs();
    this.#helloMs = this.#limits.helloMs;
    this.#hello();
  }

  /** The host's last hello: it names our random bytes. */
  #confirmed(hello: Hello): void {
    if (!isSame(hello.echo, this.#own) || !this.#host || !isSame(hello.own, this.#host.own)) return;
    const refusal = refusalOf(this.#self, hello);
    if (refusal) this.#refuse(refusal.sentence);
    else this.#open(hello);
  }

  #refuse(sentence: string): void {
    this.#fault("refused");
    if (this.#refused !== sentence) this.#ports.log.warn({ link: this.#self.link }, `no connection: ${sentence}`);
    this.#refused = sentence;
  }

  #open(hello: Hello): void {
    const line = this.#line;
    if (line === undefined) return;
    this.#go("agreed");
    this.#refused = undefined;
    this.#granted = 0;
    this.#statusAt = 0;
    this.#shelf.rewind();
    const { pairingKey } = this.#self;
    const nonces = { host: hello.own, module: this.#own };
    this.#connection = new Connection({
      clock: this.#ports.clock,
      limits: this.#limits,
      line,
      guard: pairingKey ? new SealedGuard("module", pairingKey, nonces) : plainGuard(nonces),
      accept: (message) => this.#accept(message),
      fill: (connection) => this.#fill(connection),
      fault: (kind) => this.#fault(kind),
      lost: (kind) => this.#lost(kind),
    });
  }

  #accept(message: Incoming): void {
    if (message.name === "credit") this.#granted = Math.max(this.#granted, message.values.blocks);
    else if (message.name === "durable") this.#shelf.durable(message.values.blocks);
    else throw new Malformed(`a host does not send ${message.name}`);
  }

  #fill(connection: Connection): void {
    const now = this.#ports.clock.monotonicMs();
    if (now >= this.#statusAt && connection.hasRoom) {
      this.#statusAt = now + this.#limits.statusMs;
      connection.send("status", statusOf(this.#health, this.held));
    }
    while (connection.hasRoom) {
      const piece = this.#shelf.next(this.#granted);
      if (piece === undefined) return;
      connection.send("fragment", piece.values, piece.arrived);
    }
  }

  #lost(kind: LineFault): void {
    this.#fault(kind);
    this.#go("lost");
    this.#endConnection();
    this.#call();
  }

  #endConnection(): void {
    this.#connection?.[Symbol.dispose]();
    this.#connection = undefined;
  }

  #fault(kind: LineFault): void {
    this.#ports.fault?.(kind);
  }
}
