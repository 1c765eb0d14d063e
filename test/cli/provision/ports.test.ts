// Which ports a new network takes.

import { expect, test } from "vitest";
import { choosePorts } from "../../../src/cli/provision/ports.ts";
import { reservePorts } from "../../system/support/ports.ts";

test("ports whose first is held belong to another network, also while nothing listens at them", async () => {
  await using held = await reservePorts(1);
  const [taken] = held.ports;
  const [chosen] = await choosePorts(1, (taken?.ak ?? 0) - 1);
  expect(chosen?.ak).toBeGreaterThan(0);
  expect(chosen?.ak).not.toBe(taken?.ak);
});
