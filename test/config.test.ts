// The configuration: what is read, every complaint at once with its line, and the manual made from the schema.

import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { ConfigError, loadConfig, parseConfig } from "../src/config/read.ts";
import { configurationManual } from "./config-manual.ts";

const door = (name: string, port: number) =>
  `[${name}]\nlisten = "127.0.0.1:${port}"\ncertificate = "tls/km.pem"\nkey = "tls/km.key"\ntrust = "tls/ca.pem"\n`;

const GOOD = `[node]
id = "km-a"

[token]
module = "/usr/lib/softhsm/libsofthsm2.so"
label = "qkm km-a"

${door("ak", 7001)}
${door("etsi014", 7002)}
${door("kx", 7003)}
[metrics]
listen = "[::1]:7004"

[[links]]
id = "ab"
peer = "km-b"
port = "modules/ab"

[[peers]]
id = "km-b"
address = "kmb.example:7103"

[[apps]]
id = "app-a1"
home = "km-a"

[[apps]]
id = "app-b1"
home = "km-b"
quota_bits_per_s = 1_000
`;

/** Two ways lead from km-a to km-c: over km-b and over km-d. */
const RING = `${GOOD}
[[links]]
id = "ad"
peer = "km-d"
port = "modules/ad"
cost = 3

[[peers]]
id = "km-d"
address = "kmd.example:7403"

[[peers]]
id = "km-c"
address = "kmc.example:7303"
paths = 2

[[topology]]
link = "bc"
kms = ["km-b", "km-c"]

[[topology]]
link = "dc"
kms = ["km-d", "km-c"]
cost = 2
`;

/** `[line, key]` of each complaint. */
function complaints(text: string, known = {}): readonly (readonly [number, string])[] {
  const error = thrownBy(() => parseConfig(text, "/etc/qkm/node.toml", known));
  return error instanceof ConfigError ? error.complaints.map(({ line, key }) => [line, key]) : [];
}

function thrownBy(action: () => unknown): unknown {
  try {
    return action();
  } catch (error) {
    return error;
  }
}

const lineOf = (text: string, part: string): number => text.slice(0, text.indexOf(part)).split("\n").length;

describe("a configuration that is right", () => {
  const config = parseConfig(GOOD, "/etc/qkm/node.toml");

  test("has what was written, paths relative to the file, and times in milliseconds", () => {
    expect(config.node).toMatchObject({
      id: "km-a",
      storeDir: "/etc/qkm/store",
      controlSocket: "/etc/qkm/control.sock",
    });
    expect(config.metrics.listen).toEqual({ host: "::1", port: 7004 });
    expect(config.peers[0]).toEqual({
      id: "km-b",
      addresses: [{ host: "kmb.example", port: 7103 }],
      dialect: "extended",
      fetchApps: [],
      paths: 1,
    });
    expect([config.topology, config.controller]).toEqual([[{ id: "ab", kms: ["km-a", "km-b"], cost: 1 }], undefined]);
    expect(config.links[0]).toMatchObject({ port: "/etc/qkm/modules/ab", driver: "serial", share: [1, 1] });
    expect(config.token.epochMs).toBe(3_600_000);
    expect(config.apps.map((app) => app.quotaBitsPerS)).toEqual([undefined, 1_000]);
  });

  test("knows the whole network and the controller's door", () => {
    const { topology, peers, controller } = parseConfig(`${RING}\n${door("controller", 7005)}`, "/etc/qkm/node.toml");
    expect(topology.map(({ id, kms, cost }) => [id, kms.join(" "), cost])).toEqual([
      ["ab", "km-a km-b", 1],
      ["ad", "km-a km-d", 3],
      ["bc", "km-b km-c", 1],
      ["dc", "km-d km-c", 2],
    ]);
    expect(peers.map(({ paths }) => paths)).toEqual([1, 1, 2]);
    expect(controller?.tls.trust).toBe("/etc/qkm/tls/ca.pem");
  });

  test("locks by default less memory than an ordinary user's limit of 8 MiB", () => {
    expect(config.memory.slabBytes + config.memory.ringBytes).toBeLessThan(6 << 20);
  });

  test("is frozen to its last part", () => {
    expect(Object.isFrozen(config)).toBe(true);
    expect(Object.isFrozen(config.links[0]?.share)).toBe(true);
    expect(Object.isFrozen(config.ak.tls)).toBe(true);
  });

  test("may ask for a stock of a million keys", () => {
    const text = `${GOOD}\n[supply]\nstock_low = 900\nstock_high = 1_000\n`;
    expect(parseConfig(text, "/n.toml").supply.stockHigh).toBe(1_000);
  });
});

