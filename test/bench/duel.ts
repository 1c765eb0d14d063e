// A KM's door against a reference, in turn, under the same load: as many requests in flight, answers of the same length.

import { askOnce, type Busy, Clients, type Outcome, type Target } from "./load.ts";
import type { Program } from "./program.ts";
import type { Wish } from "./requests.ts";
import { alternate, median, type Samples } from "./result.ts";

/** How requests come. */
export interface Pattern {
  readonly connections: number;
  /** Requests in flight on each connection. */
  readonly depth: number;
  /** Before the first round, so that V8 has compiled what is hot. */
  readonly heatMs: number;
  readonly measureMs: number;
}

/** What the KM is measured against. */
export interface Rival extends AsyncDisposable {
  run(measureMs: number): Promise<Outcome>;
}

export interface Duel {
  readonly rounds: number;
  readonly pattern: Pattern;
  readonly target: Target;
  readonly km: Program;
  /** A new one for each round: the same requests, or those that are next. */
  readonly wish: () => Wish;
  /** Before each of our rounds: sees to it that they find enough key. */
  readonly prepare: () => Promise<void>;
  /** Measured against nothing when there is no rival. */
  readonly rival: ((first: Wish, answer: Buffer) => Promise<Rival>) | undefined;
}

/** Outcomes of all rounds, the KM's and the reference's; of the latter none when there is no rival. */
export interface Outcomes {
  readonly ours: readonly Outcome[];
  readonly theirs: readonly Outcome[];
}

/** Of each round, not counted. */
const WARM_MS = 300;

export async function duel(plan: Duel): Promise<Outcomes> {
  const { target, km, rounds } = plan;
  const { connections, depth, heatMs, measureMs } = plan.pattern;
  const first = plan.wish();
  const answer = await askOnce(target, first.request, first.isWhole);
  first.check(answer);
  const sizes = { requestBytes: first.requestBytes, answerBytes: answer.length };
  await using rival = await plan.rival?.(first, answer);
  using clients = await Clients.connect(target, connections, depth * first.requestBytes);
  const meters = metersOf(km);
  const ours = async (ms: number) => {
    await plan.prepare();
    return clients.run({ depth, warmMs: WARM_MS, measureMs: ms, shape: { ...plan.wish(), ...sizes }, ...meters });
  };
  await ours(heatMs);
  await rival?.run(heatMs);
  const sides = await alternate(
    rounds,
    () => ours(measureMs),
    async () => rival?.run(measureMs),
  );
  return { ours: sides[0], theirs: sides[1].flatMap((outcome) => (outcome === undefined ? [] : [outcome])) };
}

/** A bare server that answers requests as long as the KM's with answers as long as the KM's, under the same load. */
export async function serverRival(
  program: Program,
  { connections, depth }: Pattern,
  { tls }: Target,
  { request, requestBytes, answerBytes }: Pick<Wish, "request" | "requestBytes"> & { readonly answerBytes: number },
): Promise<Rival> {
  const port = Number(program.said.split(" ")[1]);
  const clients = await Clients.connect({ port, tls }, connections, depth * requestBytes);
  const lay = (target: Buffer, at: number): boolean => {
    target.set(request, at);
    return true;
  };
  const shape = { requestBytes, answerBytes, check: () => {}, lay };
  return {
    run: (measureMs) => clients.run({ depth, warmMs: WARM_MS, measureMs, shape, ...metersOf(program) }),
    async [Symbol.asyncDispose]() {
      clients[Symbol.dispose]();
      await program[Symbol.asyncDispose]();
    },
  };
}

/** What a server's processor time is read from. */
export const metersOf = (program: Program) => ({
  cpu: () => program.cpuSeconds(),
  mainCpu: () => program.mainSeconds(),
});

/** Of a core: from here on an end is what bounds a figure. */
const BUSY = 0.85;

/** What bounded our side, as the middle round saw it, with the parts of a core that both ends used. */
export function boundOf({ ours }: Outcomes): string {
  const middle = (of: (busy: Busy) => number) => median(ours.flatMap(({ busy }) => (busy ? [of(busy)] : [])));
  const [server, generator] = [middle((busy) => busy.server), middle((busy) => busy.generator)];
  const bound = server >= BUSY && server >= generator ? "server" : generator >= BUSY ? "generator" : "neither";
  return `${bound} (${percent(server)}, generator ${percent(generator)})`;
}

const percent = (part: number): string => `${(100 * part).toFixed(0)} %`;

/** One number of each outcome, on both sides. */
export function compared(
  { ours, theirs }: Outcomes,
  of: { readonly ours: string; readonly theirs: string },
  number: (outcome: Outcome) => number,
): { readonly measured: Samples; readonly reference?: Samples } {
  const measured = { of: of.ours, values: ours.map(number) };
  return theirs.length === 0 ? { measured } : { measured, reference: { of: of.theirs, values: theirs.map(number) } };
}
