// Finds the line of a key in TOML text, since the parser keeps none.

/** Path of a table, key or item, such as `["links", 0, "port"]`. */
export type Path = readonly (string | number)[];

const HEADER = /^\s*(\[\[?)\s*([^\]]+?)\s*\]\]?/;
const ENTRY = /^\s*((?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+)(?:\s*\.\s*(?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+))*)\s*=(.*)$/;
const PART = /"([^"]*)"|'([^']*)'|([A-Za-z0-9_-]+)/g;

const partsOf = (key: string): string[] => [...key.matchAll(PART)].map(([, a, b, c]) => a ?? b ?? c ?? "");

/** Line (from 1) by path, joined with newlines, of every table and key that stands at the beginning of a line. */
function index(text: string): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  const counts = new Map<string, number>();
  let table: Path = [];
  let value: Open = CLOSED;
  const note = (path: Path, line: number) => {
    for (let length = 1; length <= path.length; length++) {
      const key = path.slice(0, length).join("\n");
      if (!found.has(key)) found.set(key, line);
    }
  };
  for (const [at, line] of text.split("\n").entries()) {
    if (value.depth > 0 || value.quote !== "") {
      value = scan(line, value);
      continue;
    }
    const header = HEADER.exec(line);
    if (header) {
      const name = partsOf(header[2] ?? "");
      const key = name.join("\n");
      const item = counts.get(key) ?? 0;
      if (header[1] === "[[") counts.set(key, item + 1);
      table = header[1] === "[[" ? [...name, item] : name;
      note(table, at + 1);
      continue;
    }
    const entry = ENTRY.exec(line);
    if (!entry) continue;
    note([...table, ...partsOf(entry[1] ?? "")], at + 1);
    value = scan(entry[2] ?? "", CLOSED);
  }
  return found;
}

/** What of a value is still open at the end of a line: brackets, and a string over several lines. */
interface Open {
  readonly depth: number;
  readonly quote: "" | '"""' | "'''";
}
const CLOSED: Open = { depth: 0, quote: "" };
const TOKEN = /"""|'''|"(?:[^"\\]|\\.)*"|'[^']*'|\\.|[[\]{}#]/g;

function scan(line: string, from: Open): Open {
  let { depth, quote } = from;
  for (const [token] of line.matchAll(TOKEN)) {
    if (token === '"""' || token === "'''") quote = quote === "" ? token : quote === token ? "" : quote;
    else if (quote !== "") continue;
    else if (token === "#") break;
    else if (token === "[" || token === "{") depth++;
    else if (token === "]" || token === "}") depth--;
  }
  return { depth, quote };
}

/** Tells the line of a path, or of what it lies in when it stands nowhere itself; 1 when nothing of it does. */
export function lineFinder(text: string): (path: Path) => number {
  const found = index(text);
  return (path) => {
    for (let length = path.length; length > 0; length--) {
      const line = found.get(path.slice(0, length).join("\n"));
      if (line !== undefined) return line;
    }
    return 1;
  };
}