describe("a configuration that is wrong", () => {
  test("is refused with every complaint at once, each with its line, in their order", () => {
    const text = GOOD.replace('id = "km-a"', 'id = "km a"\nbord = "host"').replace("127.0.0.1:7002", "127.0.0.1");
    expect(complaints(text)).toEqual([
      [2, "node.id"],
      [3, "node.bord"],
      [lineOf(text, 'listen = "127.0.0.1"\n'), "etsi014.listen"],
    ]);
  });

  test("has unknown names and broken relations complained of together", () => {
    const text = GOOD.replace("[token]", 'bord = "host"\n[token]').replace('home = "km-a"', 'home = "km-x"');
    expect(complaints(text)).toEqual([
      [4, "node.bord"],
      [lineOf(text, 'home = "km-x"'), "apps[0].home"],
    ]);
  });

  test("that is no TOML is refused with the line", () => {
    expect(complaints(`${GOOD}\n[[apps]\nid = 3\n`)).toEqual([[GOOD.split("\n").length + 1, ""]]);
  });

  test("names the table where a key is missing", () => {
    const text = GOOD.replace('peer = "km-b"\n', "");
    expect(complaints(text)).toEqual([[lineOf(text, "[[links]]"), "links[0].peer"]]);
  });

  test("that lacks a table is refused at line 1", () => {
    expect(complaints(GOOD.replace('[metrics]\nlisten = "[::1]:7004"\n', ""))).toEqual([[1, "metrics"]]);
  });

  test("prints file, line, key and sentence", () => {
    expect(() => parseConfig(GOOD.replace("7001", "99999"), "/etc/qkm/node.toml")).toThrow(
      "/etc/qkm/node.toml:9: ak.listen: the port must be at most 65535",
    );
  });

  const APPS = GOOD.indexOf("[[apps]]");
  const inLinks = (key: string) =>
    `${GOOD.slice(0, GOOD.indexOf("[[peers]]"))}${key}\n\n${GOOD.slice(GOOD.indexOf("[[peers]]"))}`;
  test.each([
    ["a link to no peer", GOOD.replace('peer = "km-b"', 'peer = "km-z"'), "links[0].peer"],
    ["a block size that is no power of two", inLinks("block_bytes = 5_000"), "links[0].block_bytes"],
    ["a block size that is too large", inLinks("block_bytes = 65_536"), "links[0].block_bytes"],
    ["a share that nobody has", inLinks("share = [0, 0]"), "links[0].share"],
    ["a share of one", inLinks("share = [1]"), "links[0].share[1]"],
    ["two listeners on one port", GOOD.replace("7002", "7001"), "etsi014.listen"],
    [
      "a peer that is the node itself",
      GOOD.replace('id = "km-b"', 'id = "km-a"')
        .replace('peer = "km-b"', 'peer = "km-a"')
        .replace('home = "km-b"', 'home = "km-a"'),
      "peers[0].id",
    ],
    ["a peer on port 0", GOOD.replace("kmb.example:7103", "kmb.example:0"), "peers[0].address"],
    ["an application twice", GOOD.replace('"app-b1"', '"app-a1"'), "apps[1].id"],
    [
      "a link twice",
      `${GOOD.slice(0, APPS)}[[links]]\nid = "ab"\npeer = "km-b"\nport = "other"\n${GOOD.slice(APPS)}`,
      "links[1].id",
    ],
    [
      "a module twice",
      `${GOOD.slice(0, APPS)}[[links]]\nid = "ba"\npeer = "km-b"\nport = "modules/ab"\n${GOOD.slice(APPS)}`,
      "links[1].port",
    ],
    ["a stock whose low mark is above its high mark", `${GOOD}[supply]\nstock_low = 9\n`, "supply.stock_low"],
    ["a key size that is no whole bytes", `${GOOD}[supply]\ndefault_key_bits = 12\n`, "supply.default_key_bits"],
    ["a quota that no key fits", `${GOOD}[supply]\nquota_burst_bits = 128\n`, "supply.quota_burst_bits"],
    [
      "a slab that is too small",
      `${GOOD}[memory]\nslab_bytes = 262_144\nring_bytes = 131_072\nallow_unlocked = 1\n`,
      "memory.allow_unlocked",
    ],
    ["a slab of no whole blocks", `${GOOD}[memory]\nslab_bytes = 300_000\n`, "memory.slab_bytes"],
    ["a topology link of the node itself", RING.replace('["km-b", "km-c"]', '["km-a", "km-c"]'), "topology[0].kms"],
    ["a topology link of a KM with itself", RING.replace('["km-b", "km-c"]', '["km-c", "km-c"]'), "topology[0].kms"],
    ["a topology link of one KM", RING.replace('["km-b", "km-c"]', '["km-c"]'), "topology[0].kms[1]"],
    ["a topology link named as one of the node's", RING.replace('"bc"', '"ab"'), "topology[0].link"],
    ["a topology link named twice", RING.replace('"bc"', '"dc"'), "topology[1].link"],
    ["more paths than there are routes", RING.replace("paths = 2", "paths = 3"), "peers[2].paths"],
    [
      "who fetches from an extended peer",
      GOOD.replace('7103"', '7103"\nfetch_apps = ["app-a1"]'),
      "peers[0].fetch_apps",
    ],
    [
      "fetching by an application of another KM",
      GOOD.replace('7103"', '7103"\ndialect = "strict"\nfetch_apps = ["app-a1", "app-b1"]'),
      "peers[0].fetch_apps",
    ],
    ["paths to a peer of another make", RING.replace("paths = 2", 'paths = 2\ndialect = "strict"'), "peers[2].paths"],
    [
      "a syslog certificate without its key",
      `${GOOD}\n[syslog]\nserver = "log:6514"\ntrust = "ca.pem"\ncertificate = "own.pem"\n`,
      "syslog.key",
    ],
    ["a monitoring door on a port that is taken", `${GOOD}\n${door("monitoring", 7001)}`, "monitoring.listen"],
    ["a controller on a port that is taken", `${RING}\n${door("controller", 7001)}`, "controller.listen"],
    [
      "a control socket whose path is too long",
      GOOD.replace("[token]", `control_socket = "${"s".repeat(100)}"\n[token]`),
      "node.control_socket",
    ],
  ])("%s", (_, text, key) => {
    expect(complaints(text).map(([, where]) => where)).toEqual([key]);
  });

  test("paths are complained of with how many routes there are", () => {
    expect(() => parseConfig(RING.replace("paths = 2", "paths = 3"), "/n.toml")).toThrow(
      'peers[2].paths: [[links]] and [[topology]] have 2 routes to "km-c" that share no KM, not 3; add links or lower paths',
    );
    expect(() => parseConfig(GOOD.replace("7103", '7103"\npaths = 2 # "'), "/n.toml")).toThrow(
      'have 1 route to "km-b"',
    );
  });

  test("a board that does not exist is complained of when the caller knows them, a driver always", () => {
    const fax = GOOD.replace("[[links]]", '[[links]]\ndriver = "fax"');
    expect(complaints(fax, { boards: ["moon"] }).map(([, key]) => key)).toEqual(["node.board", "links[0].driver"]);
  });
});

