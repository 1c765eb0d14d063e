// Chooses TCP ports for a new network, below the range from which the system takes ports for outgoing connections.

import { randomInt } from "node:crypto";
import { createServer } from "node:net";
import { CommandError, EXIT } from "../common/exit.ts";
import { DOORS, type Ports } from "./plan.ts";

const LOWEST = 10_000;
const HIGHEST = 31_000;
const TRIES = 100;
/** Where the network of `npm start` listens if it can: 17101 for Ak of the first KM, 17201 for the second, and so on. */
export const USUAL_BASE = 17_100;

/** Whether a listener on this port of the loopback address is possible now. */
export function isFree(port: number, host = "127.0.0.1"): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const server = createServer();
  server.once("error", () => resolve(false));
  server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)));
  return promise;
}

/** Ports for so many KMs, 100 apart, from `base` on if all are free, else from a random one. */
export async function choosePorts(kms: number, base?: number): Promise<readonly Ports[]> {
  const random = () => LOWEST + 100 * randomInt((HIGHEST - LOWEST) / 100 - kms);
  for (let tried = 0; tried < TRIES; tried++) {
    const first = tried === 0 && base !== undefined ? base : random();
    const plan = Array.from({ length: kms }, (_, km) => portsFrom(first + 100 * km));
    // Whoever listens before the first of them has them all, also while a KM is down.
    const wanted = plan.flatMap((ports) => [ports.ak - 1, ...DOORS.map((door) => ports[door])]);
    const free = await Promise.all(wanted.map((port) => isFree(port)));
    if (free.every(Boolean)) return plan;
  }
  throw new CommandError(
    EXIT.unavailable,
    `no free ports were found between ${LOWEST} and ${HIGHEST}; stop other listeners.`,
  );
}

const portsFrom = (base: number): Ports => ({
  ak: base + 1,
  kx: base + 2,
  etsi014: base + 3,
  metrics: base + 4,
  controller: base + 5,
});
