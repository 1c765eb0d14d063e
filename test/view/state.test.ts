// What the view makes of what KMs tell: a network that is only told of, asked and looked at without a server.

import { beforeEach, describe, expect, test } from "vitest";
import { FAULTS } from "../../src/core/fault.ts";
import type { FaultEvent } from "../../src/view/model.ts";
import { NetworkState } from "../../src/view/network-state.ts";
import { processorMs } from "../support/processor.ts";
import { noteRelay, type Simulated, simulatedNetwork } from "./simulated.ts";

const NOW = Date.UTC(2026, 5, 1);
let net: Simulated;
let state: NetworkState;
let asked: number;

/** Every KM is asked once, and the state looked at. */
async function look(): Promise<void> {
  asked += 1;
  const nowMs = NOW + asked * 1000;
  for (const id of net.shape.kms) {
    const said = await net.ask(id, { relays: 0, faults: 0 }).catch((error: Error) => error);
    if (said instanceof Error) state.silent(id, said.message);
    else state.heard(id, said, nowMs);
  }
  state.refresh(nowMs);
}

const linkNamed = (id: string) => state.snapshot().links.find((link) => link.id === id);
const kmNamed = (id: string) => state.snapshot().kms.find((km) => km.id === id);
const lastFault = (): FaultEvent | undefined => state.snapshot().faults.at(-1);
/** km-001 ══l-1-2══ km-002 ══ … */
const first = () => net.km("km-001").links.find(({ link }) => link === "l-1-2") ?? net.km("km-001").links[0];

beforeEach(async () => {
  net = simulatedNetwork(6);
  state = new NetworkState(net.shape, NOW);
  asked = 0;
  await look();
});

test("a network in which all is well has no faults, and each KM and link says so", () => {
  const { kms, links, faults } = state.snapshot();
  expect(new Set(kms.map(({ state: one }) => one))).toEqual(new Set(["ready"]));
  expect(new Set(links.map(({ state: one }) => one))).toEqual(new Set(["up"]));
  expect(faults).toEqual([]);
  expect(linkNamed("l-1-2")).toMatchObject({ bitsPerS: 2e6, qber: 0.02, usableBlocks: 256 });
});

describe("a link", () => {
  test("of which one end is down is half, with a fault that says what to do; it is noticed once, and up again when it is", async () => {
    Object.assign(first() ?? {}, { line: "down", alarms: ["overheated"] });
    await look();
    await look();
    expect(linkNamed("l-1-2")).toMatchObject({ state: "half", why: "km-001: no line to its module, overheated" });
    expect(state.snapshot().faults).toHaveLength(1);
    expect(lastFault()?.remedy).toContain("power");
    Object.assign(first() ?? {}, { line: "up", alarms: [] });
    await look();
    expect(linkNamed("l-1-2")).toMatchObject({ state: "up", why: "" });
    expect(state.snapshot().faults).toHaveLength(1);
  });

  test("whose modules disagree is told by a relay with a tag that does not fit, for half a minute", async () => {
    noteRelay(net.km("km-001"), "km-002", "BAD_TAG");
    Object.assign(net.km("km-001").relays[0] ?? {}, { ended_at: new Date(NOW).toISOString() });
    await look();
    expect(linkNamed("l-1-2")?.state).toBe("disagrees");
    expect(lastFault()).toMatchObject({ fault: "BAD_TAG", remedy: FAULTS.BAD_TAG.manual });
    net.km("km-001").relays.length = 0;
    asked += 30;
    await look();
    expect(linkNamed("l-1-2")?.state).toBe("up");
  });

  test("of which no end answers is unknown", async () => {
    for (const id of ["km-001", "km-002"]) net.km(id).silence = "ECONNREFUSED";
    await look();
    expect(linkNamed("l-1-2")).toMatchObject({ state: "unknown", bitsPerS: null, qber: null });
  });
});

describe("a KM", () => {
  test.each([
    ["token", "gone", "HSM_UNAVAILABLE"],
    ["token", "wrong-pin", "WRONG_PIN"],
    ["store", "failing", "STORE_UNAVAILABLE"],
  ] as const)("whose %s is %s is in trouble, with the remedy of %s", async (part, word, fault) => {
    net.km("km-003").node[part] = word;
    await look();
    expect(kmNamed("km-003")?.state).toBe("trouble");
    expect(lastFault()).toMatchObject({ km: "km-003", fault, remedy: FAULTS[fault].manual });
  });

  test("that does not answer is silent, and its peers are not blamed for it", async () => {
    net.km("km-003").silence = "connect ECONNREFUSED 127.0.0.1:1";
    for (const id of ["km-001", "km-002"]) Object.assign(peerOf(id, "km-003"), { synchronised: false });
    await look();
    expect(kmNamed("km-003")).toMatchObject({ state: "silent", why: "connect ECONNREFUSED 127.0.0.1:1" });
    expect(kmNamed("km-001")?.state).toBe("ready");
    expect(state.snapshot().faults).toHaveLength(1);
    Object.assign(peerOf("km-001", "km-002"), { synchronised: false });
    await look();
    expect(kmNamed("km-001")).toMatchObject({ state: "trouble", why: "not synchronised with km-002" });
  });

  test("has its keys a second from what it counted, and begins anew with its process", async () => {
    const { node, apps } = net.km("km-002");
    Object.assign(apps[0] ?? {}, { supplied: 30 });
    node.keys_supplied = 30;
    await look();
    expect(kmNamed("km-002")?.keysPerS).toBe(30);
    Object.assign(node, { keys_supplied: 0, started_at: "2026-06-01T00:00:00.000Z" });
    await look();
    expect(kmNamed("km-002")?.keysPerS).toBe(0);
  });
});

