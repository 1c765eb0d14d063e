// A flame graph as one SVG file: each call as wide as its time, what it called above it; the pointer tells more.

import { escaped } from "../chart.ts";
import type { Call } from "./calls.ts";

const WIDTH = 1_400;
const ROW = 17;
const TOP = 40;
/** Calls narrower than this are left out. */
const NARROWEST = 0.5;
const LETTER = 6.2;

interface Frame {
  readonly call: Call;
  readonly x: number;
  readonly depth: number;
}

/** `heading`: what was measured. */
export function flameGraph(root: Call, heading: string): string {
  const scale = WIDTH / Math.max(root.totalMicros, 1);
  const frames = [...framesOf({ call: root, x: 0, depth: 0 }, scale)];
  const depth = Math.max(...frames.map((frame) => frame.depth));
  const height = TOP + (depth + 1) * ROW + 10;
  const total = (root.totalMicros / 1_000).toFixed(0);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}"`,
    '  font-family="sans-serif" font-size="11">',
    `<rect width="${WIDTH}" height="${height}" fill="#fff"/>`,
    `<text x="8" y="24" font-size="15">${escaped(heading)}: ${total} ms busy</text>`,
    ...frames.map((frame) => rectangle(frame, { scale, y: TOP + (depth - frame.depth) * ROW, root })),
    "</svg>\n",
  ].join("\n");
}

function* framesOf(frame: Frame, scale: number): Generator<Frame> {
  yield frame;
  let { x } = frame;
  for (const call of frame.call.callees.toSorted((a, b) => b.totalMicros - a.totalMicros)) {
    const width = call.totalMicros * scale;
    if (width >= NARROWEST) yield* framesOf({ call, x, depth: frame.depth + 1 }, scale);
    x += width;
  }
}

interface BlockPosition {
  readonly scale: number;
  readonly y: number;
  readonly root: Call;
}

function rectangle({ call, x }: Frame, { scale, y, root }: BlockPosition): string {
  const width = call.totalMicros * scale;
  const percent = ((100 * call.totalMicros) / root.totalMicros).toFixed(1);
  const said = `${call.name} ${call.place}\n${percent} %, by itself ${(call.selfMicros / 1_000).toFixed(1)} ms`;
  const letters = Math.floor((width - 6) / LETTER);
  const name = letters < 3 ? "" : escaped(call.name.slice(0, letters));
  return (
    `<g><title>${escaped(said)}</title>` +
    `<rect x="${x.toFixed(1)}" y="${y}" width="${Math.max(width - 0.4, 0.2).toFixed(1)}" height="${ROW - 1}" fill="${colourOf(call)}"/>` +
    `<text x="${(x + 3).toFixed(1)}" y="${y + 12}">${name}</text></g>`
  );
}

/** The project's own, its packages, Node's own, and what is none of them. */
function colourOf({ place }: Call): string {
  if (place.includes("node_modules/")) return "#d9c46c";
  if (place.startsWith("node:")) return "#8fb8d8";
  return place === "" ? "#cfcfcf" : "#e8935a";
}
