// What TLS of a door may be told: versions, groups, cipher suites, and what cannot work together.

import { expect, test } from "vitest";
import { ConfigError, parseConfig } from "../../src/config.ts";

const door = (name: string, port: number) =>
  `[${name}]\nlisten = "127.0.0.1:${port}"\ncertificate = "a"\nkey = "b"\ntrust = "c"\n`;

const node = (etsi: string): string => `[node]
id = "km-a"
[token]
module = "/usr/lib/softhsm/libsofthsm2.so"
label = "qkm km-a"
${door("ak", 7001)}${door("etsi014", 7002)}${etsi}
${door("kx", 7003)}
[metrics]
listen = "127.0.0.1:7004"
`;

function complaints(etsi: string): string[] {
  try {
    parseConfig(node(etsi), "/etc/qkm/node.toml");
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.complaints.map(({ key }) => key);
  }
}

test("without a word it is the strictest", () => {
  const { ak } = parseConfig(node(""), "/etc/qkm/node.toml");
  expect(ak).toMatchObject({ minTls: "1.3", groups: [], ciphers: [] });
});

test("a door is told versions, groups and suites", () => {
  const told =
    'min_tls = "1.2"\ngroups = ["X25519", "P-256"]\nciphers = ["TLS_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256"]';
  const { etsi014 } = parseConfig(node(told), "/etc/qkm/node.toml");
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
