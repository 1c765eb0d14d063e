// The KM's end of Kq: calls the module, grants room, hands whole blocks out, tells which are durable.

import type { LinkId } from "../../core/ids.ts";
import { step } from "../../core/life-cycle.ts";
import { forgetRegistersSoon } from "../../core/memory/registers.ts";
import type { Secret, SecretPool } from "../../core/memory/secret.ts";
import type { Clock, Log, Meter, Random } from "../../core/ports.ts";
import { Malformed } from "../codec.ts";
import { Connection, type LineFault } from "../connection.ts";
import { COBS } from "../framing/cobs.ts";
import type { Decoder, Framing } from "../framing/framing.ts";
import {
  freshNonce,
  helloFrame,
  isHello,
  isSame,
  type Refusal,
  readHello,
  refusalOf,
  type Self,
  sideOf,
  WRONG_VERSION,
} from "../greeting.ts";
import { plainGuard, SealedGuard } from "../guard.ts";
import { HOST_LIFE } from "../life.ts";
import { LIMITS, type Limits } from "../limits.ts";
import { Line, type Write } from "../line.ts";
import type { Hello, Incoming, Status } from "../messages.ts";
import { Arrivals, type Arrived } from "./arrivals.ts";

/** The link, its block size, and what the line is like. */
export interface HostOptions {
  readonly link: LinkId;
  readonly blockBytes: number;
  /** 32 bytes; the caller disposes it after the host. */
  readonly pairingKey?: Secret | undefined;
  readonly limits?: Partial<Limits> | undefined;
  /** How frames lie on the line; COBS unless said otherwise. */
  readonly framing?: Framing | undefined;
}

/** Memory for blocks, time, randomness, log and counters. */
export interface HostPorts {
  readonly pool: SecretPool;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly meter: Meter;
}

/** What is known of module and line, as `src/device` wants it. */
export interface HostStatus {
  readonly line: "up" | "down";
  readonly module?: string;
  readonly role?: "tx" | "rx";
  readonly run?: number;
  /** 0 to 1. */
  readonly qber?: number;
  readonly keyRateBitsPerS?: number;
  /** Why there is no connection, or what the module reports. */
  readonly alarms: readonly string[];
}

type State = keyof typeof HOST_LIFE;

/** One module's host. A line is attached and detached as it comes and goes; blocks and receipts outlive it. */
export class Host {
  readonly #self: Self;
  readonly #ports: HostPorts;
  readonly #limits: Limits;
  readonly #arrivals: Arrivals;
  readonly #framing: Framing;
  readonly #decoder: Decoder;
  #state: State = "down";
  #line: Line | undefined;
  #connection: Connection | undefined;
  #own: Uint8Array;
  #module: Hello | undefined;
  #status: Status | undefined;
  #refusal: Refusal | undefined;
  #announcedCredit = 0;
  /** When the last block began, and how long after the one before. */
  #begunAt = Number.NEGATIVE_INFINITY;
  #gapMs = Number.POSITIVE_INFINITY;
  #helloAt = 0;
  #helloMs = 0;
  #cancelTick: (() => void) | undefined;

