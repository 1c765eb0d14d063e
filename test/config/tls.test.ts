// What TLS of a door may be told: versions, groups, cipher suites, and what cannot work together.

import { expect, test } from "vitest";
import { parseConfig } from "../../src/config/read.ts";
import { FILE, keysOf, nodeToml } from "./node-toml.ts";

const node = (etsi: string): string => nodeToml("", etsi);
const complaints = (etsi: string): string[] => keysOf(node(etsi));

test("without a word it is the strictest", () => {
  const { ak } = parseConfig(node(""), FILE);
  expect(ak).toMatchObject({ minTls: "1.3", groups: [], ciphers: [] });
});

test("a door is told versions, groups and suites", () => {
  const told =
    'min_tls = "1.2"\ngroups = ["X25519", "P-256"]\nciphers = ["TLS_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256"]';
  const { etsi014 } = parseConfig(node(told), FILE);
  expect(etsi014).toMatchObject({
    minTls: "1.2",
    groups: ["X25519", "P-256"],
    ciphers: ["TLS_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256"],
  });
});

test.each([
  ['min_tls = "1.1"', "etsi014.min_tls"],
  ['groups = ["P-521"]', "etsi014.groups[0]"],
  ['ciphers = ["RC4"]', "etsi014.ciphers[0]"],
  ['require_hybrid = true\ngroups = ["X25519"]', "etsi014.groups"],
  ['require_hybrid = true\nmin_tls = "1.2"', "etsi014.min_tls"],
  ['min_tls = "1.2"\nciphers = ["ECDHE-RSA-AES128-GCM-SHA256"]', "etsi014.ciphers"],
  ['ciphers = ["TLS_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256"]', "etsi014.ciphers"],
  ['min_tls = "1.2"\nciphers = ["TLS_AES_128_GCM_SHA256"]', "etsi014.ciphers"],
])("%s is refused", (told, key) => {
  expect(complaints(told)).toEqual([key]);
});