describe("the line of a complaint", () => {
  test("is right behind values over several lines, strings with brackets, comments and quoted names", () => {
    const text = `[node]
id = "km-a" # [token]
store_dir = """
[supply]
stock_low = 1
"""
"log_level" = "loud"

[[links]]
share = [
  1, # ]
  -2,
]
port = "a]b["
peer = 'km-b'
id = "ab"
wrong = { a = 1 }
${GOOD.slice(GOOD.indexOf("[token]"))}`;
    expect(complaints(text)).toEqual([
      [7, "node.log_level"],
      [10, "links[0].share[1]"],
      [17, "links[0].wrong"],
    ]);
  });
});

describe("the files that a configuration names", () => {
  test("must exist, and secrets must not be open to every user", () => {
    const folder = mkdtempSync(join(tmpdir(), "qkm-config-"));
    try {
      const path = join(folder, "node.toml");
      const pin = join(folder, "pin");
      writeFileSync(path, GOOD.replaceAll("tls/km.pem", "node.toml").replaceAll("tls/ca.pem", "node.toml"));
      writeFileSync(pin, "1234");
      chmodSync(pin, 0o644);
      const error = thrownBy(() => loadConfig(path));
      expect(error).toBeInstanceOf(ConfigError);
      const text = String(error);
      expect(text).toContain(`:4: token.pin_file: ${pin} is open to every user; run: chmod 600 '${pin}'`);
      expect(text).toContain(`ak.key: there is no file ${join(folder, "tls/km.key")}`);
      expect(text.split("\n")).toHaveLength(4);
      writeFileSync(path, `${GOOD}\n${door("controller", 7005)}`);
      expect(String(thrownBy(() => loadConfig(path)))).toContain(
        `controller.trust: there is no file ${folder}/tls/ca.pem`,
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("a file that is not there is one complaint", () => {
    expect(() => loadConfig("/nowhere/node.toml")).toThrow("/nowhere/node.toml:1: the file cannot be read");
  });
});

test("docs/configuration.md is what the schema says (npx vitest run test/config.test.ts -u writes it)", async () => {
  await expect(configurationManual()).toMatchFileSnapshot("../docs/configuration.md");
});

describe("the SKIP door", () => {
  const skip = `${GOOD}
${door("skip", 7005)}
[[skip.remotes]]
system = "KP_*"
app = "app-b1"

[[skip.psk]]
identity = "router 1"
app = "app-a1"
key_file = "router.psk"
`;

  test("is closed unless it is configured", () => {
    expect(parseConfig(GOOD, "/etc/qkm/node.toml").skip).toBeUndefined();
    expect(parseConfig(skip, "/etc/qkm/node.toml").skip).toMatchObject({
      system: "km-a",
      remotes: [{ system: "KP_*", app: "app-b1" }],
      psk: [{ identity: "router 1", app: "app-a1", keyFile: "/etc/qkm/router.psk" }],
    });
  });

  test.each([
    ['app = "app-b1"', 'app = "app-x"', "skip.remotes[0].app"],
    ['identity = "router 1"\napp = "app-a1"', 'identity = "router 1"\napp = "app-b1"', "skip.psk[0].app"],
    ["127.0.0.1:7005", "127.0.0.1:7001", "skip.listen"],
    ['[[skip.remotes]]\nsystem = "KP_*"\napp = "app-b1"', "", "skip.remotes"],
  ])("%j as %j is complained of", (from, to, key) => {
    const at = skip.lastIndexOf(from);
    expect(complaints(skip.slice(0, at) + to + skip.slice(at + from.length)).map(([, name]) => name)).toEqual([key]);
  });
});
