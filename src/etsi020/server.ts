// The border to other networks (ETSI GS QKD 020): HTTPS in both directions, with key managers that the configuration names.

import { Fault } from "../core/fault.ts";
import type { KmId } from "../core/ids.ts";
import type { Limit } from "../core/limits.ts";
import type { Audit } from "../core/ports.ts";
import type { DoorTls } from "../core/tls-choices.ts";
import { Parts } from "../http/parts.ts";
import { Service, type ServicePorts } from "../http/service.ts";
import type { BorderLine } from "../keys/ports/borders.ts";
import { dial } from "../net/dial.ts";
import { listen } from "../net/listen.ts";
import type { Identify } from "../net/tls/certificate-names.ts";
import { type TlsMaterial, tlsOf } from "../net/tls/options.ts";
import { BorderClient } from "./client.ts";
import { type HandlerPorts, makeHandler } from "./handler.ts";

/** One key manager of another network. */
export interface BorderOptions {
  readonly id: KmId;
  /** Undefined where keys only come in. */
  readonly url: string | undefined;
  readonly isSynchronous: boolean;
}

/** Where the border's door listens, and its certificates. */
export interface Etsi020Options extends DoorTls {
  /** Port 0 is any free port. */
  readonly listen: { readonly host: string; readonly port: number };
  /** PEM texts: of the listener, and of this KM where it is the client. */
  readonly tls: TlsMaterial;
  readonly clientTls: TlsMaterial;
  readonly requireHybrid: boolean;
  readonly maxConnections: Limit;
  /** As other networks reach this door; undefined for the address where it listens. */
  readonly callbackUrl: string | undefined;
  readonly borders: readonly BorderOptions[];
  /** Locked memory for bodies with keys: half for those that come. */
  readonly memory: Uint8Array;
}

/** What the border's door works with. */
export interface Etsi020Ports extends ServicePorts, HandlerPorts {
  /** Knows key managers by certificates of other makes. */
  readonly identify?: Identify | undefined;
  readonly audit?: Audit;
}

/** The border's door while it is open. */
export interface Etsi020Server extends AsyncDisposable {
  readonly port: number;
  /** Connections open or on their way in. */
  readonly connections: number;
  /** How each border is reached; of those without a url, where their callbacks are wanted. */
  readonly lines: ReadonlyMap<KmId, BorderLine>;
  /** Borders are these from now on, and callbacks are wanted there; `tls` closes who is none any more. */
  change(to: Pick<Etsi020Options, "borders" | "callbackUrl">): void;
}

/**
 * Listens; dispose drains requests under way, then closes.
 * @throws Error when the address cannot be listened on, or the certificates cannot be used
 */
export async function startEtsi020(options: Etsi020Options, ports: Etsi020Ports): Promise<Etsi020Server> {
  const { tls, maxConnections, memory } = options;
  const clients = new Map<KmId, Reached>();
  const half = memory.length / 2;
  const service = new Service(
    { door: "etsi020", memory: memory.subarray(0, half), bringsKeys: true },
    ports,
    makeHandler(ports),
  );
  const admit = (id: string): Fault | undefined =>
    clients.has(id as KmId) ? undefined : new Fault("NOT_AUTHORIZED", { text: `${id} is none of [[etsi020.borders]]` });
  const listener = await listen(
    { ...options.listen, door: "etsi020", tls, kind: "km", ...tlsOf(options), maxConnections, bringsKeys: true },
    // Those of applications are not meant.
    { ...ports, admit, mayStay: admit, disowned: () => {}, opened: (channel) => service.connected(channel) },
  );
  const parts = new Parts(memory.subarray(half));
  const lines = new Map<KmId, BorderClient>();
  const change = (to: Pick<Etsi020Options, "borders" | "callbackUrl">): void => {
    const callback = callbackOf({ ...options, ...to }, listener.port);
    const before = new Map(clients);
    clients.clear();
    for (const border of to.borders) {
      const mark = JSON.stringify([border.url, border.isSynchronous, callback]);
      const known = before.get(border.id);
      const same = known?.mark === mark ? known : undefined;
      clients.set(border.id, same ?? { mark, client: clientOf(border, { options, ports, callback, parts }) });
      if (same !== undefined) before.delete(border.id);
    }
    for (const { client } of before.values()) client.stop();
    lines.clear();
    for (const [id, { client }] of clients) lines.set(id, client);
  };
  change(options);
  return {
    port: listener.port,
    get connections() {
      return listener.connections;
    },
    lines,
    change,
    async [Symbol.asyncDispose]() {
      for (const client of lines.values()) client.stop();
      await service.stop();
      await listener[Symbol.asyncDispose]();
    },
  };
}

/** How a border is reached, and what of the configuration that was made of. */
interface Reached {
  readonly mark: string;
  readonly client: BorderClient;
}

function callbackOf({ callbackUrl, listen: { host } }: Etsi020Options, port: number): string {
  const base = callbackUrl ?? `https://${host.includes(":") ? `[${host}]` : host}:${port}`;
  return `${base.replace(/\/+$/, "")}/kmapi/v1/ext_keys/ack`;
}

interface Surroundings {
  readonly options: Etsi020Options;
  readonly ports: Etsi020Ports;
  readonly callback: string;
  readonly parts: Parts;
}

function clientOf(
  { id, url, isSynchronous }: BorderOptions,
  { options, ports, callback, parts }: Surroundings,
): BorderClient {
  const { groups } = tlsOf(options);
  const secure = { door: "etsi020", tls: options.clientTls, kind: "km", groups, expect: id } as const;
  return new BorderClient(
    { border: id, url, callback, isSynchronous, parts, dial: (address) => dial({ ...secure, ...address }, ports) },
    ports.clock,
  );
}
