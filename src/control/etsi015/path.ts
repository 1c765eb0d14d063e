// RESTCONF paths (RFC 8040 3.5.3) into a tree of JSON: `qkd_links/qkd_link=<key>/qkdl_status`.

/** The key of each list. */
const KEYS: Readonly<Record<string, string>> = {
  qkd_app: "app_id",
  qkd_interface: "qkdi_id",
  qkd_link: "qkdl_id",
  phys_perf: "perf_type",
};

/** What a path leads to, by its last name; undefined when there is nothing. `segments` follow the root, URL-encoded. */
export function walk(
  root: object,
  rootName: string,
  segments: readonly string[],
): { readonly name: string; readonly value: unknown } | undefined {
  let [name, value]: [string, unknown] = [rootName, root];
  for (const segment of segments) {
    const [member = "", key] = segment.split("=", 2).map(decoded);
    const next: unknown = isObject(value) && Object.hasOwn(value, member) ? Reflect.get(value, member) : undefined;
    if (next === undefined) return undefined;
    [name, value] = [member, key === undefined ? next : entryOf(next, member, key)];
    if (value === undefined) return undefined;
  }
  return { name, value };
}

/** One entry of a list stays a list of one (RFC 7951 5.4). */
function entryOf(list: unknown, name: string, key: string): unknown {
  const member = KEYS[name];
  if (!Array.isArray(list) || member === undefined) return undefined;
  const found: unknown = list.find((entry: unknown) => isObject(entry) && String(Reflect.get(entry, member)) === key);
  return found === undefined ? undefined : [found];
}

const isObject = (value: unknown): value is object =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
