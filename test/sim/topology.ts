// Random networks: a connected graph of key managers, and the applications at home there.

import type { Dice } from "./dice.ts";

export interface Edge {
  readonly link: string;
  readonly a: string;
  readonly b: string;
}

export interface Topology {
  readonly nodes: readonly string[];
  readonly edges: readonly Edge[];
}

const nameOf = (index: number): string => `km-${String(index).padStart(3, "0")}`;

/** A tree of short branches and about half as many links more; two nodes are one link, three a line. */
export function randomTopology(nodes: number, dice: Dice): Topology {
  const names = Array.from({ length: nodes }, (_, index) => nameOf(index));
  const edges = new Map<string, Edge>();
  const join = (one: number, other: number): void => {
    const [a, b] = [nameOf(Math.min(one, other)), nameOf(Math.max(one, other))];
    const link = `${a.slice(3)}-${b.slice(3)}`;
    if (a !== b) edges.set(link, { link, a, b });
  };
  for (let index = 1; index < nodes; index++) join(index, dice.between(Math.max(0, index - 4), index - 1));
  for (let more = 0; more < Math.floor((nodes - 2) / 2); more++) {
    const one = dice.between(0, nodes - 1);
    join(one, Math.min(nodes - 1, Math.max(0, one + dice.between(-6, 6))));
  }
  return { nodes: names, edges: [...edges.values()] };
}
