// The files of the page: TypeScript without its types, as browsers read it, and the plotting library.

import { readdirSync, readFileSync } from "node:fs";
import { createRequire, stripTypeScriptTypes } from "node:module";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";

/** What one path of the server answers. */
export interface Asset {
  readonly type: string;
  readonly body: Uint8Array;
}

const PAGE = new URL("./page/", import.meta.url);
/** Modules outside `page/` that the page imports. */
const SHARED = ["figures-text.ts"] as const;
const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".ts": "text/javascript; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
};

/** Every file of the page by its path. Reads them once; nothing of a request ever becomes a path of the disk. */
export function loadAssets(): ReadonlyMap<string, Asset> {
  const { resolve } = createRequire(import.meta.url);
  const assets = new Map<string, Asset>();
  const add = (path: string, file: string | URL): void => {
    const type = TYPES[extname(String(file))] ?? "application/octet-stream";
    assets.set(path, { type, body: bodyOf(file) });
  };
  const names = readdirSync(PAGE).filter((name) => name !== "tsconfig.json");
  for (const name of names) add(name === "index.html" ? "/" : `/page/${name}`, new URL(name, PAGE));
  for (const name of SHARED) add(`/${name}`, new URL(name, import.meta.url));
  // Its package has no entry for the file itself: next to what its name leads to.
  const folder = new URL("./", `file://${resolve("uplot")}`);
  add("/vendor/uplot.js", new URL("uPlot.esm.js", folder));
  add("/vendor/uplot.css", new URL("uPlot.min.css", folder));
  return assets;
}

function bodyOf(file: string | URL): Uint8Array {
  const bytes = readFileSync(file);
  if (!String(file).endsWith(".ts")) return bytes;
  // Browsers know no package names.
  const text = withoutTypes(bytes.toString("utf8"), fileURLToPath(file));
  return Buffer.from(text.replaceAll('from "uplot"', 'from "/vendor/uplot.js"'));
}

/** By Node itself, as for our other files. It warns once that the function may change, which concerns nobody who looks. */
function withoutTypes(text: string, file: string): string {
  const { emitWarning } = process;
  process.emitWarning = () => {};
  try {
    return stripTypeScriptTypes(text, { sourceUrl: file });
  } finally {
    process.emitWarning = emitWarning;
  }
}
