// A network under test: provisioned in a temporary folder, every KM and every link a real process.

import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { networkPlaces } from "../../../src/cli/provision/plan.ts";
import { removeTree } from "../../support/remove-tree.ts";
import { App } from "./app.ts";
import { eventually } from "./eventually.ts";
import { provisionPlan } from "./folder.ts";
import { Km } from "./km.ts";
import { Link } from "./link.ts";
import type { Plan } from "./plan.ts";
import { reservePorts } from "./ports.ts";

/** Dispose ends all processes and removes the folder. */
export interface Network extends AsyncDisposable {
  readonly dir: string;
  readonly kms: readonly Km[];
  readonly links: readonly Link[];
  readonly apps: readonly App[];
  /** @throws Error when the plan has none of this ID */
  km(id: string): Km;
  link(id: string): Link;
  app(id: string): App;
  /** Waits until every pair of KMs with a link between them is synchronised and has key at hand, in both directions. */
  stocked(deadlineMs?: number): Promise<void>;
}

/** Resolves when every process has said `ready`. @throws Error when one does not; all are ended then */
export async function startNetwork(plan: Plan): Promise<Network> {
  await using opened = new AsyncDisposableStack();
  const dir = mkdtempSync(join(tmpdir(), "qkm-"));
  opened.defer(() => (process.env.KEEP ? console.log(dir) : removeTree(dir)));
  const { ports } = opened.use(await reservePorts(plan.kms.length));
  await provisionPlan(dir, plan, ports);
  const kms = plan.kms.map(({ id }) => new Km(id, networkPlaces(dir).node(id)));
  const links = plan.links.filter(({ boxes }) => !boxes).map((link) => new Link(dir, link, blockBytesOf(kms, link.id)));
  for (const part of [...links, ...kms]) opened.use(part);
  const apps = plan.kms.flatMap(({ id, apps: ids }) => ids.map((app) => new App(dir, app, named(kms, id))));
  for (const app of apps) opened.use(app);
  await Promise.all([...links, ...kms].map((part) => part.start()));
  const all = opened.move();
  return {
    dir,
    kms,
    links,
    apps,
    km: (id) => named(kms, id),
    link: (id) => named(links, id),
    app: (id) => named(apps, id),
    stocked: (deadlineMs) =>
      eventually("all KMs have key for those they share links with", () => areStocked(kms), deadlineMs),
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

function named<T extends { readonly id: string }>(all: readonly T[], id: string): T {
  const found = all.find((one) => one.id === id);
  if (found === undefined) throw new Error(`the plan has no ${id}`);
  return found;
}

function blockBytesOf(kms: readonly Km[], id: string): number {
  const links = kms.flatMap(({ config }) => config.links);
  return links.find((link) => link.id === id)?.blockBytes ?? 32_768;
}

async function areStocked(kms: readonly Km[]): Promise<boolean> {
  const stocked = kms.map(async (km) => {
    const { ready, peers } = await km.status();
    const linked = new Set<string>(km.config.links.map(({ peer }) => peer));
    return ready && peers.every(({ id, synchronised, kmaKeys }) => !linked.has(id) || (synchronised && kmaKeys > 0));
  });
  return (await Promise.all(stocked)).every(Boolean);
}
