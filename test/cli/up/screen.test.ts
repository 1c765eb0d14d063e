// The live table: what it shows, and that it fits a terminal of 80 columns.

import { expect, test } from "vitest";
import { drawScreen } from "../../../src/cli/up/screen.ts";
import type { KmReport } from "../../../src/control/status.ts";

const peer = { reachable: true, connected: true, synchronised: true, kmaKeys: 8, held: 2, inFlight: 0, waiting: 0 };

/** At each end: 8 relays of 32 KiB and a tag, and none. */
const PADS = { "km-a": { out: 262_400, in: 0 }, "km-b": { out: 0, in: 262_400 } };
const report = (km: keyof typeof PADS, other: string): KmReport => ({
  km,
  ready: true,
  vault: { token: "ready", store: "ready", mode: "direct", epoch: 1, slots: { all: 128, pinned: 3, intake: 2 } },
  links: [
    {
      ...{ id: "ab", peer: other, line: "up", module: "m", qber: 0.0214, keyRateBitsPerS: 2_000_000, alarms: [] },
      ...{
        agreement: "agreed",
        stored: 134,
        usable: 60,
        blockBytes: 32_768,
        measuredBitsPerS: 1_990_000,
        padBytes: PADS[km],
      },
    },
  ],
  peers: [
    { id: km, storedKeys: 2_042, ...peer },
    { id: other, storedKeys: 8_168, ...peer },
  ],
  sessions: { initiator: 0, destination: 0 },
});

const VIEW = {
  dir: "/net",
  upSeconds: 3_723,
  kms: [
    { id: "km-a", pid: 11, report: report("km-a", "km-b"), counts: { supplied: 1_234, fetched: 5 } },
    { id: "km-b", pid: 12, report: report("km-b", "km-a"), counts: undefined },
    { id: "km-c", pid: 0, report: undefined, counts: undefined },
  ],
  faults: [{ at: new Date(), where: "km-c", sentence: `ended (SIGKILL) and is started again ${"x".repeat(100)}` }],
  commands: ["npx qkm status"],
  view: "http://127.0.0.1:17199/?token=0123456789012345678901",
};

const row = (lines: readonly string[], start: string): string | undefined =>
  lines.find((line) => line.startsWith(start));

test("it shows a link once with both ends, and each KM with state, counts and stock", () => {
  const lines = drawScreen(VIEW);
  expect(lines).toContain("  http://127.0.0.1:17199/?token=0123456789012345678901");
  expect(row(lines, "ab")).toBe("ab    km-a ══ km-b  up/up  2.00 Mbit/s  2.1 %  134/134  262.4 kB");
  expect(row(lines, "km-a")).toBe("km-a  11   ready      1,234     5        own 2,042 · km-b 8,168");
  expect(row(lines, "km-c")).toBe("km-c  –    no answer  –         –");
  expect(lines[0]).toContain("1:02:03");
});

test("it shows the members of a KM that is several machines", () => {
  const cluster = { member: "1", state: "active", generation: 9, lagMs: 0, leaseLeftMs: 2_000, etcd: "ready" } as const;
  const others = [{ member: "2", state: "standby", behind: 0 }] as const;
  const active = { ...report("km-b", "km-a"), cluster: { ...cluster, others } };
  const lines = drawScreen({ ...VIEW, kms: [{ id: "km-b.1", pid: 12, report: active, counts: undefined }] });
  expect(lines).toContain("km-b.1  active   9           nothing  2.0 s       ready");
  expect(row(lines, "km-b.2")).toContain("standby");
});

test("no line is longer than 80 columns, and what is cut shows it", () => {
  const lines = drawScreen(VIEW);
  for (const line of lines) expect(line.length).toBeLessThanOrEqual(80);
  expect(lines.some((line) => line.endsWith("x…"))).toBe(true);
});

test("links that do not agree, tokens that are gone and peers that are away are named", () => {
  const whole = report("km-a", "km-b");
  const links = whole.links.map((link) => ({ ...link, agreement: "unverified" as const, line: "down" as const }));
  const peers = whole.peers.map((one) => ({ ...one, connected: one.id === "km-a" }));
  const ill = { ...whole, vault: { ...whole.vault, token: "gone" as const }, links, peers };
  const lines = drawScreen({ ...VIEW, kms: [{ id: "km-a", pid: 11, report: ill, counts: undefined }] });
  expect(row(lines, "ab")).toContain("unverified");
  expect(row(lines, "km-a")).toContain("token gone");
  expect(row(lines, "km-a")).toContain("km-b away");
});
