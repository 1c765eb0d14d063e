// Certificates and lists that will expire: warned of once at each step, by name, with the doors that have them.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { NodeConfig } from "../../src/config.ts";
import type { DoorExpiry } from "../../src/node/credentials.ts";
import { ExpiryWatch, expiryGauges } from "../../src/node/expiry.ts";
import { FurtherExpiries } from "../../src/node/further-expiries.ts";
import { authority, forIdentity } from "../support/certificates.ts";
import { recorder } from "../support/recorder.ts";

const DAY_MS = 86_400_000;

function watched(first: readonly DoorExpiry[]) {
  const seen = recorder();
  let now = first;
  const watch = new ExpiryWatch(() => now, seen);
  let read = 0;
  const told = () => {
    const lines = seen.lines.slice(read);
    read += lines.length;
    return lines.map(({ level, fields }) => [level, fields.use, fields.doors, fields.alarm]);
  };
  const set = (next: readonly DoorExpiry[]): void => {
    now = next;
  };
  return { watch, told, set };
}

test("30, 7 and 1 days ahead and at the end, once each, for all doors that have it together", () => {
  const startMs = Date.now();
  const untilMs = startMs + 100 * DAY_MS;
  const own = (door: string): DoorExpiry => ({
    door,
    use: "own",
    name: "urn:qkm:km:km-a",
    subject: "CN=km-a",
    untilMs,
  });
  const { watch, told } = watched([own("ak"), own("etsi014")]);
  using _ = watch;
  expect(told()).toEqual([]);
  const doors = ["ak", "etsi014"];
  for (const left of [29, 28, 6, 5]) watch.look(untilMs - left * DAY_MS);
  expect(told()).toEqual([
    ["warn", "own", doors, undefined],
    ["warn", "own", doors, undefined],
  ]);
  watch.look(untilMs - DAY_MS / 2);
  watch.look(untilMs + 1);
  watch.look(untilMs + DAY_MS);
  expect(told()).toEqual([
    ["warn", "own", doors, undefined],
    ["error", "own", doors, "certificate_expired"],
  ]);
});

test("a list that has expired is an alarm of its own, and is silent once it is renewed", () => {
  const list: DoorExpiry = { door: "ak", use: "crl", name: "CN=apps", subject: "CN=apps", untilMs: Date.now() - 1 };
  const { watch, told, set } = watched([list]);
  using _ = watch;
  expect(told()).toEqual([["error", "crl", ["ak"], "revocation_list_expired"]]);
  set([{ ...list, untilMs: Date.now() + 60 * DAY_MS }]);
  watch.look();
  expect(told()).toEqual([]);
});

test("the gauge has the first of each door and use", () => {
  const list = (untilMs: number): DoorExpiry => ({
    door: "ak",
    use: "trust",
    name: `CN=${untilMs}`,
    subject: `CN=${untilMs}`,
    untilMs,
  });
  const values: [number, unknown][] = [];
  expiryGauges(() => [list(Date.now() + 90_000), list(Date.now() - 90_000)])((_, value, labels) => {
    values.push([Math.round(value / 10) * 10, labels]);
  });
  expect(values).toEqual([[-90, { door: "ak", use: "trust" }]]);
});

test("certificates for a box, for etcd and for the syslog server are told of too, read again after half a minute", async () => {
  const dir = mkdtempSync(join(tmpdir(), "qkm-expiry-"));
  try {
    const own = await authority("others");
    const [first, second] = [await forIdentity(own, "km", "km-a"), await forIdentity(own, "km", "km-a2")];
    const [certificate, trust] = [join(dir, "own.pem"), join(dir, "trust.pem")];
    writeFileSync(certificate, first.certificate);
    writeFileSync(trust, own.pem);
    const files = { certificate, key: "none", trust };
    const config = {
      cluster: { tls: files },
      syslog: { certificate: undefined, trust },
      links: [
        { id: "ab", options: { box: files } },
        { id: "ac", options: { box: { ...files, trust: join(dir, "none") } } },
      ],
    } as unknown as NodeConfig;
    let nowMs = 0;
    const further = new FurtherExpiries(() => nowMs);
    const told = () => further.of(config).map(({ door, use, name }) => `${door} ${use} ${name}`);
    const expected = (name: string) => [
      ...[`cluster own ${name}`, "cluster trust CN=others", "syslog trust CN=others"],
      ...[`links.ab own ${name}`, "links.ab trust CN=others"],
    ];
    expect(told()).toEqual(expected("urn:qkm:km:km-a"));
    writeFileSync(certificate, second.certificate);
    expect(told()).toEqual(expected("urn:qkm:km:km-a"));
    nowMs = 30_000;
    expect(told()).toEqual(expected("urn:qkm:km:km-a2"));
  } finally {
    rmSync(dir, { recursive: true });
  }
});
