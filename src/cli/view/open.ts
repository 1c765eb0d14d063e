// A view of a domain: its server, and the questions to its KMs.

import { NetworkState } from "../../view/network-state.ts";
import { poll } from "../../view/poller.ts";
import { startView, type ViewServer } from "../../view/server.ts";
import { CommandError, EXIT } from "../common/exit.ts";
import type { Domain } from "../controller/domain.ts";
import { KmClient } from "../controller/km-client.ts";

/** So that a KM which hangs is shown as silent within two seconds. */
const ANSWER_MS = 1200;

export interface OpenOptions {
  /** On the loopback address; 0 for any free port. */
  readonly port: number;
  /** Called with the next link when one was used. */
  readonly used?: (next: string) => void;
}

/** Looks and listens until it is disposed of. @throws CommandError when the port is taken */
export async function openView({ kms, topology, tls }: Domain, { port, used }: OpenOptions): Promise<ViewServer> {
  await using parts = new AsyncDisposableStack();
  const clients = new Map(kms.map((km) => [km.id, parts.use(new KmClient(km, tls, ANSWER_MS))]));
  const shape = {
    kms: kms.map(({ id }) => id),
    links: topology.links.map(({ id, kms: [a, b] }) => ({ id, kms: [a, b] as const })),
  };
  const state = new NetworkState(shape, Date.now());
  const server = parts.use(await startView({ port, state, ...(used && { used }) }).catch(taken(port)));
  const stop = new AbortController();
  const ask = async (km: string, after: { readonly relays: number; readonly faults: number }) => {
    const client = clients.get(km);
    if (client === undefined) throw new Error(`${km} is none of the KMs`);
    return client.overview(after);
  };
  const polled = poll(shape, ask, state, stop.signal);
  parts.defer(async () => {
    stop.abort();
    await polled;
  });
  const all = parts.move();
  return {
    port: server.port,
    get link() {
      return server.link;
    },
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

const taken =
  (port: number) =>
  (thrown: unknown): never => {
    const { code, message } = thrown as NodeJS.ErrnoException;
    if (code !== "EADDRINUSE") throw thrown;
    throw new CommandError(
      EXIT.unavailable,
      `another program listens on 127.0.0.1:${port}: name another --port (${message})`,
    );
  };
