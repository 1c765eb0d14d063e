// A KM's door against a reference server, in turn, under the same load: same requests, answers of the same length.

import { askOnce, Clients, type Outcome, type Target } from "./load.ts";
import type { Program } from "./program.ts";
import type { Wish } from "./requests.ts";
import { alternate, type Samples } from "./result.ts";

export interface Duel {
  readonly rounds: number;
  readonly target: Target;
  readonly km: Program;
  /** A new one for each round: the same requests, or those that are next. */
  readonly wish: () => Wish;
  /** The server that answers requests of this length with as many bytes as `answer` has. */
  readonly reference: (requestBytes: number, answer: Buffer) => Promise<Program>;
  readonly connections: number;
  /** Requests in flight on each connection. */
  readonly depth: number;
  /** Before the first round, so that V8 has compiled what is hot. */
  readonly heatMs: number;
  readonly measureMs: number;
}

/** Outcomes of all rounds, the KM's and the reference's. */
export interface Outcomes {
  readonly ours: readonly Outcome[];
  readonly theirs: readonly Outcome[];
}

/** Of each round, not counted. */
const WARM_MS = 300;

export async function duel(plan: Duel): Promise<Outcomes> {
  const { target, km, connections, depth } = plan;
  const first = plan.wish();
  const answer = await askOnce(target, first.request, first.isWhole);
  first.check(answer);
  const sizes = { requestBytes: first.requestBytes, answerBytes: answer.length };
  await using reference = await plan.reference(first.requestBytes, answer);
  const port = Number(reference.said.split(" ")[1]);
  const batch = depth * first.requestBytes;
  using ourClients = await Clients.connect(target, connections, batch);
  using theirClients = await Clients.connect({ ...target, port }, connections, batch);
  const constant = { ...first, ...sizes, check: () => {}, lay: same(first.request) };
  const load = (measureMs: number) => ({ depth, warmMs: WARM_MS, measureMs });
  const sides = {
    ours: (ms: number) =>
      ourClients.run({ ...load(ms), shape: { ...plan.wish(), ...sizes }, cpu: () => km.cpuSeconds() }),
    theirs: (ms: number) => theirClients.run({ ...load(ms), shape: constant, cpu: () => reference.cpuSeconds() }),
  };
  await sides.ours(plan.heatMs);
  await sides.theirs(plan.heatMs);
  const ours: Outcome[] = [];
  const theirs: Outcome[] = [];
  await alternate(
    plan.rounds,
    async () => ours.push(await sides.ours(plan.measureMs)),
    async () => theirs.push(await sides.theirs(plan.measureMs)),
  );
  return { ours, theirs };
}

const same =
  (request: Uint8Array) =>
  (target: Buffer, at: number): boolean => {
    target.set(request, at);
    return true;
  };

/** One number of each outcome, on both sides. */
export function compared(
  { ours, theirs }: Outcomes,
  of: { readonly ours: string; readonly theirs: string },
  number: (outcome: Outcome) => number,
): { readonly measured: Samples; readonly reference: Samples } {
  return {
    measured: { of: of.ours, values: ours.map(number) },
    reference: { of: of.theirs, values: theirs.map(number) },
  };
}
