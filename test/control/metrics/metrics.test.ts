// Tests of src/control/metrics/metrics.ts, metrics-server.ts, km-gauges.ts: what Prometheus reads.

import { request } from "node:http";
import { describe, expect, it } from "vitest";
import { GAUGES } from "../../../src/control/metrics/gauges.ts";
import { clusterGauges, kmGauges } from "../../../src/control/metrics/km-gauges.ts";
import { makeMetrics } from "../../../src/control/metrics/metrics.ts";
import { startMetrics } from "../../../src/control/metrics/server.ts";
import type { ClusterReport, KmReport } from "../../../src/control/status.ts";
import { COUNTERS } from "../../../src/core/counters.ts";
import { recorder } from "../../support/recorder.ts";

const REPORT: KmReport = {
  km: "km-a",
  ready: true,
  vault: { token: "ready", store: "failing", mode: "direct", epoch: 7, slots: { all: 96, pinned: 3, intake: 2 } },
  links: [
    {
      id: "ab",
      peer: "km-b",
      line: "up",
      qber: 0.021,
      keyRateBitsPerS: 150_000,
      alarms: [],
      agreement: "agreed" as KmReport["links"][number]["agreement"],
      stored: 40,
      usable: 19,
      blockBytes: 32_768,
      measuredBitsPerS: 149_000,
      padBytes: { out: 0, in: 0 },
    },
  ],
  peers: [
    {
      id: "km-b",
      reachable: true,
      connected: true,
      synchronised: false,
      storedKeys: 4084,
      kmaKeys: 4,
      held: 5,
      inFlight: 1,
      waiting: 2,
    },
  ],
  sessions: { initiator: 3, destination: 1 },
};

const linesOf = async (metrics: { text(): Promise<string> }): Promise<string[]> =>
  (await metrics.text()).split("\n").filter((line) => line !== "" && !line.startsWith("#"));

describe("a member of a KM that has several", () => {
  const standby = { member: "km-b.2", state: "standby", generation: 7, owner: "km-b.1", others: [] } as const;

  it("tells whether it is active, its generation, how far it is behind, its lease and whether etcd answers", async () => {
    const metrics = makeMetrics();
    let report: ClusterReport = { ...standby, lagMs: 2_500, leaseLeftMs: -300, etcd: "failing" };
    metrics.collect(clusterGauges(() => report));
    expect(await linesOf(metrics)).toEqual(
      expect.arrayContaining([
        "qkm_cluster_active 0",
        "qkm_cluster_generation 7",
        "qkm_cluster_lag_seconds 2.5",
        "qkm_cluster_lease_seconds -0.3",
        "qkm_cluster_etcd_ready 0",
      ]),
    );
    report = { ...report, state: "active", generation: 8, lagMs: 0, leaseLeftMs: 2_000, etcd: "ready" };
    expect(await linesOf(metrics)).toEqual(
      expect.arrayContaining([
        "qkm_cluster_active 1",
        "qkm_cluster_generation 8",
        "qkm_cluster_lag_seconds 0",
        "qkm_cluster_lease_seconds 2",
        "qkm_cluster_etcd_ready 1",
      ]),
    );
  });
});

describe("the meter", () => {
  it("adds up what is counted, over several scrapes", async () => {
    const metrics = makeMetrics();
    metrics.meter.add("keys_supplied", { app: "app-a1", door: "etsi014" }, 3);
    metrics.meter.add("keys_supplied", { door: "etsi014", app: "app-a1" });
    metrics.meter.add("keys_supplied", { app: "app-a2", door: "ak" });
    metrics.meter.add("epochs", {});
    await metrics.text();
    metrics.meter.add("keys_supplied", { app: "app-a1", door: "etsi014" }, 6);
    const lines = await linesOf(metrics);
    expect(lines).toContain('qkm_keys_supplied_total{app="app-a1",door="etsi014"} 10');
    expect(lines).toContain('qkm_keys_supplied_total{app="app-a2",door="ak"} 1');
    expect(lines).toContain("qkm_epochs_total 1");
  });

  it("exports every counter of the table with its help", async () => {
    const text = await makeMetrics().text();
    for (const [name, { help }] of Object.entries(COUNTERS)) {
      expect(text).toContain(`# HELP qkm_${name}_total ${help}\n# TYPE qkm_${name}_total counter\n`);
    }
  });

  it("keeps to the labels of the table, whatever a caller gives", async () => {
    const metrics = makeMetrics();
    metrics.meter.add("alarms", { colour: "red" });
    metrics.meter.add("alarms", { alarm: 'a "quoted"\nname', colour: "red" });
    const lines = await linesOf(metrics);
    expect(lines).toContain('qkm_alarms_total{alarm=""} 1');
    expect(lines).toContain('qkm_alarms_total{alarm="a \\"quoted\\"\\nname"} 1');
  });
});

