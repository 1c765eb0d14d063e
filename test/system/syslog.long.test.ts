// A real KM and a syslog server: log and audit log arrive, an outage of the server loses nothing, and the KM does not notice it.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { syslogServer } from "../control/syslog/syslog-kit.ts";
import { authority } from "../support/certificates.ts";
import { eventually } from "./support/eventually.ts";
import { startNetwork } from "./support/network.ts";
import { Oracle } from "./support/oracle.ts";
import { line } from "./support/shapes.ts";
import { Traffic } from "./support/traffic.ts";

test("log lines and sealed audit events arrive, over an outage of the server too", async () => {
  const folder = mkdtempSync(join(tmpdir(), "qkm-syslog-"));
  const trusted = await authority("syslog servers");
  const trust = join(folder, "ca.pem");
  writeFileSync(trust, trusted.pem);
  const first = await syslogServer(trusted);
  const plan = line(2);
  const config = { ...plan.config, syslog: { server: `127.0.0.1:${first.port}`, trust } };
  await using network = await startNetwork({ ...plan, config });
  await network.stocked();
  const kinds = (messages: readonly string[]) => messages.map((message) => message.split(" ")[5]);
  await eventually("both have told their start", () => {
    const apps = first.messages.filter((one) => one.includes(" started - ")).map((one) => one.split(" ")[3]);
    return apps.includes("qkm/km-a") && apps.includes("qkm/km-b");
  });
  await eventually("lines of the log and seals are there", () => {
    const all = kinds(first.messages);
    return all.includes("log") && all.includes("seal");
  });
  await first[Symbol.asyncDispose]();

  const traffic = new Traffic(network, new Oracle());
  const { toOne, toOther } = await traffic.bothWays("app-a", "app-b");
  await traffic.fetch([...toOne, ...toOther]);
  await using second = await syslogServer(trusted, first.port);
  await eventually(
    "what was supplied meanwhile is told",
    () => kinds(second.messages).includes("keys_supplied"),
    60_000,
  );
  expect((await network.km("km-a").metrics()).sum("qkm_syslog_lost_total")).toBe(0);
  expect((await network.km("km-a").metrics()).sum("qkm_syslog_sent_total")).toBeGreaterThan(0);
  rmSync(folder, { recursive: true });
});
