// docs/model/exchange.qnt: what has to hold in the exchange holds in random runs of it, and without a remedy it does not.

import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";

const MODEL = fileURLToPath(new URL("../../docs/model/exchange.qnt", import.meta.url));
/** Pinned, and brought by npm when a test or a reader asks for them: they are larger than all other tools together. */
const PACKAGES = ["@informalsystems/quint@0.33.1", "antlr4ts@0.5.0-alpha.4"];
const INVARIANTS = ["oneUse", "oneUser", "synchronised", "fetchable", "wanted"];

/** Runs of one module, until an invariant is violated; the names of those that are. */
async function violated(module: string, seed: number, runs: number, steps: number): Promise<readonly string[]> {
  const options = ["--main", module, "--seed", `${seed}`, "--max-samples", `${runs}`, "--max-steps", `${steps}`];
  // Its other back end is a program that it would fetch from elsewhere.
  const quint = ["run", MODEL, "--backend", "typescript", "--verbosity", "1", ...options];
  const npx = ["--yes", ...PACKAGES.map((name) => `--package=${name}`), "--", "quint"];
  const { stdout, stderr } = await promisify(execFile)("npx", [...npx, ...quint, "--invariants", ...INVARIANTS]).catch(
    (thrown: { readonly stdout: string; readonly stderr: string }) => thrown,
  );
  const text = `${stdout}${stderr}`;
  expect(text).toMatch(/\[ok\] No violation found|\[violation\] Found an issue/);
  return INVARIANTS.filter((name) => text.includes(`❌ ${name}`));
}

describe("key-protocol 6: random runs of the model find what goes wrong", () => {
  test.each([
    ["withoutD2", "what was fetched bears no witness", "oneUse"],
    ["withoutD4", "held keys age by a guess about the time off", "fetchable"],
    ["withoutD5", "the relay of an abandoned serial is accepted", "wanted"],
    ["withoutOwners", "both ends decide about a block", "oneUser"],
  ])("in the module %s, in which %s", async (module, _, invariant) => {
    expect(await violated(module, 1, 20_000, 25)).toContain(invariant);
  });

  test("and nothing in the module that is as the code is", async () => {
    const seed = Number(process.env.QKM_SEED);
    expect(await violated("sound", seed, 2_000, 30), `seed ${seed}`).toEqual([]);
  });
});
