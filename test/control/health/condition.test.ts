// Tests of src/control/health/condition.ts: the one word, and that it is told each second.

import { expect, test } from "vitest";
import { ConditionTeller, conditionOf } from "../../../src/control/health/condition.ts";
import type { KmReport, LinkReport } from "../../../src/control/status.ts";
import type { Condition, ConditionDisplay } from "../../../src/device/indicators.ts";
import { ManualClock } from "../../support/manual-clock.ts";

const LINK: LinkReport = {
  ...{ id: "ab", peer: "km-b", line: "up", alarms: [], agreement: "agreed", stored: 5, usable: 5 },
  ...{ blockBytes: 4_096, measuredBitsPerS: 1_000, padBytes: { out: 0, in: 0 } },
};
const PEER = {
  ...{ id: "km-b", reachable: true, connected: true, synchronised: true, storedKeys: 9, kmaKeys: 1 },
  ...{ held: 1, inFlight: 0, waiting: 0 },
};
const REPORT: KmReport = {
  km: "km-a",
  ready: true,
  vault: { token: "ready", store: "ready", mode: "direct", epoch: 1, slots: { all: 128, pinned: 3, intake: 2 } },
  health: { healthy: true, parts: [] },
  links: [LINK],
  peers: [PEER],
  sessions: { initiator: 0, destination: 0 },
};
const { vault } = REPORT;

test.each<[Condition, string, Partial<KmReport>]>([
  ["healthy", "all is well", {}],
  ["booting", "before the books are read", { ready: false }],
  ["fault", "the token was away from the start", { ready: false, vault: { ...vault, tokenReason: "no slot" } }],
  ["fault", "the token is pulled out", { vault: { ...vault, token: "gone" } }],
  ["fault", "the store fails", { vault: { ...vault, store: "failing" } }],
  ["fault", "a part hangs", { health: { healthy: false, parts: [] } }],
  ["degraded", "a line is down", { links: [{ ...LINK, line: "down" }] }],
  ["degraded", "a link has an alarm", { links: [{ ...LINK, alarms: ["qber-high"] }] }],
  ["degraded", "a link's ends differ", { links: [{ ...LINK, agreement: "refused" }] }],
  ["degraded", "a peer is away", { peers: [{ ...PEER, connected: false }] }],
])("it is %s when %s", (condition, _when, difference) => {
  expect(conditionOf({ ...REPORT, ...difference })).toBe(condition);
});

test("displays hear at once, each second, and the last word", () => {
  const clock = new ManualClock();
  const heard: unknown[] = [];
  const display: ConditionDisplay = {
    show: (condition, isAlive) => heard.push([condition, isAlive]),
    end: (condition) => heard.push(condition),
  };
  const health = { healthy: true, parts: [] };
  const teller = new ConditionTeller([display], { health: { read: () => health }, clock });
  teller.from(() => "healthy");
  clock.advance(1_000);
  health.healthy = false;
  clock.advance(1_000);
  teller.from(() => "zeroised");
  teller[Symbol.dispose]();
  expect(heard).toEqual([
    ["booting", true],
    ["healthy", true],
    ["healthy", true],
    ["healthy", false],
    ["zeroised", false],
    "zeroised",
  ]);
  expect(clock.waiting).toBe(0);
});

test("without displays nothing is asked and no timer runs", () => {
  const clock = new ManualClock();
  const teller = new ConditionTeller([], { health: { read: () => ({ healthy: true, parts: [] }) }, clock });
  teller.from(() => {
    throw new Error("asked");
  });
  expect(clock.waiting).toBe(0);
});
