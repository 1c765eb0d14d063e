// Cheapest node-disjoint ways through a graph: successive shortest paths over nodes split in two (Suurballe, Bhandari).

/** A hop that may be taken in this direction; costs are whole numbers of at least 0. */
export interface Hop {
  readonly to: number;
  readonly cost: number;
}

/** Nodes are numbered from 0; where costs are equal, lower numbers win. Lent for one search: hops do not change. */
export interface Graph {
  readonly nodes: number;
  hops(from: number): readonly Hop[];
}

const NONE = -1;
/** Each node is two: where ways come in, and where they go out. */
const inOf = (node: number): number => 2 * node;
const outOf = (node: number): number => 2 * node + 1;
const nodeOf = (half: number): number => half >> 1;
const isOut = (half: number): boolean => (half & 1) === 1;

/**
 * Up to `most` ways from `source` to `target` that share no node between, the sum of all costs least for their number.
 * A way is the nodes between, in order; fewer when there are no more.
 */
export function disjointWays(graph: Graph, source: number, target: number, most: number): readonly number[][] {
  if (source === target) return [];
  const search = new DisjointSearch(graph, source, target);
  for (let found = 0; found < most; found++) if (!search.augment()) break;
  return search.ways();
}

class DisjointSearch {
  readonly #graph: Graph;
  readonly #source: number;
  readonly #target: number;
  /** Of the nodes between, on the ways found so far: who comes before and after. */
  readonly #before: Int32Array;
  readonly #after: Int32Array;
  #direct = false;
  /** What makes the cost of every step 0 or more, those back along a way too. */
  readonly #potential: Float64Array;
  readonly #distance: Float64Array;
  readonly #from: Int32Array;
  readonly #settled: Uint8Array;

  constructor(graph: Graph, source: number, target: number) {
    this.#graph = graph;
    this.#source = source;
    this.#target = target;
    this.#before = new Int32Array(graph.nodes).fill(NONE);
    this.#after = new Int32Array(graph.nodes).fill(NONE);
    this.#potential = new Float64Array(2 * graph.nodes);
    this.#distance = new Float64Array(2 * graph.nodes);
    this.#from = new Int32Array(2 * graph.nodes);
    this.#settled = new Uint8Array(2 * graph.nodes);
  }

  /** One way more, the others changed where that is cheapest in sum; false when there is none. */
  augment(): boolean {
    if (!this.#search()) return false;
    const reached = this.#distance[inOf(this.#target)] ?? 0;
    for (const [half, distance] of this.#distance.entries()) {
      this.#potential[half] = (this.#potential[half] ?? 0) + Math.min(distance, reached);
    }
    this.#take();
    return true;
  }

  /** Dijkstra from the source to the target, over what the ways found so far leave free. */
  #search(): boolean {
    this.#distance.fill(Number.POSITIVE_INFINITY);
    this.#settled.fill(0);
    const start = outOf(this.#source);
    const end = inOf(this.#target);
    const heap = new Heap();
    this.#distance[start] = 0;
    heap.add(start, 0);
    for (let half = heap.take(); half !== undefined; half = heap.take()) {
      if (this.#settled[half] === 1) continue;
      this.#settled[half] = 1;
      if (half === end) return true;
      this.#relax(half, heap);
    }
    return false;
  }

  #relax(half: number, heap: Heap): void {
    const node = nodeOf(half);
    const before = this.#before[node] ?? NONE;
    if (!isOut(half)) {
      if (before === NONE) this.#step(half, outOf(node), 0, heap);
      else if (before !== this.#source) this.#step(half, outOf(before), -this.#cost(before, node), heap);
      return;
    }
    if (before !== NONE) this.#step(half, inOf(node), 0, heap);
    for (const { to, cost } of this.#graph.hops(node)) {
      if (to !== this.#source && !this.#isTaken(node, to)) this.#step(half, inOf(to), cost, heap);
    }
  }

  #step(from: number, to: number, cost: number, heap: Heap): void {
    if (this.#settled[to] === 1) return;
    const reduced = cost + (this.#potential[from] ?? 0) - (this.#potential[to] ?? 0);
    const distance = (this.#distance[from] ?? 0) + reduced;
    const known = this.#distance[to] ?? 0;
    if (distance > known || (distance === known && from > (this.#from[to] ?? NONE))) return;
    this.#from[to] = from;
    if (distance === known) return;
    this.#distance[to] = distance;
    heap.add(to, distance);
  }

  #cost(from: number, to: number): number {
    return this.#graph.hops(from).find((hop) => hop.to === to)?.cost ?? 0;
  }

  #isTaken(from: number, to: number): boolean {
    if (from !== this.#source) return this.#after[from] === to;
    return to === this.#target ? this.#direct : this.#before[to] === from;
  }

  /** Adds the way found: its new hops, without those that it went back along. */
  #take(): void {
    const added: [number, number][] = [];
    for (let to = inOf(this.#target); to !== outOf(this.#source); to = this.#from[to] ?? NONE) {
      const from = this.#from[to] ?? NONE;
      if (nodeOf(from) === nodeOf(to)) continue;
      if (isOut(from)) added.push([nodeOf(from), nodeOf(to)]);
      else {
        this.#after[nodeOf(to)] = NONE;
        this.#before[nodeOf(from)] = NONE;
      }
    }
    for (const [from, to] of added) {
      if (from !== this.#source) this.#after[from] = to;
      if (to !== this.#target) this.#before[to] = from;
      if (from === this.#source && to === this.#target) this.#direct = true;
    }
  }

  ways(): number[][] {
    const ways: number[][] = this.#direct ? [[]] : [];
    for (const [first, before] of this.#before.entries()) {
      if (before !== this.#source) continue;
      const way: number[] = [];
      for (let node = first; node !== this.#target && node !== NONE; node = this.#after[node] ?? NONE) way.push(node);
      ways.push(way);
    }
    return ways;
  }
}

/** Halves by distance, then by number; one that came nearer is in it twice. */
class Heap {
  readonly #halves: number[] = [];
  readonly #distances: number[] = [];

  add(half: number, distance: number): void {
    let at = this.#halves.length;
    this.#halves.push(half);
    this.#distances.push(distance);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#isBefore(at, parent)) return;
      this.#swap(at, parent);
      at = parent;
    }
  }

  take(): number | undefined {
    const first = this.#halves[0];
    if (first === undefined) return undefined;
    this.#swap(0, this.#halves.length - 1);
    this.#halves.pop();
    this.#distances.pop();
    for (let at = 0; ; ) {
      const left = 2 * at + 1;
      const right = left + 1;
      const child = right < this.#halves.length && this.#isBefore(right, left) ? right : left;
      if (child >= this.#halves.length || !this.#isBefore(child, at)) return first;
      this.#swap(at, child);
      at = child;
    }
  }

  #isBefore(a: number, b: number): boolean {
    const difference = (this.#distances[a] ?? 0) - (this.#distances[b] ?? 0);
    return difference < 0 || (difference === 0 && (this.#halves[a] ?? 0) < (this.#halves[b] ?? 0));
  }

  #swap(a: number, b: number): void {
    exchange(this.#halves, a, b);
    exchange(this.#distances, a, b);
  }
}

function exchange(list: number[], a: number, b: number): void {
  const kept = list[a] ?? 0;
  list[a] = list[b] ?? 0;
  list[b] = kept;
}
