// The self-test's look at the node's files and system: certificates, and room on the disk.

import { X509Certificate } from "node:crypto";
import { existsSync, readFileSync, statfsSync } from "node:fs";
import type { NodeConfig } from "../../config.ts";
import type { Check } from "../../console/node.ts";

const DAY_MS = 86_400_000;
/** A certificate that ends so soon wants to be renewed. */
const SOON_DAYS = 14;
/** Less room than this is too little for the store to go on. */
const LEAST_FREE_BYTES = 16 << 20;

/** `config` is undefined while the node has none. */
export async function nodeChecks(config: NodeConfig | undefined, dir: string): Promise<readonly Check[]> {
  if (config === undefined) return [{ what: "configuration", passed: false, found: "missing or wrong" }];
  const certificates = new Set([config.ak, config.etsi014, config.kx].map(({ tls }) => tls.certificate));
  return [...[...certificates].map(certificateCheck), roomCheck(dir)];
}

function certificateCheck(path: string): Check {
  const what = `certificate ${path.slice(path.lastIndexOf("/") + 1)}`;
  if (!existsSync(path)) return { what, passed: false, found: "missing" };
  try {
    const { validToDate } = new X509Certificate(readFileSync(path));
    const days = Math.floor((validToDate.getTime() - Date.now()) / DAY_MS);
    return { what, passed: days >= SOON_DAYS, found: `valid until ${validToDate.toISOString().slice(0, 10)}` };
  } catch {
    return { what, passed: false, found: "cannot be read" };
  }
}

function roomCheck(dir: string): Check {
  const { bavail, bsize } = statfsSync(dir);
  const free = bavail * bsize;
  return { what: "room on the disk", passed: free >= LEAST_FREE_BYTES, found: `${Math.floor(free / 1e6)} MB free` };
}
