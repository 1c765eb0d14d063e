// The directory of applications, told to every KM as domain.toml has it: whole to who has none, otherwise what differs.

import { DIRECTORY_LIMITS, Fingerprint } from "../../core/directory.ts";
import { plural } from "../common/columns.ts";
import type { DirectoryReport, KmClient } from "./km-client.ts";
import type { Mode } from "./round.ts";

/** Which KM is the home of each application. */
export type Homes = ReadonlyMap<string, string>;

/** What became of the directory of one KM. */
export interface DirectoryOutcome {
  readonly km: string;
  readonly apps: number;
  /** `kept`, `told: …`, `would be told: …`, or why it failed. */
  readonly what: string;
  readonly failed: boolean;
}

/** One line of a change; null removes. */
interface Entry {
  readonly app: string;
  readonly home: string | null;
}

interface Change {
  readonly method: "PUT" | "PATCH";
  readonly entries: readonly Entry[];
}

/** What one KM is to be told, in two steps. */
interface Plan {
  readonly client: KmClient;
  /** Of its directory now. */
  readonly revision: number;
  readonly what: string;
  readonly first: Change;
  readonly last?: Change;
  /** Why it cannot be told. */
  readonly failure?: string;
}

/** Of all of them; the same as a KM tells. */
export function fingerprintOf(homes: Homes): string {
  const print = new Fingerprint();
  for (const [app, home] of homes) print.toggle(app, home);
  return print.text;
}

/**
 * Tells each KM what it lacks, and those that lack nothing that this is so. Where an application comes to a KM, that KM is told
 * last: when it supplies the first key, the others know already whose it is.
 */
export async function tellDirectories(
  clients: readonly KmClient[],
  homes: Homes,
  mode: Exclude<Mode, "give back">,
): Promise<readonly DirectoryOutcome[]> {
  const print = fingerprintOf(homes);
  let plans = await Promise.all(clients.map((client) => planOf(client, homes, print)));
  if (mode === "set") {
    plans = await Promise.all(plans.map((plan) => told(plan, plan.first)));
    plans = await Promise.all(plans.map((plan) => told(plan, plan.last)));
  }
  return plans.map(({ client, what, failure }) => {
    const said = what === "kept" ? what : `${mode === "set" ? "told" : "would be told"} ${what}`;
    return { km: client.km.id, apps: homes.size, what: failure ?? said, failed: failure !== undefined };
  });
}

async function planOf(client: KmClient, homes: Homes, print: string): Promise<Plan> {
  const plan: Plan = { client, revision: 0, what: "kept", first: { method: "PATCH", entries: [] } };
  return await guarded(plan, async () => {
    const report = await client.directory();
    const { revision } = report;
    if (report.fingerprint === print && revision > 0) return { ...plan, revision };
    const whole: Change = { method: "PUT", entries: [...homes].map(([app, home]) => ({ app, home })) };
    if (revision === 0) return { ...plan, revision, what: "all of it", first: whole };
    const entries = differences(await entriesOf(client, report), homes);
    const what = plural(entries.length, "change");
    if (entries.length > DIRECTORY_LIMITS.changes) return { ...plan, revision, what, first: whole };
    const isComing = ({ home }: Entry): boolean => home === client.km.id;
    const first: Change = { method: "PATCH", entries: entries.filter((entry) => !isComing(entry)) };
    return { ...plan, revision, what, first, last: { method: "PATCH", entries: entries.filter(isComing) } };
  });
}

async function told(plan: Plan, change: Change | undefined): Promise<Plan> {
  if (change === undefined || plan.failure !== undefined) return plan;
  return await guarded(plan, async () => {
    const { revision } = await plan.client.tellDirectory(change.method, plan.revision, change.entries);
    return { ...plan, revision };
  });
}

/** What fails is told of the plan. */
async function guarded(plan: Plan, work: () => Promise<Plan>): Promise<Plan> {
  try {
    return await work();
  } catch (thrown) {
    return { ...plan, failure: thrown instanceof Error ? thrown.message : String(thrown) };
  }
}

/** @throws Error when it changes meanwhile */
async function entriesOf(client: KmClient, { revision }: DirectoryReport): Promise<Homes> {
  const homes = new Map<string, string>();
  for (let from: number | null = 0; from !== null; ) {
    const page: DirectoryReport = await client.directory(from);
    if (page.revision !== revision) throw new Error("another controller changes the directory");
    for (const { app, home } of page.entries ?? []) homes.set(app, home);
    from = page.next;
  }
  return homes;
}

function differences(has: Homes, wanted: Homes): readonly Entry[] {
  const set = [...wanted].flatMap(([app, home]) => (has.get(app) === home ? [] : [{ app, home }]));
  const gone = [...has.keys()].flatMap((app) => (wanted.has(app) ? [] : [{ app, home: null }]));
  return [...gone, ...set];
}
