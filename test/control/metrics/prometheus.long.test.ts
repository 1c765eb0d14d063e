// Prometheus' own programs: the alert rules and their tests, and a scrape over TLS with a client certificate.

import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { makeMetrics } from "../../../src/control/metrics/metrics.ts";
import { startMonitoring } from "../../../src/control/metrics/server.ts";
import { authority, forIdentity, material } from "../../support/certificates.ts";
import { recorder } from "../../support/recorder.ts";
import { eventually } from "../../system/support/eventually.ts";

const MONITORING = fileURLToPath(new URL("../../../docs/monitoring", import.meta.url));

beforeAll(() => {
  if (existsSync("/usr/bin/promtool") && existsSync("/usr/bin/prometheus")) return;
  const command = "apt-get install -y --no-install-recommends prometheus";
  if (process.getuid?.() !== 0) throw new Error(`prometheus is missing; run this once: sudo ${command}`);
  for (const [program = "", ...args] of [["apt-get", "update", "-q"], command.split(" ")]) {
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
    const { status, stderr } = spawnSync(program, args, { env, encoding: "utf8" });
    if (status !== 0) throw new Error(`${[program, ...args].join(" ")} failed: ${stderr}`);
  }
}, 300_000);

const folder = mkdtempSync(join(tmpdir(), "qkm-prometheus-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("the alert rules are right, and fire when and only when their tests say so", () => {
  const promtool = (...args: readonly string[]) =>
    execFileSync("promtool", args, { cwd: MONITORING, encoding: "utf8" });
  expect(promtool("check", "rules", "qkm.rules.yml")).toContain("SUCCESS");
  expect(promtool("test", "rules", "qkm.rules.test.yml")).toContain("SUCCESS");
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  return typeof address === "object" && address !== null ? address.port : 0;
}

test("Debian's prometheus scrapes the metrics over TLS, with the configuration of the manual", async () => {
  const [servers, monitors] = await Promise.all([authority("servers"), authority("monitors")]);
  const [km, monitor] = [await forIdentity(servers, "km", "km-a"), await forIdentity(monitors, "monitor", "p-1")];
  const metrics = makeMetrics();
  metrics.collect((set) => set("epoch", 7));
  const seen = recorder();
  const listen = { host: "127.0.0.1", port: 0 };
  await using server = await startMonitoring({ listen, tls: material(km, monitors) }, metrics, seen);
  const files = { "ca.pem": servers.pem, "own.pem": monitor.certificate, "own.key": monitor.key };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text, { mode: 0o600 });
  const job = {
    ...{ job_name: "qkm", scheme: "https", scrape_interval: "1s", scrape_timeout: "1s" },
    tls_config: { ca_file: "ca.pem", cert_file: "own.pem", key_file: "own.key" },
    static_configs: [{ targets: [`127.0.0.1:${server.port}`] }],
  };
  // JSON is YAML too.
  const config = { rule_files: [join(MONITORING, "qkm.rules.yml")], scrape_configs: [job] };
  writeFileSync(join(folder, "prometheus.yml"), JSON.stringify(config));
  const port = await freePort();
  const args = [`--config.file=${folder}/prometheus.yml`, `--storage.tsdb.path=${folder}/data`];
  const prometheus = spawn("prometheus", [...args, `--web.listen-address=127.0.0.1:${port}`], { stdio: "ignore" });
  const ended = once(prometheus, "exit");
  try {
    const value = async (): Promise<string | undefined> => {
      const answer = await fetch(`http://127.0.0.1:${port}/api/v1/query?query=qkm_epoch`).catch(() => undefined);
      const json = (await answer?.json()) as { data?: { result?: { value: [number, string] }[] } } | undefined;
      return json?.data?.result?.[0]?.value[1];
    };
    await eventually("prometheus has the gauge", async () => (await value()) === "7", 60_000);
    const rules = (await (await fetch(`http://127.0.0.1:${port}/api/v1/rules`)).json()) as {
      data: { groups: object[] };
    };
    expect(rules.data.groups).toHaveLength(1);
    expect(seen.count("connections_refused")).toBe(0);
  } finally {
    prometheus.kill("SIGTERM");
    await ended;
  }
});
