// Which values of a configuration are files, by its schema: for making their paths absolute, and looking whether they are there.

import type { Path } from "./lines.ts";

/** A schema of valibot, as far as it is walked. */
interface Walked {
  readonly wrapped?: unknown;
  readonly entries?: unknown;
  readonly item?: unknown;
  readonly pipe?: unknown;
}

/** A value that names a file. */
export interface NamedFile {
  readonly path: Path;
  readonly file: string;
  readonly isSecret: boolean;
}

const partsOf = (schema: unknown): Walked => (typeof schema === "object" && schema !== null ? schema : {});

/** What `file` and `secretFile` have said of a value; undefined for other values. */
function markOf({ pipe }: Walked): unknown {
  const steps: readonly unknown[] = Array.isArray(pipe) ? pipe : [];
  return steps.map((step) => Reflect.get(partsOf(Reflect.get(partsOf(step), "metadata")), "file")).find(Boolean);
}

/** Makes another value of each that names a file. */
export function mapFiles(
  schema: unknown,
  value: unknown,
  change: (file: NamedFile) => string,
  path: Path = [],
): unknown {
  const parts = partsOf(schema);
  if (parts.wrapped !== undefined) return mapFiles(parts.wrapped, value, change, path);
  const mark = markOf(parts);
  if (mark !== undefined && typeof value === "string")
    return change({ path, file: value, isSecret: mark === "secret" });
  if (Array.isArray(value)) return value.map((one, at) => mapFiles(parts.item, one, change, [...path, at]));
  if (typeof value !== "object" || value === null) return value;
  const table = partsOf(parts.entries);
  return Object.fromEntries(
    Object.entries(value).map(([key, one]) => [key, mapFiles(Reflect.get(table, key), one, change, [...path, key])]),
  );
}

/** All values that name files, in the order of the schema's tables. */
export function filesOf(schema: unknown, value: unknown): readonly NamedFile[] {
  const found: NamedFile[] = [];
  mapFiles(schema, value, (file) => {
    found.push(file);
    return file.file;
  });
  return found;
}
