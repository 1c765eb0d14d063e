// The module simulator: a module pair, each end on a pseudo-terminal.

import type { Clock, Log, Random } from "../../src/core/ports.ts";
import { End } from "./end.ts";
import { randomKey, seededKey, seededRandom } from "./material.ts";
import { noise } from "./noise.ts";
import type { PairOptions } from "./options.ts";
import { ModulePair } from "./pair.ts";
import { Pty } from "./pty.ts";
import { nextRun } from "./run-file.ts";

/** The simulated link and the terminals of its two ends. */
export interface SimulatorOptions extends PairOptions {
  /** Paths of the two terminals; a KM opens one as its port. */
  readonly a: string;
  readonly b: string;
  /** Keeps the number of the last start. Without it a run is the time in milliseconds. */
  readonly runFile?: string | undefined;
}

/** Time, randomness and log of a simulator. */
export interface SimulatorPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** A running pair of simulated modules on two pseudo-terminals. */
export interface Simulator extends AsyncDisposable {
  /** Both modules lose their power and start again. */
  restart(): void;
  /** One terminal is gone, though nobody closed it. */
  readonly failed: Promise<Error>;
}

/** Resolves when both terminals are there. @throws Error when one cannot be made */
export async function startSimulator(options: SimulatorOptions, ports: SimulatorPorts): Promise<Simulator> {
  await using opened = new AsyncDisposableStack();
  const [a, b] = [opened.use(await Pty.open(options.a)), opened.use(await Pty.open(options.b))];
  const chance = options.seed === undefined ? ports.random : seededRandom(`${options.seed} faults`);
  const ends = { a: endOn(a, options, chance), b: endOn(b, options, chance) };
  const pair = new ModulePair(options, ends, {
    ...ports,
    chance,
    makeKey: options.seed === undefined ? randomKey : seededKey(options.seed),
    nextRun: () => (options.runFile === undefined ? ports.clock.wallMs() : nextRun(options.runFile)),
  });
  opened.use(pair);
  const all = opened.move();
  return {
    restart: () => pair.powerUp(),
    failed: Promise.race([a.failed, b.failed]),
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

function endOn(pty: Pty, { faults }: PairOptions, chance: Random): End {
  const hurt = () => noise(faults.flipBytes, faults.dropBytes, chance);
  const end = new End((bytes) => pty.write(bytes), hurt(), hurt());
  pty.start({ received: (bytes) => end.received(bytes), drained: () => end.drained() });
  return end;
}
