// Doors that an appliance has only when its configuration says so: the firewall lets them through, their files are asked for.

import { expect, test } from "vitest";
import { portsOf } from "../../../src/cli/appliance/command.ts";
import { clientDoors } from "../../../src/cli/appliance/doors.ts";
import { parseConfig } from "../../../src/config/read.ts";

const door = (name: string, port: number) =>
  `[${name}]\nlisten = "0.0.0.0:${port}"\ncertificate = "tls/km.pem"\nkey = "tls/km.key"\ntrust = "tls/ca.pem"\n`;
const USUAL = `[node]\nid = "km-a"\n[token]\nmodule = "m"\nlabel = "l"\n${door("ak", 1)}${door("etsi014", 2)}${door("kx", 3)}
[metrics]\nlisten = "127.0.0.1:4"\n[[apps]]\nid = "app-a1"\nhome = "km-a"\n`;
const MORE = `${door("etsi004", 5)}${door("skip", 6)}[[skip.remotes]]\nsystem = "x"\napp = "app-a1"\n`;

test.each([
  [USUAL, [1, 2, 3], 2],
  [USUAL + MORE, [1, 2, 3, 5, 6], 4],
])("ports and doors for clients", (text, ports, doors) => {
  const config = parseConfig(text, "/etc/qkm/node.toml");
  expect([portsOf(config), clientDoors(config).length]).toEqual([ports, doors]);
});
