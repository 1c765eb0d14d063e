// The controller endpoint of one KM, as a controller calls it.

import { Agent, request } from "node:https";
import type {
  DESTINATION,
  DIRECTORY,
  LINK,
  OVERVIEW,
  RELAY,
  Reported,
  ROUTES_SET,
} from "../../control/controller/tables.ts";
import type { Route } from "../../core/topology/topology.ts";
import { Refusal } from "../../net/refusal.ts";
import { identityOf } from "../../net/tls/identity.ts";
import { contextOptions, type TlsMaterial } from "../../net/tls/options.ts";
import type { DomainKm } from "./domain.ts";

const TIMEOUT_MS = 5000;
/** Time for the largest directory. */
const DIRECTORY_MS = 60_000;
/** More than 10,000 links take. */
const LONGEST_ANSWER = 16 << 20;

/** A link as a KM tells the controller. */
export type LinkReport = Reported<typeof LINK>;
/** A destination as a KM tells the controller. */
export type DestinationReport = Reported<typeof DESTINATION>;
/** The directory as a KM tells the controller. */
export type DirectoryReport = Reported<typeof DIRECTORY>;
type RelayReport = Reported<typeof RELAY>;
type RoutesReport = Reported<typeof ROUTES_SET>;

interface Call {
  readonly method: "GET" | "PUT" | "PATCH" | "DELETE";
  readonly path: string;
  readonly body?: string;
  /** How long the answer may take, if it is not the usual time. */
  readonly answerMs?: number;
}

/** The controller's connection with one KM. */
export class KmClient implements Disposable {
  readonly km: DomainKm;
  readonly #agent: Agent;
  readonly #answerMs: number;

  /** An answer may take `answerMs`. */
  constructor(km: DomainKm, tls: TlsMaterial, answerMs = TIMEOUT_MS) {
    this.km = km;
    this.#answerMs = answerMs;
    this.#agent = new Agent({
      ...contextOptions({ tls }, ["X25519MLKEM768", "X25519"]),
      keepAlive: true,
      maxSockets: 1,
      // The KM is who its certificate names, wherever it is: examined below, before anything is sent.
      checkServerIdentity: (_, { raw }) => {
        const id = identityOf({ raw }, "km");
        if (id instanceof Refusal) return id;
        return id === km.id ? undefined : new Error(`${km.url} is ${id}, not ${km.id}`);
      },
    });
  }

  async links(): Promise<readonly LinkReport[]> {
    const { links } = (await this.#call({ method: "GET", path: "links" })) as { links: readonly LinkReport[] };
    return links;
  }

  async destinations(): Promise<readonly DestinationReport[]> {
    const told = await this.#call({ method: "GET", path: "destinations" });
    return (told as { destinations: readonly DestinationReport[] }).destinations;
  }

  /** How its last relays ended, oldest first. */
  async relays(): Promise<readonly RelayReport[]> {
    const { relays } = (await this.#call({ method: "GET", path: "relays" })) as { relays: readonly RelayReport[] };
    return relays;
  }

  /** All that it tells at once, without relays and faults up to those numbers. */
  async overview(after: { readonly relays: number; readonly faults: number }): Promise<Reported<typeof OVERVIEW>> {
    const path = `overview?relays_after=${after.relays}&faults_after=${after.faults}`;
    return (await this.#call({ method: "GET", path })) as Reported<typeof OVERVIEW>;
  }

  /** What a controller has set; undefined when the topology decides. */
  async given(destination: string): Promise<readonly Route[] | undefined> {
    const told = (await this.#call({ method: "GET", path: routesOf(destination) })) as RoutesReport;
    return told.routes?.map(({ transit }) => transit as Route);
  }

  async set(destination: string, routes: readonly Route[]): Promise<void> {
    const body = JSON.stringify({ routes: routes.map((transit) => ({ transit })) });
    await this.#call({ method: "PUT", path: routesOf(destination), body });
  }

  async giveBack(destination: string): Promise<void> {
    await this.#call({ method: "DELETE", path: routesOf(destination) });
  }

  /** With its entries from number `from` on. */
  async directory(from?: number): Promise<DirectoryReport> {
    const path = from === undefined ? "directory" : `directory?from=${from}`;
    return (await this.#call({ method: "GET", path })) as DirectoryReport;
  }

  /** Replaces all of it (PUT) or some entries (PATCH) of a directory that is at revision `base`. */
  async tellDirectory(
    method: "PUT" | "PATCH",
    base: number,
    entries: readonly { readonly app: string; readonly home: string | null }[],
  ): Promise<DirectoryReport> {
    const body = [{ base }, ...entries].map((line) => JSON.stringify(line)).join("\n");
    return (await this.#call({ method, path: "directory", body, answerMs: DIRECTORY_MS })) as DirectoryReport;
  }

  /** @throws Error with what the KM answered, or why it did not */
  async #call(call: Call): Promise<unknown> {
    const { status, text } = await this.#exchange(call);
    const json: unknown = JSON.parse(text);
    if (status === 200) return json;
    const { code, message } = json as { readonly code?: unknown; readonly message?: unknown };
    throw new Error(`${code}: ${message}`);
  }

  #exchange({
    method,
    path,
    body,
    answerMs = this.#answerMs,
  }: Call): Promise<{ readonly status: number; readonly text: string }> {
    return new Promise((resolve, reject) => {
      const url = new URL(`/api/v1/${path}`, this.km.url);
      const signal = AbortSignal.timeout(answerMs);
      const asking = request(url, { method, agent: this.#agent, signal }, (response) => {
        let text = "";
        response.setEncoding("utf8");
        response.on("data", (chunk: string) => {
          text += chunk;
          if (text.length > LONGEST_ANSWER) asking.destroy(new Error("the answer is too long"));
        });
        response.on("error", reject);
        response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
      });
      asking.on("error", (error) =>
        reject(signal.aborted ? new Error(`no answer within ${answerMs / 1000} s`) : error),
      );
      asking.end(body);
    });
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }
}

const routesOf = (destination: string): string => `routes/${encodeURIComponent(destination)}`;
