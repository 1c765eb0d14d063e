// A view of a domain: its server, and the questions to its KMs.

import { NetworkState } from "../../view/network-state.ts";
import { type After, poll } from "../../view/poller.ts";
import { startView, type ViewServer } from "../../view/server.ts";
import type { Overview } from "../../view/summaries.ts";
import { CommandError, EXIT } from "../common/exit.ts";
import type { Domain } from "../controller/domain.ts";
import { KmClient } from "../controller/km-client.ts";

/** So that a KM which hangs is shown as silent within two seconds. */
const ANSWER_MS = 1200;

/** Where the view listens, and which KMs it reads. */
export interface OpenOptions {
  /** On the loopback address; 0 for any free port. */
  readonly port: number;
  /** Called with the next link when one was used. */
  readonly used?: (next: string) => void;
  /** The domain as it is now, asked when a KM does not answer: it may be at another address. */
  readonly again?: () => Domain;
}

/** The KMs, each at the address that it has now. */
class Clients implements Disposable {
  readonly #clients: Map<string, KmClient>;
  readonly #again: () => Domain;
  #known: Domain;

  constructor(domain: Domain, again: () => Domain = () => domain) {
    this.#clients = new Map(domain.kms.map((km) => [km.id, new KmClient(km, domain.tls, ANSWER_MS)]));
    this.#again = again;
    this.#known = domain;
  }

  async overview(km: string, after: After): Promise<Overview> {
    const client = this.#clients.get(km);
    if (client === undefined) throw new Error(`${km} is none of the KMs`);
    try {
      return await client.overview(after);
    } catch (thrown) {
      this.#lookAgain(client);
      throw thrown;
    }
  }

  #lookAgain({ km }: KmClient): void {
    const { kms, tls } = this.#domain();
    const now = kms.find(({ id, url }) => id === km.id && url !== km.url);
    if (now === undefined) return;
    this.#clients.get(km.id)?.[Symbol.dispose]();
    this.#clients.set(km.id, new KmClient(now, tls, ANSWER_MS));
  }

  /** What was last known, when there is nothing to read: the network may have ended. */
  #domain(): Domain {
    try {
      this.#known = this.#again();
    } catch {
      // That the KM does not answer is shown.
    }
    return this.#known;
  }

  [Symbol.dispose](): void {
    for (const client of this.#clients.values()) client[Symbol.dispose]();
  }
}

/** Looks and listens until it is disposed of. @throws CommandError when the port is taken */
export async function openView(domain: Domain, { port, used, again }: OpenOptions): Promise<ViewServer> {
  await using parts = new AsyncDisposableStack();
  const { kms, topology } = domain;
  const clients = parts.use(new Clients(domain, again));
  const shape = {
    kms: kms.map(({ id }) => id),
    links: topology.links.map(({ id, kms: [a, b] }) => ({ id, kms: [a, b] as const })),
  };
  const state = new NetworkState(shape, Date.now());
  const server = parts.use(await startView({ port, state, ...(used && { used }) }).catch(taken(port)));
  const stop = new AbortController();
  const polled = poll(shape, (km, after) => clients.overview(km, after), state, stop.signal);
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