  constructor(options: HostOptions, ports: HostPorts) {
    const { link, blockBytes, pairingKey } = options;
    this.#self = { side: "host", name: "qkm", run: 0, link, blockBytes, pairingKey };
    this.#ports = ports;
    this.#limits = { ...LIMITS, ...options.limits };
    this.#own = freshNonce(ports.random);
    this.#framing = options.framing ?? COBS;
    this.#decoder = this.#framing.decoder(
      (frame) => this.#frame(frame),
      () => this.#damaged(),
    );
    this.#arrivals = new Arrivals(blockBytes, this.#limits.maxCredit, {
      pool: ports.pool,
      repeated: () => this.#fault("repeated"),
      changed: () => this.#changed(),
    });
  }

  /** To one iterator, in the order of the module; ends at `close`. */
  blocks(): AsyncIterable<Arrived> {
    return this.#arrivals.blocks();
  }

  status(): HostStatus {
    const alarms = this.#refusal ? [this.#refusal.alarm] : [];
    if (this.#state !== "open" || this.#module === undefined) return { line: "down", alarms };
    const { name, run } = this.#module;
    const about = { line: "up", module: name, role: sideOf(this.#module) === "rx" ? "rx" : "tx", run } as const;
    if (this.#status === undefined) return { ...about, alarms };
    const { qber, keyRate } = this.#status;
    return { ...about, qber: qber / 1e6, keyRateBitsPerS: keyRate, alarms: this.#status.alarms };
  }

  /** A line is there; `write` takes what goes to the module. */
  attach(write: Write): void {
    this.#go("attached");
    this.#line = new Line(write, this.#framing);
    this.#decoder.reset();
    this.#call(0);
    this.#armTick();
  }

  /** The line is gone: half a block is dropped, the module still has it. */
  detach(): void {
    this.#go("detached");
    this.#cancelTick?.();
    this.#endConnection();
    this.#line = undefined;
    this.#decoder.reset();
  }

  /** Bytes from the module, lent until this returns. */
  received(chunk: Buffer): void {
    this.#decoder.push(chunk);
    this.#connection?.settle();
    forgetRegistersSoon();
  }

  /** The line takes bytes again. */
  drained(): void {
    this.#line?.drained();
    this.#connection?.settle();
  }

  /** Gives back every slot that is not in someone's hands. Nothing may be called after. */
  close(): void {
    if (this.#state !== "down") this.detach();
    this.#arrivals.close();
  }

  #go(event: "attached" | "agreed" | "lost" | "detached"): void {
    this.#state = step(HOST_LIFE, this.#state, event);
  }

  #armTick(): void {
    this.#cancelTick = this.#ports.clock.after(this.#limits.tickMs, () => {
      this.#armTick();
      if (this.#connection) this.#connection.tick();
      else if (this.#ports.clock.monotonicMs() >= this.#helloAt) this.#hello();
    });
  }

  /** A new attempt, under new random bytes. */
  #call(waitMs: number): void {
    this.#own = freshNonce(this.#ports.random);
    this.#helloMs = this.#limits.helloMs;
    this.#helloAt = this.#ports.clock.monotonicMs() + waitMs;
    if (waitMs === 0) this.#hello();
  }

  #hello(echo?: Uint8Array): void {
    this.#helloAt = this.#ports.clock.monotonicMs() + this.#helloMs;
    this.#helloMs = Math.min(2 * this.#helloMs, this.#limits.helloMaxMs);
    if (!this.#line?.writable) return;
    this.#line.put(helloFrame(this.#self, this.#own, echo));
    this.#line.flush();
  }

  #frame(frame: Buffer): void {
    if (!isHello(frame)) {
      this.#connection?.received(frame);
      return;
    }
    try {
      const hello = readHello(frame);
      if (hello === undefined) this.#damaged();
      else if (hello === "otherVersion") this.#refuse(WRONG_VERSION);
      else this.#greeted(hello);
    } catch (thrown) {
      if (!(thrown instanceof Malformed)) throw thrown;
      this.#fault("malformed");
    }
  }

  #greeted(hello: Hello): void {
    const answers = isSame(hello.echo, this.#own);
    if (this.#state === "open") {
      if (!answers || !this.#module || !isSame(hello.own, this.#module.own)) this.#lost("restarted", 0);
      else this.#hello(hello.own);
      return;
    }
    const refusal = answers || hello.side === 0 ? refusalOf(this.#self, hello) : undefined;
    if (refusal) this.#refuse(refusal);
    else if (answers) this.#open(hello);
    else this.#hello();
  }

  #refuse(refusal: Refusal): void {
    if (this.#refusal?.alarm !== refusal.alarm) {
      this.#ports.log.warn(
        { link: this.#self.link, alarm: refusal.alarm },
        `no key from this module: ${refusal.sentence}`,
      );
    }
    this.#refusal = refusal;
    this.#fault("refused");
  }

  #open(hello: Hello): void {
    const line = this.#line;
    if (line === undefined) return;
    this.#go("agreed");
    this.#refusal = undefined;
    this.#module = hello;
    this.#status = undefined;
    this.#announcedCredit = 0;
    const { pairingKey, link } = this.#self;
    const nonces = { host: this.#own, module: hello.own };
    this.#connection = new Connection({
      clock: this.#ports.clock,
      limits: this.#limits,
      line,
      guard: pairingKey ? new SealedGuard("host", pairingKey, nonces) : plainGuard(nonces),
      accept: (message) => this.#accept(message),
      fill: (connection, due) => due && this.#fill(connection),
      fault: (kind) => this.#fault(kind),
      lost: (kind) => this.#lost(kind, this.#limits.helloMs),
    });
    this.#connection.gather();
    this.#hello(hello.own);
    this.#ports.log.info({ link, module: hello.name, run: hello.run, role: sideOf(hello) }, "the module is connected");
  }

  #accept(message: Incoming): void {
    if (message.name === "fragment") {
      if (message.values.offset === 0) this.#begun();
      this.#arrivals.fragment(message.values);
    } else if (message.name === "status") this.#status = message.values;
    else throw new Malformed(`a module does not send ${message.name}`);
  }

  /** Credit is wanted soon where blocks follow one another, or the module has none left; a lonely block's waits for its receipt. */
  #changed(): void {
    const isLonely = this.#gapMs >= this.#limits.restMs && this.#arrivals.begun < this.#announcedCredit;
    this.#connection?.gather(isLonely ? "rest" : undefined);
  }

  #begun(): void {
    const nowMs = this.#ports.clock.monotonicMs();
    this.#gapMs = nowMs - this.#begunAt;
    this.#begunAt = nowMs;
  }

  #fill(connection: Connection): void {
    if (!connection.hasRoom) return;
    const blocks = this.#arrivals.takeReceipts();
    if (blocks.length > 0) connection.send("durable", { blocks }, () => this.#arrivals.confirmed(blocks));
    const granted = this.#arrivals.granted();
    if (granted === this.#announcedCredit || !connection.hasRoom) return;
    this.#announcedCredit = granted;
    connection.send("credit", { blocks: granted });
  }

  #lost(kind: LineFault, waitMs: number): void {
    this.#fault(kind);
    this.#go("lost");
    this.#endConnection();
    this.#ports.log.warn({ link: this.#self.link, kind }, "the connection with the module is lost; calling it again");
    this.#call(waitMs);
  }

  #endConnection(): void {
    this.#connection?.[Symbol.dispose]();
    this.#connection = undefined;
    this.#arrivals.disconnected();
  }

  #damaged(): void {
    if (this.#connection) this.#connection.damaged();
    else this.#fault("damaged");
  }

  #fault(kind: LineFault): void {
    this.#ports.meter.add("line_faults", { link: this.#self.link, kind });
  }
}
