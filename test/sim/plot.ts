// The network of a run and its stock over time, as one SVG.

import type { World } from "./world.ts";

/** What one node had at one time: bytes to carve, and blocks of its links. */
export interface Sample {
  readonly atMs: number;
  /** By node: bytes in stock for other KMs, whether it was up. */
  readonly nodes: readonly { readonly bytes: number; readonly isUp: boolean }[];
}

const SIZE = 560;
const MARGIN = 30;
const CHART = { width: 900, rowHeight: 46 };

export function sampleOf(world: World): Sample {
  const nodes = world.nodeList.map(({ parts }) => ({
    isUp: parts !== undefined,
    bytes: parts === undefined ? 0 : [...parts.peers.values()].reduce((sum, { stock }) => sum + stock.bytes, 0),
  }));
  return { atMs: world.clock.nowMs, nodes };
}

export function plot(world: World, samples: readonly Sample[]): string {
  const { nodes } = world.plan.topology;
  const rows = nodes.length;
  const height = Math.max(SIZE, rows * CHART.rowHeight + 2 * MARGIN);
  const charts = nodes.map((name, index) => chart(name, samples, index));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${SIZE + CHART.width}" height="${height}" font-family="sans-serif" font-size="11">`,
    '<rect width="100%" height="100%" fill="white"/>',
    `<text x="${MARGIN}" y="18">seed ${world.options.seed}: the network, and bytes in stock at each KM over ${hours(samples)} h (red: down)</text>`,
    graph(world),
    ...charts,
    "</svg>",
  ].join("\n");
}

const hours = (samples: readonly Sample[]): string => ((samples.at(-1)?.atMs ?? 0) / 3_600_000).toFixed(2);

/** All nodes on a circle. */
function graph(world: World): string {
  const { nodes, edges } = world.plan.topology;
  const place = (name: string): readonly [number, number] => {
    const angle = (2 * Math.PI * nodes.indexOf(name)) / nodes.length;
    const radius = SIZE / 2 - 2 * MARGIN;
    return [round(SIZE / 2 + radius * Math.sin(angle)), round(SIZE / 2 - radius * Math.cos(angle))];
  };
  const lines = edges.map(({ a, b }) => {
    const [[x1, y1], [x2, y2]] = [place(a), place(b)];
    return `<line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" stroke="#58a"/>`;
  });
  const dots = nodes.map((name) => {
    const [x, y] = place(name);
    return `<circle cx="${x}" cy="${y}" r="5" fill="#246"/><text x="${x + 7}" y="${y + 4}">${name}</text>`;
  });
  return [...lines, ...dots].join("\n");
}

function chart(name: string, samples: readonly Sample[], index: number): string {
  const top = MARGIN + index * CHART.rowHeight;
  const lastMs = samples.at(-1)?.atMs ?? 1;
  const most = Math.max(1, ...samples.map(({ nodes }) => nodes[index]?.bytes ?? 0));
  const x = (atMs: number): number => round(SIZE + 50 + ((CHART.width - 70) * atMs) / lastMs);
  const base = top + CHART.rowHeight - 8;
  const y = (bytes: number): number => round(base - ((CHART.rowHeight - 14) * bytes) / most);
  const points = samples.map(({ atMs, nodes }) => `${x(atMs)},${y(nodes[index]?.bytes ?? 0)}`).join(" ");
  const down = samples.flatMap(({ atMs, nodes }, at) =>
    nodes[index]?.isUp === false
      ? [
          `<rect x="${x(atMs)}" y="${base}" width="${Math.max(1, x(samples[at + 1]?.atMs ?? lastMs) - x(atMs))}" height="4" fill="#c33"/>`,
        ]
      : [],
  );
  return [
    `<text x="${SIZE}" y="${base}">${name}</text>`,
    `<polyline fill="none" stroke="#284" points="${points}"/>`,
    ...down,
  ].join("\n");
}

const round = (value: number): number => Math.round(value * 10) / 10;
