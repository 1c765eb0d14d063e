// What an update would change: its list of packages against that of the system that runs.

import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { promisify } from "node:util";

/** Where an image has its list: a line for each package with name, version, and `security` where Debian's fixes brought it. */
const PACKAGES = "/usr/share/packages";
const RELEASE = "/etc/qkm/release";
/** A bundle's manifest is of some 10 KiB. */
const MOST_BYTES = 4 << 20;

interface Package {
  readonly version: string;
  readonly isSecurityFix: boolean;
}

/** Packages by name, of lines with name, version and perhaps `security`; what is no such line is left out. */
export function packagesIn(text: string): ReadonlyMap<string, Package> {
  const rows = text.split("\n").map((line) => line.split(/[\t ]+/));
  return new Map(
    rows.flatMap(([name, version, mark]) =>
      name && version ? [[name, { version, isSecurityFix: mark === "security" }] as const] : [],
    ),
  );
}

/** What changes from one list to the other, a line each: fixes of Debian's security team first. */
export function changesBetween(now: ReadonlyMap<string, Package>, next: ReadonlyMap<string, Package>): string[] {
  const changed = [...next].filter(([name, { version }]) => now.get(name)?.version !== version);
  const isFix = ([name, { isSecurityFix }]: (typeof changed)[number]): boolean => isSecurityFix && now.has(name);
  const line = (entry: (typeof changed)[number]): string => {
    const [name, { version }] = entry;
    const before = now.get(name)?.version;
    const what = before === undefined ? `new, ${version}` : `${before} -> ${version}`;
    return `  ${name} ${what}${isFix(entry) ? "  security fix" : ""}`;
  };
  const gone = [...now.keys()].filter((name) => !next.has(name)).map((name) => `  ${name} goes`);
  return [...changed.filter(isFix), ...changed.filter((entry) => !isFix(entry))].map(line).concat(gone);
}

/**
 * What the update in `file` would change, as lines for the operator. RAUC has checked its signature before it tells.
 * @throws Error when RAUC does not take the file
 */
export async function updateContents(
  file: string,
  { packages = PACKAGES, release = RELEASE }: { readonly packages?: string; readonly release?: string } = {},
): Promise<readonly string[]> {
  const { version, description } = await manifestOf(file);
  const lines = [`${textOf(release).trim() || "this system"} -> ${version}`];
  if (description === "") return [...lines, "The update does not say which packages it has."];
  const changes = changesBetween(packagesIn(textOf(packages)), packagesIn(description.replaceAll(";", "\n")));
  if (changes.length === 0) return [...lines, "Debian's packages stay as they are."];
  const fixes = changes.filter((line) => line.endsWith("security fix")).length;
  return [...lines, `Debian's packages that change: ${changes.length}, security fixes: ${fixes}`, ...changes];
}

const textOf = (file: string): string => {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
};

async function manifestOf(file: string): Promise<{ readonly version: string; readonly description: string }> {
  const { stdout } = await promisify(execFile)("rauc", ["info", "--output-format=json", file], {
    maxBuffer: MOST_BYTES,
  }).catch((thrown: unknown) => {
    if (thrown instanceof Error && "code" in thrown && thrown.code === "ENOENT") {
      throw new Error("rauc is not installed here: this system has no slots");
    }
    const said = thrown instanceof Error && "stderr" in thrown ? String(thrown.stderr).trim().split("\n").at(-1) : "";
    throw new Error(`the update cannot be looked into: ${said || String(thrown)}`);
  });
  const manifest: unknown = JSON.parse(stdout.slice(stdout.indexOf("{")));
  const field = (name: string): string => {
    const value = manifest instanceof Object ? Object.getOwnPropertyDescriptor(manifest, name)?.value : undefined;
    return typeof value === "string" ? value : "";
  };
  return { version: field("version"), description: field("description") };
}