describe("gauges", () => {
  it("tell what the key manager says of itself", async () => {
    const metrics = makeMetrics();
    metrics.collect(kmGauges(() => ({ report: REPORT, connections: { ak: 12, etsi014: 1 } })));
    const lines = await linesOf(metrics);
    const expected = [
      'qkm_link_up{link="ab"} 1',
      'qkm_link_key_rate_bits_per_second{link="ab"} 150000',
      'qkm_link_measured_bits_per_second{link="ab"} 149000',
      'qkm_link_qber_ratio{link="ab"} 0.021',
      'qkm_link_stored_blocks{link="ab"} 40',
      'qkm_link_usable_blocks{link="ab"} 19',
      'qkm_peer_connected{peer="km-b"} 1',
      'qkm_peer_synchronised{peer="km-b"} 0',
      'qkm_stock_keys{peer="km-b"} 4084',
      'qkm_stock_kma_keys{peer="km-b",role="source"} 4',
      'qkm_stock_kma_keys{peer="km-b",role="destination"} 5',
      'qkm_relays_in_flight{peer="km-b"} 1',
      'qkm_requests_waiting{peer="km-b"} 2',
      'qkm_connections{door="ak"} 12',
      'qkm_connections{door="etsi014"} 1',
      "qkm_token_ready 1",
      "qkm_store_ready 0",
      "qkm_epoch 7",
      'qkm_memory_slots{state="all"} 96',
      'qkm_memory_slots{state="pinned"} 3',
      'qkm_memory_slots{state="intake"} 2',
    ];
    for (const line of expected) expect(lines).toContain(line);
  });

  it("vanish when their link or peer does", async () => {
    const metrics = makeMetrics();
    let report = REPORT;
    metrics.collect(kmGauges(() => ({ report, connections: {} })));
    expect(await metrics.text()).toContain('link="ab"');
    report = { ...REPORT, links: [], peers: [] };
    const text = await metrics.text();
    expect(text).not.toContain('link="ab"');
    expect(text).not.toContain('peer="km-b"');
  });

  it("each have their help", async () => {
    const text = await makeMetrics().text();
    for (const [name, { help }] of Object.entries(GAUGES)) expect(text).toContain(`# HELP qkm_${name} ${help}\n`);
  });
});

describe("the endpoint", () => {
  const get = (port: number, path: string, method = "GET") =>
    new Promise<{ status: number; type: string; text: string }>((resolve, reject) => {
      const asking = request({ host: "127.0.0.1", port, path, method, agent: false }, async (response) => {
        let text = "";
        for await (const chunk of response) text += chunk;
        resolve({ status: response.statusCode ?? 0, type: response.headers["content-type"] ?? "", text });
      });
      asking.on("error", reject).end();
    });

  it("answers GET /metrics, and nothing else", async () => {
    const metrics = makeMetrics();
    metrics.meter.add("epochs", {});
    await using server = await startMetrics({ host: "127.0.0.1", port: 0 }, metrics, recorder().log);
    const reply = await get(server.port, "/metrics");
    expect(reply.status).toBe(200);
    expect(reply.type).toMatch(/^text\/plain; version=0\.0\.4/);
    expect(reply.text).toContain("qkm_epochs_total 1\n");
    expect((await get(server.port, "/")).status).toBe(404);
    expect((await get(server.port, "/metrics", "POST")).status).toBe(405);
  });

  it("answers 500 and logs when a collector throws, and goes on", async () => {
    const metrics = makeMetrics();
    const told = recorder();
    let broken = true;
    metrics.collect(() => {
      if (broken) throw new Error("no report");
    });
    await using server = await startMetrics({ host: "127.0.0.1", port: 0 }, metrics, told.log);
    expect((await get(server.port, "/metrics")).status).toBe(500);
    expect(told.lines[0]).toMatchObject({ level: "error", fields: { err: { message: "no report" } } });
    broken = false;
    expect((await get(server.port, "/metrics")).status).toBe(200);
  });

  it("rejects when the address is taken", async () => {
    const metrics = makeMetrics();
    const { log } = recorder();
    await using server = await startMetrics({ host: "127.0.0.1", port: 0 }, metrics, log);
    await expect(startMetrics({ host: "127.0.0.1", port: server.port }, metrics, log)).rejects.toThrow(/EADDRINUSE/);
  });
});
