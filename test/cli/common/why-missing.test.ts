// Why a table of KMs has no figure somewhere.

import { expect, test } from "vitest";
import { whatStays } from "../../../src/cli/common/attempt.ts";
import { type KmView, whyMissing } from "../../../src/cli/common/report-tables.ts";
import type { KmReport, LinkReport } from "../../../src/control/status.ts";

const COUNTS = { supplied: 1, fetched: 1 };

const link = (id: string, line: LinkReport["line"], figures: Partial<LinkReport> = {}): LinkReport => ({
  ...{ id, peer: "km-b", line, agreement: "agreed", stored: 0, usable: 0, blockBytes: 32_768, measuredBitsPerS: 0 },
  ...{ padBytes: { out: 0, in: 0 }, alarms: [] },
  ...figures,
});

function view(links: readonly LinkReport[], more: Partial<KmView> = {}): KmView {
  const vault: KmReport["vault"] = {
    ...{ token: "ready", store: "ready", mode: "direct", epoch: 1 },
    slots: { all: 8, pinned: 0, intake: 0 },
  };
  const sessions = { initiator: 0, destination: 0 };
  const report: KmReport = { km: "km-a", ready: true, vault, links, peers: [], sessions };
  return { id: "km-a", pid: 1, report, counts: COUNTS, ...more };
}

test("nothing is said where no figure is missing", () => {
  expect(whyMissing([{ ...view([link("ab", "up", { qber: 0, keyRateBitsPerS: 0 })]), missing: {} }])).toEqual([]);
});

test("each figure that is missing has its reason", () => {
  const silent = { ...view([], { report: undefined, counts: undefined }), missing: { report: "REASON" } };
  expect(whyMissing([silent])).toEqual([expect.stringMatching(/^km-a: .*REASON$/)]);
  const links = [link("ab", "down"), link("ac", "up", { qber: 0.01 })];
  const [ab, ac, counts, ...others] = whyMissing([
    { ...view(links, { counts: undefined }), missing: { counts: "WHY" } },
  ]);
  expect(ab).toMatch(/link ab .*key rate.*QBER.*down$/);
  expect(ac).toMatch(/link ac .*key rate: /);
  expect(counts).toMatch(/WHY$/);
  expect(others).toEqual([]);
});

test("the end of a network names the folder that stays, as a shell takes it", () => {
  expect(whatStays("/my net")).toContain("rm -r '/my net'");
});
