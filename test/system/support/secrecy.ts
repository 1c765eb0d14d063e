// Holds logs and stores of a network against every key that it handed out.

import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { Network } from "./network.ts";
import type { Oracle } from "./oracle.ts";
import { rawNeedles, spelledNeedles } from "./scan.ts";

/** No log, and no audit log, has a key or its SHA-256, in any usual spelling. @throws when one has, or when there is nothing to look at */
export function logsHoldNoKey(network: Network, oracle: Oracle): void {
  const audits = network.kms.flatMap(({ config }) => globSync(join(config.audit.dir, "*.jsonl")));
  expect(audits.length).toBeGreaterThan(0);
  const logs = [...network.kms, ...network.links].map(({ logPath }) => logPath).concat(audits);
  expect(oracle.count).toBeGreaterThan(0);
  const needles = [spelledNeedles(oracle.keys), rawNeedles(oracle.words)];
  for (const path of logs) {
    const log = readFileSync(path);
    expect(log.length, `${path} has lines`).toBeGreaterThan(0);
    expect(
      needles.flatMap((one) => one.find(log)),
      path,
    ).toEqual([]);
  }
}

/** No file of a store has 15 bytes in a row of any key. @throws like logsHoldNoKey */
export function storesHoldNoKey(network: Network, oracle: Oracle): void {
  const needles = rawNeedles(oracle.words);
  for (const { config } of network.kms) {
    const files = globSync(join(config.node.storeDir, "*.mdb"));
    expect(files.length).toBeGreaterThan(0);
    for (const path of files) expect(needles.find(readFileSync(path)), path).toEqual([]);
  }
}
