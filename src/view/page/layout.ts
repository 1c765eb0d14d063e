// Where the KMs stand on the map: distances on it follow the number of links between them. Pure, and the same each time.
//
// Classical scaling gives the first places, then stress majorisation moves each KM to where all others want it
// (Gansner, Koren, North: Graph Drawing by Stress Majorization).

/** Where a KM lies on the map; 0 to 1 both ways. */
export interface Place {
  readonly x: number;
  readonly y: number;
}

/** A link between two KMs on the map. */
export interface Edge {
  readonly kms: readonly [string, string];
}

const ROUNDS = 150;

/** Places by ID, with `length` between two neighbours; the longest way across lies level, the first ID to the left. */
export function layout(ids: readonly string[], edges: readonly Edge[], length: number): ReadonlyMap<string, Place> {
  const distances = distancesOf(ids, edges);
  let places = firstPlaces(distances);
  for (let round = 0; round < ROUNDS; round++) places = majorised(places, distances);
  for (let round = 0; round < ROUNDS; round++) places = parted(places);
  const way = (places[0]?.x ?? 0) > (places.at(-1)?.x ?? 0) ? -length : length;
  return new Map(ids.map((id, at) => [id, { x: (places[at]?.x ?? 0) * way, y: (places[at]?.y ?? 0) * length }]));
}

/** Links between each two KMs on the shortest way; parts that no link joins stand apart. */
function distancesOf(ids: readonly string[], edges: readonly Edge[]): readonly (readonly number[])[] {
  const neighbours = new Map<string, string[]>(ids.map((id) => [id, []]));
  for (const { kms } of edges) {
    const [a, b] = kms;
    neighbours.get(a)?.push(b);
    neighbours.get(b)?.push(a);
  }
  const apart = Math.sqrt(ids.length) + 1;
  return ids.map((from) => {
    const hops = new Map([[from, 0]]);
    for (const [id, distance] of hops) {
      for (const next of neighbours.get(id) ?? []) if (!hops.has(next)) hops.set(next, distance + 1);
    }
    return ids.map((to) => hops.get(to) ?? apart);
  });
}

/** The two main axes of the doubly centred squares of the distances. */
function firstPlaces(distances: readonly (readonly number[])[]): readonly Place[] {
  const squares = distances.map((row) => row.map((distance) => distance * distance));
  const means = squares.map(meanOf);
  const mean = meanOf(means);
  const centred = squares.map((row, i) =>
    row.map((square, j) => -0.5 * (square - (means[i] ?? 0) - (means[j] ?? 0) + mean)),
  );
  const first = mainAxis(centred);
  const second = mainAxis(centred, first);
  // KMs with the same distances to all others would lie on each other.
  return distances.map((_, at) => ({
    x: (first[at] ?? 0) + 1e-4 * Math.sin(at * 7),
    y: (second[at] ?? 0) + 1e-4 * Math.cos(at * 5),
  }));
}

const meanOf = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);

/** By power iteration; at a right angle to another axis, if one is given. */
function mainAxis(matrix: readonly (readonly number[])[], other: readonly number[] = []): readonly number[] {
  let axis: readonly number[] = matrix.map((_, at) => Math.cos(at * 2.4) + 0.1);
  let length = 0;
  for (let round = 0; round < 60; round++) {
    axis = matrix.map((row) => dot(row, axis));
    const along = dot(axis, other) / Math.max(1e-9, dot(other, other));
    axis = axis.map((value, at) => value - along * (other[at] ?? 0));
    length = Math.sqrt(dot(axis, axis));
    axis = axis.map((value) => value / Math.max(1e-9, length));
  }
  return axis.map((value) => value * Math.sqrt(length));
}

const dot = (a: readonly number[], b: readonly number[]): number =>
  a.reduce((sum, value, at) => sum + value * (b[at] ?? 0), 0);

/** One round: what is far counts less, by the square of its distance. */
function majorised(places: readonly Place[], distances: readonly (readonly number[])[]): readonly Place[] {
  return places.map((own, i) => {
    let [x, y, weights] = [0, 0, 0];
    for (const [j, other] of places.entries()) {
      if (i === j) continue;
      const wanted = distances[i]?.[j] ?? 1;
      const weight = 1 / (wanted * wanted);
      const away = Math.max(1e-6, Math.hypot(own.x - other.x, own.y - other.y));
      x += weight * (other.x + (wanted * (own.x - other.x)) / away);
      y += weight * (other.y + (wanted * (own.y - other.y)) / away);
      weights += weight;
    }
    return weights === 0 ? own : { x: x / weights, y: y / weights };
  });
}

/** In links: no two KMs may stand closer. */
const LEAST_APART = 0.7;

/** One round: those that stand too close move apart. */
function parted(places: readonly Place[]): readonly Place[] {
  return places.map((own, i) => {
    let [x, y] = [own.x, own.y];
    for (const [j, other] of places.entries()) {
      const away = Math.hypot(own.x - other.x, own.y - other.y);
      if (i === j || away >= LEAST_APART) continue;
      // Those in one place part in directions of their own.
      const way =
        away > 1e-6 ? { x: (own.x - other.x) / away, y: (own.y - other.y) / away } : { x: Math.cos(i), y: Math.sin(i) };
      x += way.x * (LEAST_APART - away) * 0.25;
      y += way.y * (LEAST_APART - away) * 0.25;
    }
    return { x, y };
  });
}

/** From a KM to the one that is nearest to it: what half of them have. */
export function spacingOf(places: readonly Place[]): number {
  const nearest = places.map((own) =>
    places.reduce((least, other) => {
      const away = Math.hypot(own.x - other.x, own.y - other.y);
      return other === own ? least : Math.min(least, away);
    }, Number.POSITIVE_INFINITY),
  );
  return nearest.toSorted((a, b) => a - b)[Math.floor(nearest.length / 2)] ?? Number.POSITIVE_INFINITY;
}

/** The KM that lies nearest in a direction, for the arrow keys; undefined when there is none that way. */
export function nearestThatWay(places: ReadonlyMap<string, Place>, from: string, way: Place): string | undefined {
  const start = places.get(from);
  let best: { readonly id: string; readonly cost: number } | undefined;
  for (const [id, { x, y }] of places) {
    if (start === undefined || id === from) continue;
    const [dx, dy] = [x - start.x, y - start.y];
    const ahead = dx * way.x + dy * way.y;
    const aside = Math.abs(dx * way.y - dy * way.x);
    const cost = ahead + 2 * aside;
    if (ahead > 0 && aside <= 2 * ahead && (best === undefined || cost < best.cost)) best = { id, cost };
  }
  return best?.id;
}
