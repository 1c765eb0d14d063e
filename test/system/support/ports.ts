// TCP ports for a network under test that no other test takes meanwhile.

import { once } from "node:events";
import { createServer, type Server } from "node:net";
import type { Ports } from "../../../src/cli/provision/plan.ts";
import { choosePorts } from "../../../src/cli/provision/ports.ts";

const TRIES = 20;

export interface ReservedPorts extends AsyncDisposable {
  readonly ports: readonly Ports[];
}

/** A listener on the port before each KM's keeps other tests off, also while the KM is down. */
export async function reservePorts(kms: number): Promise<ReservedPorts> {
  for (let tried = 0; tried < TRIES; tried++) {
    await using held = new AsyncDisposableStack();
    const ports = await choosePorts(kms);
    const free = await Promise.all(ports.map(({ ak }) => hold(ak - 1, held)));
    if (!free.every(Boolean)) continue;
    const kept = held.move();
    return { ports, [Symbol.asyncDispose]: () => kept.disposeAsync() };
  }
  throw new Error("no free ports were found");
}

async function hold(port: number, held: AsyncDisposableStack): Promise<boolean> {
  const server = createServer();
  server.listen({ port, host: "127.0.0.1", exclusive: true });
  try {
    await once(server, "listening");
  } catch {
    return false;
  }
  held.defer(() => close(server));
  return true;
}

const close = (server: Server): Promise<void> => new Promise((resolve) => void server.close(() => resolve()));
