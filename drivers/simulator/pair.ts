// A simulated module pair: makes the same key at both ends, steadily, with the faults it was told; no I/O.

import type { Clock, Log, Random } from "../../src/core/ports.ts";
import { MAX_FRAGMENT_BYTES } from "../../src/kq/limits.ts";
import { Module } from "../../src/kq/module/module.ts";
import type { End } from "./end.ts";
import type { MakeKey } from "./material.ts";
import type { PairOptions } from "./options.ts";

/** Time and randomness of a pair of modules. */
export interface PairPorts {
  readonly clock: Clock;
  /** For what the modules contribute to a connection. */
  readonly random: Random;
  /** For jitter and faults. */
  readonly chance: Random;
  readonly log: Log;
  readonly makeKey: MakeKey;
  /** A run that was never used, made durable before it is given. */
  nextRun(): number;
  /** When the pair began, in ms since 1970: blocks go by the clock then, also after a time without power. */
  readonly sinceMs?: number | undefined;
}

const ROLES = { a: "tx", b: "rx" } as const;
/** The modules that are simulated here; one may be elsewhere. */
export type Ends = { readonly [E in keyof typeof ROLES]?: End | undefined };

/** Blocks made in one go at most; a process that was held up longer skips the rest. */
const CATCH_UP = 64;
const REPORT_MS = 1_000;

const blockMs = (bytes: number, rateBitsPerS: number): number => (bytes * 8 * 1_000) / rateBitsPerS;

/** Two modules of one simulated link, without lines. */
export class ModulePair implements Disposable {
  readonly #options: PairOptions;
  readonly #ends: Ends;
  readonly #ports: PairPorts;
  #run = 0;
  #sequence = 0;
  #nextAt = 0;
  #frozen = false;
  readonly #cancel = new Map<string, () => void>();

  constructor(options: PairOptions, ends: Ends, ports: PairPorts) {
    this.#options = options;
    this.#ends = ends;
    this.#ports = ports;
    const { stallEveryMs, stallForMs, restartEveryMs } = options.faults;
    this.powerUp();
    this.#arm();
    this.#every("report", REPORT_MS, () => this.#report());
    if (restartEveryMs > 0) this.#every("restart", restartEveryMs, () => this.powerUp());
    if (stallEveryMs > 0) this.#every("stall", stallEveryMs + stallForMs, () => this.#stall(stallForMs), stallEveryMs);
  }

  /** Both modules start, or lose their power and start again: a new run, sequence 0, nothing held. */
  powerUp(): void {
    this.#run = this.#ports.nextRun();
    this.#sequence = 0;
    this.#frozen = false;
    this.#cancel.get("thaw")?.();
    this.#nextAt = this.#ports.clock.monotonicMs() + this.#gapMs();
    this.#goByTheClock();
    for (const end of ["a", "b"] as const) this.#ends[end]?.power(this.#module(ROLES[end]));
    this.#report();
    this.#ports.log.info({ link: this.#options.link, run: this.#run }, "the modules have started");
  }

  [Symbol.dispose](): void {
    for (const cancel of this.#cancel.values()) cancel();
    this.#ends.a?.off();
    this.#ends.b?.off();
  }

  #module(role: "tx" | "rx"): Module {
    const { link, blockBytes, bufferBlocks, pairingKey, framing } = this.#options;
    // On a pseudo-terminal long pieces cost least; if it is made to lose bytes, the module cuts shorter ones.
    const pieceBytes = framing === undefined ? MAX_FRAGMENT_BYTES : undefined;
    const about = { link, blockBytes, bufferBlocks, pairingKey, framing, role, run: this.#run, pieceBytes };
    return new Module({ ...about, name: `Simulated ${role === "tx" ? "Tx" : "Rx"}` }, this.#ports);
  }

  #report(): void {
    const { qber, rateBitsPerS } = this.#options;
    const seen = qber * (0.9 + 0.2 * this.#ports.chance.fraction());
    const health = { qber: seen, keyRateBitsPerS: this.#frozen ? 0 : rateBitsPerS, alarms: [] };
    this.#ends.a?.module?.report(health);
    this.#ends.b?.module?.report(health);
  }

  #every(what: string, ms: number, then: () => void, firstMs = ms): void {
    const again = () => {
      this.#after(what, ms, again);
      then();
    };
    this.#after(what, firstMs, again);
  }

  #after(what: string, ms: number, then: () => void): void {
    this.#cancel.get(what)?.();
    this.#cancel.set(what, this.#ports.clock.after(ms, then));
  }

  #stall(ms: number): void {
    this.#frozen = true;
    for (const end of [this.#ends.a, this.#ends.b]) end?.freeze();
    this.#after("thaw", ms, () => {
      this.#frozen = false;
      for (const end of [this.#ends.a, this.#ends.b]) end?.thaw();
    });
  }

  #gapMs(): number {
    const { blockBytes, rateBitsPerS, faults } = this.#options;
    const swing = 1 + faults.jitter * (2 * this.#ports.chance.fraction() - 1);
    return blockMs(blockBytes, rateBitsPerS) * swing;
  }

  #arm(): void {
    this.#after("make", Math.max(0, this.#nextAt - this.#ports.clock.monotonicMs()), () => {
      const now = this.#ports.clock.monotonicMs();
      for (let made = 0; this.#nextAt <= now && made < CATCH_UP; made++) {
        if (!this.#frozen) this.#make();
        this.#nextAt += this.#gapMs();
      }
      if (this.#nextAt < now) {
        this.#nextAt = now;
        this.#goByTheClock();
      }
      this.#arm();
    });
  }

  /** If there is one: block n is made n + 1 times the time of a block after the pair began. */
  #goByTheClock(): void {
    const { clock, sinceMs } = this.#ports;
    if (sinceMs === undefined) return;
    const { blockBytes, rateBitsPerS } = this.#options;
    const [gapMs, agoMs] = [blockMs(blockBytes, rateBitsPerS), clock.wallMs() - sinceMs];
    this.#sequence = Math.max(0, Math.floor(agoMs / gapMs));
    this.#nextAt = clock.monotonicMs() + (this.#sequence + 1) * gapMs - agoMs;
  }

  #make(): void {
    const { blockBytes, faults } = this.#options;
    const { chance, makeKey } = this.#ports;
    const hit = (probability: number) => probability > 0 && chance.fraction() < probability;
    const name = { run: this.#run, sequence: this.#sequence++ };
    const key = makeKey(name.run, name.sequence, blockBytes);
    const other = Buffer.from(key);
    if (hit(faults.disagree)) {
      const at = Math.floor(chance.fraction() * blockBytes);
      other[at] = (other[at] ?? 0) ^ (1 << Math.floor(chance.fraction() * 8));
    }
    const lost = hit(faults.loseBlocks) ? Math.floor(chance.fraction() * 2) : -1;
    if (lost !== 0) this.#ends.a?.module?.offer({ ...name, key });
    if (lost !== 1) this.#ends.b?.module?.offer({ ...name, key: other });
  }
}
