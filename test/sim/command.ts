// The simulator as a process of its own, for tests in which a rule is broken.

import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect } from "vitest";

const MAIN = fileURLToPath(new URL("main.ts", import.meta.url));

/** Runs the command; what it prints, and how it ends. */
export async function simulate(...args: readonly string[]): Promise<{ readonly text: string; readonly code: unknown }> {
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [MAIN, ...args]);
    return { text: stdout, code: 0 };
  } catch (thrown) {
    const { stdout, stderr, code } = thrown as { stdout: string; stderr: string; code: unknown };
    return { text: stdout + stderr, code };
  }
}

const SEEDS = 6;
/** What takes simulated hours after the faults, and what only some need. */
const WITHOUT = ["lasting_fault", "silence", "strict_peers", "multicast", "uneven_calls"] as const;

/**
 * The simulator finds what is broken, says which rule it is, and how to see it again: with this seed or one of the next,
 * for which of them shows it changes with whatever else does.
 */
export function expectFound(
  name: string,
  rule: string,
  { first, faults = 2, needs }: { readonly first: number; readonly faults?: number; readonly needs?: string },
): Promise<void> {
  const without = WITHOUT.filter((ingredient) => ingredient !== needs).join();
  return expectShown(name, rule, first, (seed) => {
    const network = ["--seed", String(seed), "--nodes", "3", "--hours", "1", "--faults", String(faults)];
    return [...network, "--without", without];
  });
}

/** The same among the members of one KM. */
export function expectFoundAmongMembers(name: string, rule: string): Promise<void> {
  return expectShown(name, rule, 1, (seed) => [
    "--members",
    "3",
    "--seed",
    `${seed}`,
    "--hours",
    "0.2",
    "--faults",
    "1",
  ]);
}

async function expectShown(
  name: string,
  rule: string,
  first: number,
  optionsOf: (seed: number) => readonly string[],
): Promise<void> {
  for (let seed = first; ; seed++) {
    const options = optionsOf(seed);
    const { text, code } = await simulate(...options, "--break", name);
    const isShown = new RegExp(`^verdict +${rule}: `, "m").test(text);
    if (!isShown && seed < first + SEEDS) continue;
    expect(text).toMatch(new RegExp(`^verdict +${rule}: `, "m"));
    expect(text).toContain(`again: npm run simulate -- ${options.join(" ")} --break '${name}'`);
    expect(code).toBe(1);
    return;
  }
}
