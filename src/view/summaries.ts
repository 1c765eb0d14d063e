// From what the KMs say to one word and one sentence for each KM and each link. Pure.

import type { LINK, OVERVIEW, Reported } from "../control/controller/tables.ts";
import type { KmState, KmSummary, LinkState, LinkSummary } from "./model.ts";

/** A KM's answer to the view's question. */
export type Overview = Reported<typeof OVERVIEW>;

/** What one end tells of its link. */
export type LinkTold = Reported<typeof LINK>;

/** One KM as the view knows it. */
export interface KnownKm {
  readonly id: string;
  /** What it said last; undefined while it does not answer. */
  readonly said: Overview | undefined;
  /** Why it does not answer. */
  readonly silence: string;
  /** Keys supplied and fetched, a second. */
  readonly keysPerS: number;
}

/** A link with what each of its ends tells. */
export interface KnownLink {
  readonly id: string;
  readonly kms: readonly [string, string];
  /** Its ends as their KMs tell them, of those that answer. */
  readonly ends: readonly { readonly km: string; readonly told: LinkTold }[];
  /** A tag over key of this link did not fit a short while ago. */
  readonly disagreed: boolean;
}

const DAY_MS = 86_400_000;
/** A certificate that expires sooner is trouble. */
const EXPIRY_DAYS = 7;

/** `answers` tells which KMs do, so that a KM is not blamed for a peer that is gone. */
export function kmSummary(km: KnownKm, answers: (id: string) => boolean, nowMs: number): KmSummary {
  const { id, said, keysPerS } = km;
  const [state, why] = stateOf(km, answers, nowMs);
  return { id, state, why, keysPerS, waiting: said?.node.waiting ?? 0, apps: said?.node.apps ?? 0 };
}

function stateOf(km: KnownKm, answers: (id: string) => boolean, nowMs: number): readonly [KmState, string] {
  const { said, silence } = km;
  if (said === undefined) return ["silent", silence || "not asked yet"];
  const troubles = troublesOf(said, answers, nowMs);
  if (troubles.length > 0) return ["trouble", troubles.join("; ")];
  return said.node.ready ? ["ready", ""] : ["starting", "its key inventory is not read yet"];
}

const TOKEN_TROUBLES: Readonly<Record<string, string>> = {
  gone: "its security module is gone",
  "wrong-pin": "its token refuses the PIN",
  unsuitable: "its token cannot be used",
};

function troublesOf(
  { node, peers, certificates }: Overview,
  answers: (id: string) => boolean,
  nowMs: number,
): readonly string[] {
  const apart = peers.filter(({ km, synchronised }) => !synchronised && answers(km)).map(({ km }) => km);
  const expiring = certificates.filter(({ not_after }) => Date.parse(not_after) - nowMs < EXPIRY_DAYS * DAY_MS);
  return [
    ...(node.token === "ready" ? [] : [TOKEN_TROUBLES[node.token] ?? `its token is ${node.token}`]),
    ...(node.store === "ready" ? [] : ["its key store cannot be written"]),
    ...(node.cluster?.etcd === "failing" ? ["its etcd does not answer"] : []),
    ...(node.healthy ? [] : [`silent inside: ${node.silent.join(", ")}`]),
    ...(node.ready && apart.length > 0 ? [`not synchronised with ${listOf(apart)}`] : []),
    ...expiring
      .slice(0, 1)
      .map(({ door, not_after }) => `a certificate of [${door}] expires ${not_after.slice(0, 10)}`),
  ];
}

const SHOWN = 3;
const listOf = (names: readonly string[]): string =>
  names.length <= SHOWN ? names.join(", ") : `${names.slice(0, SHOWN).join(", ")} and ${names.length - SHOWN} more`;

/** A link in the few words of the map. */
export function linkSummary({ id, kms, ends, disagreed }: KnownLink): LinkSummary {
  const told = ends.map((end) => end.told);
  const measured = told.map((end) => end.measured_bits_per_s).filter((rate) => rate > 0);
  const stated = told.flatMap((end) => end.stated_bits_per_s ?? []);
  const qbers = told.flatMap((end) => end.qber ?? []);
  const [state, why] = linkStateOf(ends, disagreed);
  return {
    id,
    kms,
    state,
    why,
    bitsPerS: meanOf(measured) ?? meanOf(stated),
    qber: qbers.length === 0 ? null : Math.max(...qbers),
    usableBlocks: told.reduce((sum, end) => sum + end.usable_blocks, 0),
  };
}

function linkStateOf(ends: KnownLink["ends"], disagreed: boolean): readonly [LinkState, string] {
  if (ends.length === 0) return ["unknown", "neither of its KMs answers"];
  const bad = ends.filter(({ told }) => told.line === "down" || told.agreement === "refused");
  const why = bad.map(({ km, told }) => `${km}: ${complaintOf(told)}`).join("; ");
  if (bad.length > 0) return [bad.length === ends.length ? "down" : "half", why];
  if (disagreed) return ["disagrees", "its two modules delivered different bits"];
  return ["up", ""];
}

const complaintOf = ({ line, alarms }: LinkTold): string =>
  [
    line === "down" ? "no line to its module" : "the two ends are not configured alike, or one is out of use",
    ...alarms,
  ].join(", ");

const meanOf = (values: readonly number[]): number | null =>
  values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;

/** The pair of neighbours on a route between which the tag did not fit; undefined when the relay does not say. */
export function disagreeingHop(
  route: readonly string[],
  failedAt: string | null,
): readonly [string, string] | undefined {
  const at = failedAt === null && route.length === 2 ? 1 : route.indexOf(failedAt ?? "");
  const [from, to] = [route[at - 1], route[at]];
  return from === undefined || to === undefined ? undefined : [from, to];
}
