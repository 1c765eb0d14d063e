// What simulated boxes of every standard are: one end of a pair, with its papers, listening until dispose.

import type { Server } from "node:net";
import type { BoxEnd } from "./shared-keys.ts";

/** PEM texts. */
export interface BoxPapers {
  readonly certificate: string;
  readonly key: string;
  readonly trust: string;
}

/** Where a simulated box listens, and the certificates it shows and trusts. */
export interface BoxPlace {
  readonly host: string;
  /** 0 is any free port. */
  readonly port: number;
}

/** One box of a pair. */
export interface OneBox {
  readonly end: BoxEnd;
  /** Who comes to each end, as the certificates' common names say. */
  readonly saes: Readonly<Record<BoxEnd, string>>;
  readonly papers: BoxPapers;
}

/** A box that listens. */
export interface RunningBox extends AsyncDisposable {
  readonly port: number;
}

/** Listens; dispose closes the server, and `cut` all its connections. @throws Error when the port is taken */
export async function runningBox(server: Server, { host, port }: BoxPlace, cut: () => void): Promise<RunningBox> {
  const listening = Promise.withResolvers<void>();
  server.once("error", listening.reject);
  server.listen(port, host, listening.resolve);
  await listening.promise;
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : port,
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      cut();
      await closed;
    },
  };
}