const peerOf = (id: string, peer: string) => net.km(id).peers.find(({ km }) => km === peer) ?? {};

test("a fault of a KM's log comes with the remedy of its code, and with none where the code is unknown", async () => {
  const line = { number: 1, at: "2026-01-01T00:00:00.000Z", level: "warn", message: "refused", alarm: null, about: [] };
  net.km("km-001").faults.push({ ...line, fault: "QUOTA_EXCEEDED" }, { ...line, number: 2, fault: "constructor" });
  await look();
  expect(state.snapshot().faults.map(({ remedy }) => remedy)).toEqual([FAULTS.QUOTA_EXCEEDED.manual, null]);
});

test("a page is told what came after what it has", async () => {
  noteRelay(net.km("km-001"), "km-002", "ready");
  noteRelay(net.km("km-001"), "km-002", "ready");
  await look();
  expect(state.snapshot(0).relays.map(({ number }) => number)).toEqual([1, 2]);
  expect(state.snapshot(1).relays.map(({ route }) => route)).toEqual([["km-001", "km-002"]]);
  expect(state.snapshot(2).relays).toEqual([]);
});

describe("the last hour", () => {
  test("has a plot of each figure, with one value for each time", () => {
    for (const at of [1, 2, 3]) state.step(NOW + at * 2000);
    for (const part of ["network", "km:km-001", "link:l-1-2"]) {
      const history = state.history(part);
      expect(history?.times, part).toEqual([1, 2, 3].map((at) => (NOW + at * 2000) / 1000));
      expect(history?.plots.length, part).toBeGreaterThan(2);
      for (const { series } of history?.plots ?? []) for (const { values } of series) expect(values).toHaveLength(3);
    }
    const [rate] = state.history("link:l-1-2")?.plots ?? [];
    expect(rate?.series[0]?.values).toEqual([2e6, 2e6, 2e6]);
  });

  test("knows nothing of a KM or link that there is not", () => {
    for (const part of ["", "km:x", "link:x", "km", "x:km-001"]) {
      expect([state.history(part), state.detail(part)], part).toEqual([undefined, undefined]);
    }
  });
});

test("a KM in detail has its peers, modules, applications, sessions and certificates; a link its two ends", () => {
  const titles = state.detail("km:km-001")?.tables.map(({ title }) => title);
  expect(titles).toEqual(["Peers", "Modules", "Applications", "Sessions", "Certificates"]);
  expect(state.detail("link:l-1-2")?.tables[0]?.rows).toHaveLength(2);
});

describe("a KM that is several machines", () => {
  const CLUSTER = {
    ...{ member: "1", state: "active", generation: 7, lag_ms: 0, lease_left_ms: 2400, etcd: "ready" },
    others: [{ member: "2", state: "standby", behind: 3 }],
  };
  const members = () => state.detail("km:km-001")?.tables.find(({ title }) => title === "Members")?.rows;

  test("has its members in detail: state, generation, lag of the standby, lease", async () => {
    net.km("km-001").node.cluster = CLUSTER;
    await look();
    expect(kmNamed("km-001")?.state).toBe("ready");
    expect(members()?.map((cells) => cells.map(({ text }) => text))).toEqual([
      ["km-001.1", "active", "7", "nothing", "2.4 s"],
      ["km-001.2", "standby", "–", "3 writes", "–"],
    ]);
    expect(members()?.map((cells) => cells[3]?.mark)).toEqual(["good", "warn"]);
  });

  test("shows that no other member runs, and is in trouble without etcd", async () => {
    net.km("km-001").node.cluster = { ...CLUSTER, etcd: "failing", lease_left_ms: -10, others: [] };
    await look();
    expect(kmNamed("km-001")?.state).toBe("trouble");
    expect(lastFault()).toMatchObject({ km: "km-001", fault: null, remedy: expect.stringContaining("voters") });
    expect(members()?.map((cells) => cells.map(({ mark }) => mark).find((mark) => mark !== "good"))).toEqual([
      undefined,
      "warn",
    ]);
  });
});

test("a hundred KMs are looked at in less than ten milliseconds", async () => {
  net = simulatedNetwork(100);
  state = new NetworkState(net.shape, NOW);
  await look();
  // The quickest of many: the first ones are compiled while they run.
  const times = Array.from({ length: 20 }, (_, at) => processorMs(() => state.refresh(NOW + at)));
  expect(Math.min(...times)).toBeLessThan(10);
});
