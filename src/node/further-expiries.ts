// When certificates expire that are no door's: those shown to a vendor's boxes, to etcd and to the syslog server, and who signs theirs.

import { readFileSync } from "node:fs";
import type { NodeConfig } from "../config.ts";
import { Credentials, type Expiry } from "../net/tls/credentials.ts";

/** Files of one connection that this KM opens. */
interface ClientFiles {
  /** The table of the configuration, with the link's ID where it is one of a link. */
  readonly door: string;
  /** Undefined where it shows none. */
  readonly certificate: string | undefined;
  readonly trust: string;
}

/** A renewed file is seen after this time; the metrics ask more often. */
const READ_AGAIN_MS = 30_000;

/** Reads the files that the configuration names, or gives what it read within the last half minute. `now` in milliseconds. */
export class FurtherExpiries {
  readonly #now: () => number;
  #read: readonly (Expiry & { readonly door: string })[] = [];
  #readAt = Number.NEGATIVE_INFINITY;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  of(config: Pick<NodeConfig, "cluster" | "syslog" | "links">): readonly (Expiry & { readonly door: string })[] {
    if (this.#now() - this.#readAt < READ_AGAIN_MS) return this.#read;
    this.#readAt = this.#now();
    this.#read = clientFiles(config).flatMap(expiriesOf);
    return this.#read;
  }
}

function clientFiles({ cluster, syslog, links }: Pick<NodeConfig, "cluster" | "syslog" | "links">): ClientFiles[] {
  const boxes = links.flatMap(({ id, options: { box } }) =>
    box === undefined ? [] : [{ ...box, door: `links.${id}` }],
  );
  return [
    ...(cluster === undefined ? [] : [{ ...cluster.tls, door: "cluster" }]),
    ...(syslog === undefined ? [] : [{ ...syslog, door: "syslog" }]),
    ...boxes,
  ];
}

/** None when a file cannot be read: what is wrong with it is told where it is used. */
function expiriesOf({ door, certificate, trust }: ClientFiles): readonly (Expiry & { readonly door: string })[] {
  try {
    const own = certificate === undefined ? "" : readFileSync(certificate, "utf8");
    const material = { certificate: own, key: "", trust: readFileSync(trust, "utf8") };
    return new Credentials(material).expiries.map((one) => ({ door, ...one }));
  } catch {
    return [];
  }
}
