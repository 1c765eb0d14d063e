// Tests of src/cli/common/report-tables.ts: what `qkm status` shows of a KM that is several machines.

import { expect, test } from "vitest";
import { kmTable, memberTable } from "../../../src/cli/common/report-tables.ts";
import type { ClusterReport, KmReport } from "../../../src/control/status.ts";

const REPORT: KmReport = {
  km: "km-b",
  ready: true,
  vault: { token: "ready", store: "ready", mode: "direct", epoch: 1, slots: { all: 128, pinned: 3, intake: 2 } },
  links: [],
  peers: [],
  sessions: { initiator: 0, destination: 0 },
};

const CLUSTER: ClusterReport = {
  ...{ member: "1", state: "active", generation: 7, owner: "1", lagMs: 0, leaseLeftMs: 2400, etcd: "ready" },
  others: [{ member: "2", state: "standby", behind: 3 }],
};

const view = (report: KmReport) => [{ id: report.km, pid: 11, report, counts: undefined }];

test("members are shown with state, generation, lag and lease", () => {
  const rows = memberTable(view({ ...REPORT, cluster: CLUSTER })).map((line) => line.split(/ {2,}/));
  expect(rows).toEqual([
    ["member", "state", "generation", "lags by", "lease left", "etcd"],
    ["km-b.1", "active", "7", "nothing", "2.4 s", "ready"],
    ["km-b.2", "standby", "–", "3 writes", "–", "–"],
  ]);
});

test("what a member says of itself counts more than what the other says of it", () => {
  const standby: ClusterReport = {
    ...{ member: "2", state: "standby", generation: 7, lagMs: 0, leaseLeftMs: 1900, etcd: "ready" },
    others: [{ member: "1", state: "active", behind: 0 }],
  };
  const both = [CLUSTER, standby].flatMap((cluster) => view({ ...REPORT, cluster }));
  expect(memberTable(both).map((line) => line.split(/ {2,}/))).toEqual([
    ["member", "state", "generation", "lags by", "lease left", "etcd"],
    ["km-b.1", "active", "7", "nothing", "2.4 s", "ready"],
    ["km-b.2", "standby", "7", "nothing", "1.9 s", "ready"],
  ]);
});

test("a standby that is asked is a standby, not a KM without its token", () => {
  const cluster: ClusterReport = { ...CLUSTER, state: "standby", lagMs: 1500 };
  const report: KmReport = { ...REPORT, ready: false, vault: { ...REPORT.vault, token: "gone" }, cluster };
  expect(kmTable(view(report))[1]).toContain("standby");
  expect(memberTable(view(report))[1]).toMatch(/standby +7 +1\.5 s/);
});

test("there is no table of members where each KM is one machine", () => {
  expect(memberTable(view(REPORT))).toEqual([]);
});
