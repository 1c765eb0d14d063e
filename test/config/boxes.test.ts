// Vendor's boxes in the configuration: what a link of theirs needs, and what is wrong with it.

import { expect, test } from "vitest";
import { parseConfig } from "../../src/config/read.ts";
import { FILE, keysOf, nodeToml } from "./node-toml.ts";

const BOX = `[links.box]
remote = "sae-b"
certificate = "box/sae-a.pem"
key = "box/sae-a.key"
trust = "box/ca.pem"
`;

const node = (link: string, box = BOX): string =>
  nodeToml(`[[links]]
id = "ab"
peer = "km-b"
${link}
${box}
[[peers]]
id = "km-b"
address = "kmb.example:7103"`);

const complaints = (link: string, box?: string): string[] => keysOf(node(link, box));

const URIS = BOX.replace('"sae-b"', '"qkd://km-b@site-b"').concat('local = "qkd://km-a@site-a"\n');

test("a link of boxes is read: paths from the folder, the KM's own ID where the boxes call it so", () => {
  const [link] = parseConfig(node('driver = "etsi014"\nport = "https://192.0.2.9:443"'), FILE).links;
  expect(link).toMatchObject({ driver: "etsi014", port: "https://192.0.2.9:443" });
  const files = { certificate: "/etc/qkm/box/sae-a.pem", key: "/etc/qkm/box/sae-a.key", trust: "/etc/qkm/box/ca.pem" };
  expect(link?.options).toEqual({ box: { remote: "sae-b", ...files, min_tls: "1.3", wire: "B" } });
});

test.each([
  ['driver = "etsi014"\nport = "https://[2001:db8::9]:443"', BOX, []],
  ['driver = "etsi004"\nport = "tls://box.example:25575"', URIS, []],
  ['driver = "etsi014"\nport = "https://192.0.2.9"', BOX, ["links[0].port"]],
  ['driver = "etsi014"\nport = "/dev/ttyUSB0"', BOX, ["links[0].port"]],
  ['driver = "etsi014"\nport = "tls://192.0.2.9:443"', BOX, ["links[0].port"]],
  ['driver = "etsi004"\nport = "https://192.0.2.9:443"', URIS, ["links[0].port"]],
  ['driver = "etsi014"\nport = "https://192.0.2.9:443"', "", ["links[0].box"]],
  ['driver = "etsi014"\nport = "https://192.0.2.9:443"\nbaud_rate = 9600', BOX, ["links[0].baud_rate"]],
  ['driver = "etsi014"\nport = "https://192.0.2.9:443"\npairing_key_file = "x"', BOX, ["links[0].pairing_key_file"]],
  ['driver = "etsi004"\nport = "tls://192.0.2.9:25575"', BOX, ["links[0].box.local", "links[0].box.remote"]],
  ['driver = "serial"\nport = "/dev/ttyUSB0"', BOX, ["links[0].box"]],
  ['driver = "serial"\nport = "https://192.0.2.9:443"', "", ["links[0].port"]],
  [
    'driver = "etsi014"\nport = "https://192.0.2.9:443"',
    BOX.replace("remote", "slave"),
    ["links[0].box.remote", "links[0].box.slave"],
  ],
])("%s is told of exactly what is wrong", (link, box, wrong) => {
  expect(complaints(link, box).toSorted()).toEqual(wrong.toSorted());
});
