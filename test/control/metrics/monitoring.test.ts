// Metrics over TLS: who gets in, and what is answered.

import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { request } from "node:https";
import { afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { makeMetrics } from "../../../src/control/metrics/metrics.ts";
import { type MetricsServer, startMonitoring } from "../../../src/control/metrics/server.ts";
import type { PeerKind } from "../../../src/net/tls/identity.ts";
import { type Authority, authority, type Credentials, forIdentity, material } from "../../support/certificates.ts";
import { type Recorder, recorder } from "../../support/recorder.ts";
import { until } from "../../support/until.ts";

let servers: Authority;
let monitors: Authority;
let km: Credentials;
beforeAll(async () => {
  [servers, monitors] = await Promise.all([authority("servers"), authority("monitors")]);
  km = await forIdentity(servers, "km", "km-a");
});

let seen: Recorder;
let server: MetricsServer;
beforeEach(async () => {
  seen = recorder();
  const metrics = makeMetrics();
  metrics.collect((set) => set("epoch", 7));
  const options = { listen: { host: "127.0.0.1", port: 0 }, tls: material(km, monitors) };
  server = await startMonitoring(options, metrics, { log: seen.log, meter: seen.meter });
});
afterEach(() => server[Symbol.asyncDispose]());

async function ask(as: Credentials, path = "/metrics", method = "GET") {
  const asking = request({
    ...{ host: "127.0.0.1", port: server.port, path, method, agent: false },
    ...{ cert: as.certificate, key: as.key, ca: servers.pem },
  }).end();
  const [response]: IncomingMessage[] = await once(asking, "response");
  let text = "";
  for await (const chunk of response ?? []) text += chunk;
  return { status: response?.statusCode, text };
}

test("a monitor that the trust anchor signed reads the metrics, and nothing else", async () => {
  const monitor = await forIdentity(monitors, "monitor", "prometheus-1");
  const { status, text } = await ask(monitor);
  expect(status).toBe(200);
  expect(text).toContain("qkm_epoch 7");
  expect((await ask(monitor, "/")).status).toBe(404);
  expect((await ask(monitor, "/metrics", "POST")).status).toBe(405);
});

test.each<PeerKind>(["app", "km", "controller"])("the certificate of a %s opens nothing here", async (kind) => {
  await expect(ask(await forIdentity(monitors, kind, "x"))).rejects.toThrow();
  await until("the refusal is counted", () => seen.count("connections_refused", { door: "monitoring" }) === 1);
});

test("nor does a monitor's that another authority signed, or none", async () => {
  await expect(ask(await forIdentity(servers, "monitor", "prometheus-1"))).rejects.toThrow();
  await expect(ask({ certificate: "", key: "" })).rejects.toThrow();
  await until("both are counted", () => seen.count("connections_refused", { door: "monitoring" }) === 2);
});
