// TCP ports for programs that must be told one, below the range from which the system takes ports for outgoing connections.

import { isFree } from "../../src/cli/provision/ports.ts";

const LOWEST = 10_000;
const PORTS = 21_000;
/** Two processes that choose at a time begin so far from one another. */
const APART = 64;

let next = (process.pid * APART) % PORTS;

/** So many that are free now; none twice in this process. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const ports: number[] = [];
  for (let tried = 0; ports.length < count; tried++) {
    if (tried > PORTS) throw new Error("no free ports were found");
    const port = LOWEST + next;
    next = (next + 1) % PORTS;
    if (await isFree(port)) ports.push(port);
  }
  return ports;
}
