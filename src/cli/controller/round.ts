// One round of a controller: asks every KM, finds routes, sets those that differ.

import type { Route } from "../../core/topology/topology.ts";
import { aimOf, type Polled } from "./aim.ts";
import { type DirectoryOutcome, tellDirectories } from "./directories.ts";
import type { Domain } from "./domain.ts";
import { KmClient } from "./km-client.ts";

/** What became of the routes of a KM to a destination. */
export interface Outcome {
  readonly from: string;
  readonly to: string;
  readonly paths: number;
  readonly routes: readonly Route[];
  /** `set`, `kept`, `given back`, `would be set`, `no route`, or why it failed. */
  readonly what: string;
  readonly failed: boolean;
}

/** What one round over all KMs has found and set. */
export interface Round {
  readonly polled: readonly Polled[];
  /** KMs that did not answer, and why. */
  readonly silent: ReadonlyMap<string, string>;
  readonly outcomes: readonly Outcome[];
  /** None where the domain names no applications. */
  readonly directories: readonly DirectoryOutcome[];
}

/** What to do about routes: set them, only look, or give them back to the topology. */
export type Mode = "set" | "look" | "give back";

/** KMs that are asked at a time. */
const AT_A_TIME = 16;

/** Asks every KM, computes routes, and sets those that differ. */
export async function goRound({ kms, topology, apps, tls }: Domain, mode: Mode): Promise<Round> {
  using open = new DisposableStack();
  const silent = new Map<string, string>();
  const asked = await eachOf(kms, async (km) => {
    const client = open.use(new KmClient(km, tls));
    try {
      return { client, said: { id: km.id, links: await client.links(), destinations: await client.destinations() } };
    } catch (thrown) {
      silent.set(km.id, thrown instanceof Error ? thrown.message : String(thrown));
      return undefined;
    }
  });
  const heard = asked.filter((one) => one !== undefined);
  const polled = heard.map(({ said }) => said);
  const aim = aimOf(topology, polled);
  const outcomes = await eachOf(heard, async ({ client, said }) => {
    const done: Outcome[] = [];
    for (const { km: to, paths } of said.destinations) {
      const routes = aim.get(said.id)?.get(to) ?? [];
      done.push({ from: said.id, to, paths, routes, ...(await outcomeOf(client, to, routes, mode)) });
    }
    return done;
  });
  const clients = heard.map(({ client }) => client);
  const directories = apps === undefined || mode === "give back" ? [] : await tellDirectories(clients, apps, mode);
  return { polled, silent, outcomes: outcomes.flat(), directories };
}

async function outcomeOf(
  client: KmClient,
  to: string,
  routes: readonly Route[],
  mode: Mode,
): Promise<Pick<Outcome, "what" | "failed">> {
  try {
    return { what: await change(client, to, routes, mode), failed: false };
  } catch (thrown) {
    return { what: thrown instanceof Error ? thrown.message : String(thrown), failed: true };
  }
}

async function change(client: KmClient, to: string, routes: readonly Route[], mode: Mode): Promise<string> {
  const given = await client.given(to);
  if (mode === "give back") {
    if (given !== undefined) await client.giveBack(to);
    return given === undefined ? "kept" : "given back";
  }
  if (routes.length === 0) return "no route";
  if (given !== undefined && textOf(given) === textOf(routes)) return "kept";
  if (mode === "look") return "would be set";
  await client.set(to, routes);
  return "set";
}

const textOf = (routes: readonly Route[]): string => routes.map((route) => route.join(" ")).join(",");

/** In the order of the items, so many at a time. */
async function eachOf<Item, Result>(items: readonly Item[], work: (item: Item) => Promise<Result>): Promise<Result[]> {
  const results: Result[] = [];
  const queue = items.entries();
  const worker = async (): Promise<void> => {
    for (const [at, item] of queue) results[at] = await work(item);
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, worker));
  return results;
}
