// The routes that the QKDN controller has set: checked, kept durably, used by the relays that begin afterwards.

import { Fault, malformed } from "../../core/fault.ts";
import { ID_PATTERN, type KmId } from "../../core/ids.ts";
import { LIMITS } from "../../core/limits.ts";
import type { Context } from "../common/context.ts";
import { SerialQueue } from "../common/queues/serial-queue.ts";
import { type RouteRow, TABLE } from "../common/rows.ts";
import type { NumberedResult, RelayTotals, RouteAdmin } from "../report.ts";
import { disjointOf, type Route, type Routes } from "./routes.ts";

/** Routes of one destination, and KMs between its ends. */
export const MOST_ROUTES = 12;

type Ports = Pick<Context, "vault" | "log" | "relayLog">;

/** The routes set by the QKDN controller, durable, with a revision. */
export class RouteTable implements RouteAdmin {
  readonly #ports: Ports;
  readonly #routes: Routes;
  readonly #paths: ReadonlyMap<KmId, number>;
  readonly #writing = new SerialQueue();

  /** `paths` by destination. */
  constructor(ports: Ports, routes: Routes, paths: ReadonlyMap<KmId, number>) {
    this.#ports = ports;
    this.#routes = routes;
    this.#paths = paths;
  }

  get destinations(): readonly KmId[] {
    return [...this.#paths.keys()];
  }

  paths(destination: KmId): number {
    return this.#paths.get(destination) ?? 1;
  }

  /** What was set before the start. Routes that no longer fit the configuration are left out, and said so. */
  restore(rows: Iterable<readonly [destination: string, row: RouteRow]>): void {
    for (const [id, row] of rows) {
      const destination = id as KmId;
      try {
        const routes = readRoutes(row.routes);
        this.#check(destination, routes);
        this.#routes.set(destination, routes);
      } catch (thrown) {
        if (!(thrown instanceof Fault)) throw thrown;
        this.#dropped(id, row.routes, thrown);
      }
    }
  }

  /** The topology or the peers are others: what was set and does not fit them any more is not used, and said so. */
  recheck(): void {
    for (const destination of this.#routes.destinationsSet) {
      const routes = this.#routes.given(destination) ?? [];
      try {
        this.#check(destination, routes);
      } catch (thrown) {
        if (!(thrown instanceof Fault)) throw thrown;
        this.#routes.set(destination, undefined);
        this.#dropped(destination, writeRoutes(routes), thrown);
      }
    }
  }

  #dropped(destination: string, routes: string, { message }: Fault): void {
    this.#ports.log.warn(
      { event: "routes_dropped", destination, routes, why: message },
      "routes that the controller set no longer fit the configuration and are not used",
    );
  }

  given(destination: KmId): readonly Route[] | undefined {
    return this.#routes.given(destination);
  }

  current(destination: KmId): readonly Route[] {
    return this.#routes.find(destination, this.paths(destination));
  }

  resultsAfter(number: number): readonly NumberedResult[] {
    return this.#ports.relayLog.after(number);
  }

  totals(destination: KmId): RelayTotals {
    return this.#ports.relayLog.totals(destination);
  }

  set(destination: KmId, routes: readonly Route[]): Promise<void> {
    return this.#writing.run(async () => {
      this.#check(destination, routes);
      const row: RouteRow = { routes: writeRoutes(routes) };
      await this.#ports.vault.change().put(TABLE.route, destination, row).commit();
      this.#routes.set(destination, routes);
      this.#ports.log.info({ destination, routes: row.routes }, "the controller has set routes");
    });
  }

  giveBack(destination: KmId): Promise<void> {
    return this.#writing.run(async () => {
      this.#checkDestination(destination);
      // At once, for a removal that is rejected is made up for later.
      this.#routes.set(destination, undefined);
      await this.#ports.vault.change().remove(TABLE.route, destination).commit();
      this.#ports.log.info({ destination }, "the controller has given routes back to the topology");
    });
  }

  #checkDestination(destination: KmId): void {
    if (this.#paths.has(destination)) return;
    throw malformed(`no [[peers]] entry of this KM names ${destination}`);
  }

  /** @throws Fault MALFORMED_REQUEST that says which route and KM */
  #check(destination: KmId, routes: readonly Route[]): void {
    this.#checkDestination(destination);
    if (routes.length === 0 || routes.length > MOST_ROUTES) {
      throw malformed(`routes must be 1 to ${MOST_ROUTES}, not ${routes.length}; DELETE gives back to the topology`);
    }
    for (const [at, route] of routes.entries()) this.#checkRoute(destination, route, `routes[${at}]`);
    const different = new Set(routes.map((route) => route.join(" ")));
    if (different.size < routes.length) throw malformed("routes must not have the same route twice");
    const paths = this.paths(destination);
    const { length } = disjointOf(routes, paths);
    if (length < paths) throw malformed(`routes must have ${paths} that share no KM, as paths says, not ${length}`);
  }

  #checkRoute(destination: KmId, route: Route, where: string): void {
    const { self, topology } = this.#routes;
    if (route.length > LIMITS.transits)
      throw malformed(`${where} has more than ${LIMITS.transits} KMs between its ends`);
    const stops = [self, ...route, destination];
    for (const [at, km] of stops.entries()) {
      if (!topology.has(km)) throw malformed(`${where}: no link of the topology leads to ${km}`);
      if (stops.indexOf(km) < at) throw malformed(`${where} has ${km} twice`);
    }
    for (const [a, b] of [stops.slice(0, 2), stops.slice(-2)]) {
      if (a === undefined || b === undefined || topology.areNeighbours(a, b)) continue;
      throw malformed(`${where}: the topology has no link between ${a} and ${b}`);
    }
  }
}

/** KMs have a space between them, routes a comma; neither is in an ID. */
const writeRoutes = (routes: readonly Route[]): string => routes.map((route) => route.join(" ")).join(",");

/** @throws Fault MALFORMED_REQUEST */
function readRoutes(text: string): readonly Route[] {
  return text.split(",").map((route) => {
    const kms = route === "" ? [] : route.split(" ");
    if (!kms.every((km) => ID_PATTERN.test(km))) throw malformed(`${JSON.stringify(route)} is no route`);
    return kms as KmId[];
  });
}
