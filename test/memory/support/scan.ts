// Looks for secrets in the memory of a process, and says where they lie.

import { setImmediate as turn } from "node:timers/promises";
import { Needles } from "./needles.ts";
import type { Piece, Region } from "./process-memory.ts";
import type { Secrets } from "./secrets.ts";

/** A place where bytes of a secret lie. */
export interface Trace {
  readonly secret: string;
  readonly spelling: string;
  /** Of the first byte within the secret as it is spelt. */
  readonly offset: number;
  readonly region: Region;
  readonly address: number;
}

/** Lets the event loop turn now and then. */
export async function scan(memory: readonly Piece[], secrets: Secrets): Promise<readonly Trace[]> {
  return await find(memory, secrets.needles, (secret) => secrets.name(secret));
}

async function find(
  memory: readonly Piece[],
  needles: Needles,
  nameOf: (secret: number) => string,
): Promise<readonly Trace[]> {
  const traces: Trace[] = [];
  for (const { region, address, bytes } of memory) {
    needles.find(bytes, ({ secret, spelling }, offset, at) => {
      traces.push({ secret: nameOf(secret), spelling, offset, region, address: address + at });
    });
    await turn();
  }
  return traces;
}

/** Memory that the vault has locked: slab, ring, key-ID keys, data keys. */
export const isVaults = ({ path, locked }: Region): boolean => path === "" && locked;

/** libsodium writes 16 bytes of its own, the same for all, before each region that it hands out. */
const isSodiums = ({ path }: Region): boolean => path.endsWith("sodium-native.node");

/** Where else anything lies that lies in the vault's memory: keys that only the process itself knows. */
export async function echoes(memory: readonly Piece[]): Promise<readonly Trace[]> {
  const needles = new Needles();
  for (const { address, bytes } of memory.filter(({ region }) => isVaults(region))) {
    for (let at = 0; at + 8 <= bytes.length; at += 8) {
      const word = bytes.subarray(at, at + 8);
      if (isRandom(word)) needles.add({ secret: address + at, spelling: "raw", bytes: word, least: 8, step: 8 });
    }
    await turn();
  }
  const elsewhere = memory.filter(({ region }) => !isVaults(region) && !isSodiums(region));
  return await find(elsewhere, needles, (secret) => `0x${secret.toString(16)}`);
}

/** Key has fewer than six different bytes in eight once in a million; counters and lengths nearly always. */
const isRandom = (word: Uint8Array): boolean => new Set(word).size >= 6;

/** What a region is, in a word that does not change from run to run. */
export function kindOf(region: Region): string {
  const { path, access } = region;
  if (isVaults(region)) return "the vault's memory";
  if (path === "") return access.includes("x") ? "code made at run time" : "memory without a name";
  return path.startsWith("[") ? path : path.slice(path.lastIndexOf("/") + 1);
}

/** One line for each kind of region and spelling: how much of how many secrets, and where the first lies. */
export function summary(traces: readonly Trace[]): string[] {
  const groups = Map.groupBy(traces, ({ region, spelling }) => `${spelling} in ${kindOf(region)} (${region.access})`);
  return [...groups].map(([group, found]) => {
    const secrets = new Set(found.map(({ secret }) => secret)).size;
    const [first] = found;
    const where = first && `0x${first.address.toString(16)} has ${first.secret} from byte ${first.offset} on`;
    return `${group}: ${found.length} × 8 bytes of ${secrets} secrets; ${where}`;
  });
}
