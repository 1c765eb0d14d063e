// Who may import whom: the table of the house, held against every import.

import { globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";

/** The rooms of the key manager in their order: each may import those above it. */
const KEYS_ROOMS = [
  "common",
  "directory",
  "links",
  "supply",
  "fetch",
  "peers",
  "routes",
  "relay",
  "sessions",
  "streams",
  "strict",
  "multicast",
  "sources",
  "borders",
  "sync",
  "manager",
].map((room) => `src/keys/${room}/`);
const KEYS = Object.fromEntries(
  KEYS_ROOMS.map((room, at) => [
    room,
    `src/keys/ports/ src/keys/report.ts src/core/ ${KEYS_ROOMS.slice(0, at).join(" ")} type src/vault/vault.ts`,
  ]),
);

/** What a room may import beside itself; after `type`, types only. A folder ends in `/`. `device/token.ts` has an error class. */
const MAY: Readonly<Record<string, string>> = {
  "src/core/": "type node:ffi",
  "src/device/": "src/core/ type valibot",
  "src/wire/": "src/core/",
  "src/kq/": "src/core/",
  "src/vault/":
    "src/core/ src/wire/ src/device/token.ts lmdb sodium-native node:fs node:child_process node:url node:v8 type src/device/",
  ...KEYS,
  "src/cluster/": "src/core/ src/vault/store/ src/vault/pause.ts node:http node:https node:v8 type src/vault/",
  "src/keys/ports/": "type src/core/",
  "src/keys/": "src/core/ type src/vault/vault.ts",
  "src/net/": "src/core/ src/wire/ node:net node:tls",
  "src/ak/": "src/core/ src/wire/ src/net/ type src/keys/ports/keys.ts src/keys/ports/sessions.ts",
  "src/kx/": "src/core/ src/wire/ src/net/ type src/keys/ports/peers.ts src/keys/ports/sessions.ts",
  "src/http/": "src/core/ node:http type src/keys/ports/keys.ts src/net/channel.ts",
  "src/etsi014/": "src/core/ src/wire/ src/net/ src/http/ type src/keys/ports/keys.ts",
  "src/etsi004/": "src/core/ src/wire/ src/net/ type src/keys/ports/keys.ts src/keys/ports/streams.ts",
  "src/etsi020/": "src/core/ src/wire/ src/net/ src/http/ node:net type src/keys/ports/borders.ts",
  "src/skip/": "src/core/ src/wire/ src/net/ src/http/ type src/keys/ports/keys.ts",
  "src/control/":
    "src/core/ src/wire/ src/net/ node:http node:https node:net node:tls node:fs node:fs/promises node:os prom-client pino type src/keys/report.ts src/device/",
  "src/console/": "src/core/ src/wire/ src/net/ node:readline node:stream type src/keys/report.ts",
  "src/view/page/": "src/view/figures-text.ts uplot type src/view/",
  "src/view/": "src/core/ node:http node:fs node:module node:url type src/control/ node:net",
  "src/config.ts": "type src/core/ drivers/index.ts",
  "src/config/": "src/core/ drivers/index.ts smol-toml valibot node:fs type src/config.ts boards/",
  "drivers/serial/":
    "src/core/ src/kq/ src/config/schema/fields.ts drivers/common/ valibot serialport node: type src/device/",
  "drivers/hid/": "src/core/ src/kq/ drivers/common/ node-hid node: type src/device/",
  "drivers/pkcs11/": "src/core/ src/kq/ src/device/token.ts pkcs11js node: type src/device/",
  "drivers/watchdog/": "src/core/ src/kq/ node: type src/device/",
  "drivers/indicators/": "node: type src/core/ src/device/",
  "drivers/systemd/": "src/core/ type src/device/",
  "drivers/common/": "src/core/ src/config/schema/fields.ts valibot node: type src/device/",
  "drivers/etsi014/": "src/core/ src/wire/ drivers/common/ node: type src/device/",
  "drivers/etsi004/": "src/core/ src/wire/ src/etsi004/ drivers/common/ node: type src/device/",
  "drivers/simulator/boxes/": "src/core/ src/etsi004/ node:",
  "drivers/simulator/": "src/core/ src/kq/ serialport node: type src/device/",
  "drivers/index.ts": "drivers/ type src/device/ valibot",
  "drivers/": "src/core/ src/kq/ src/config/schema/fields.ts drivers/common/ valibot node: type src/device/",
  "boards/image/": "boards/ node:",
  "boards/qemu/": "boards/ node:",
  "boards/": "type drivers/ src/device/",
};
const FREE = ["src/main.ts", "src/node/", "src/cli/", "test/"];
/** Parts of Node that touch nothing outside the process. */
const PURE = /^node:(util|crypto|path|buffer|events|string_decoder|perf_hooks|zlib)$/;
const IMPORT = /^(?:import|export) (type )?[^"';]*from "([^"]+)"|^import (")([^"]+)"|\bimport\((")([^"]+)"\)/gm;

const isIn = (target: string) => (name: string) => target === name || (/[/:]$/.test(name) && target.startsWith(name));

/** Why a file of `room` must not import `target`, if so. */
function objection(room: string, target: string, typeOnly: boolean): string | undefined {
  if (target === "src/main.ts") return "nobody imports main";
  if (FREE.includes(room) || PURE.test(target) || isIn(target)(room)) return undefined;
  const [always = "", types = ""] = (MAY[room] ?? "").split("type ");
  const names = `${always} ${typeOnly ? types : ""}`.split(" ").filter((name) => name !== "");
  return names.some(isIn(target)) ? undefined : `${room} may import ${MAY[room] || "nothing"}`;
}

function importsOf(file: string): readonly { readonly target: string; readonly typeOnly: boolean }[] {
  return [...readFileSync(file, "utf8").matchAll(IMPORT)].map((found) => {
    const name = found[2] ?? found[4] ?? found[6] ?? "";
    return { target: name.startsWith(".") ? join(dirname(file), name) : name, typeOnly: found[1] !== undefined };
  });
}

const files = globSync(["src/**/*.{ts,mjs}", "drivers/**/*.ts", "boards/**/*.ts"]);

test.each(files)("%s imports only what its room may", (file) => {
  const room = [...Object.keys(MAY), ...FREE].find(isIn(file));
  expect(room, `no room for ${file}: add it to the table`).toBeDefined();
  const wrong = importsOf(file).flatMap(({ target, typeOnly }) => objection(room ?? "", target, typeOnly) ?? []);
  expect(wrong).toEqual([]);
});

/** Files that importing this one loads, it among them; packages by their names. What is imported at run time is not. */
function loadedBy(file: string, found = new Set<string>()): ReadonlySet<string> {
  if (found.has(file)) return found;
  found.add(file);
  if (!file.endsWith(".ts")) return found;
  for (const [text, , name] of readFileSync(file, "utf8").matchAll(IMPORT)) {
    if (name === undefined || /^(?:import|export) type/.test(text)) continue;
    loadedBy(name.startsWith(".") ? join(dirname(file), name) : name, found);
  }
  return found;
}

test("a KM that is one machine loads nothing of clusters", () => {
  const loaded = [...loadedBy("src/main.ts")];
  expect(loaded).toContain("src/node/node.ts");
  expect(loaded.filter((file) => file.startsWith("src/cluster/") || file === "src/node/member.ts")).toEqual([]);
});

/** Started with every node, on machines where each of their hundreds of files takes its time. */
test.each(["src/main.ts", "src/cli/run.ts", "src/cli/appliance/provision.ts", "src/cli/console/command.ts"])(
  "%s loads the certificate library and drivers' packages only when it needs them",
  (file) => {
    const loaded = loadedBy(file);
    expect([...loaded]).toContain("src/config/read.ts");
    expect(["@peculiar/x509", "reflect-metadata", "serialport", "node-hid"].filter((name) => loaded.has(name))).toEqual(
      [],
    );
  },
);

/** What the configuration asks of every driver; the rest of it is loaded when it is opened. */
const DRIVER_FACE = /^drivers\/[^/]+\/driver\.ts$/;

test.each([
  "src/skip/",
  "src/etsi004/",
  "src/keys/streams/",
  "src/etsi020/",
  "src/keys/borders/",
  "src/control/etsi015/",
  "src/keys/sources/",
  "drivers/etsi014/",
  "drivers/etsi004/",
  "drivers/hid/",
])("what is in %s is loaded only when its door is configured", (room) => {
  const isLoaded = (file: string): boolean => file.startsWith(room) && !DRIVER_FACE.test(file);
  expect([...loadedBy("src/main.ts")].filter(isLoaded)).toEqual([]);
});

describe("the check itself", () => {
  test("refuses the store to keys, types' values, other drivers, unknown packages and main", () => {
    expect(objection("src/keys/", "lmdb", false)).toBeDefined();
    expect(objection("src/keys/", "src/vault/vault.ts", false)).toBeDefined();
    expect(objection("src/keys/", "src/vault/vault.ts", true)).toBeUndefined();
    expect(objection("src/keys/relay/", "src/keys/sync/connection.ts", true)).toBeDefined();
    expect(objection("src/keys/sync/", "src/keys/relay/transit.ts", false)).toBeUndefined();
    expect(objection("src/ak/", "src/keys/manager/key-manager.ts", true)).toBeDefined();
    expect(objection("drivers/serial/", "drivers/pkcs11/token.ts", true)).toBeDefined();
    expect(objection("src/cli/", "src/main.ts", false)).toBeDefined();
    expect(objection("src/core/", "node:fs", false)).toBeDefined();
  });

  test("follows imports to packages", () => {
    expect([...loadedBy("src/cli/init.ts")]).toContain("@peculiar/x509");
    expect([...loadedBy("drivers/hid/source.ts")]).toContain("node-hid");
  });

  test("sees imports over several lines, of side effects and at run time", () => {
    expect(importsOf("test/architecture.test.ts").map(({ target }) => target)).toContain("node:fs");
    const sample =
      'import {\n  a,\n} from "x";\nimport "y";\nconst z = await import("z");\nexport type { t } from "w";\n';
    expect([...sample.matchAll(IMPORT)].map((m) => m[2] ?? m[4] ?? m[6])).toEqual(["x", "y", "z", "w"]);
  });
});

const EXPORT = /^export (?:declare )?(?:abstract )?(?:async )?(?:class|interface|type|const|function\*?|enum) (\w+)/;

test("every export says what it is", () => {
  const bare = files.flatMap((file) => {
    const lines = readFileSync(file, "utf8").split("\n");
    return lines.flatMap((line, at) => {
      const name = EXPORT.exec(line)?.[1];
      const above = lines[at - 1]?.trim() ?? "";
      return name === undefined || above.endsWith("*/") || above.startsWith("//") ? [] : [`${file}: ${name}`];
    });
  });
  expect(bare).toEqual([]);
});

/** What a newcomer can hold; tables may be longer than code. */
const MOST = { lines: 400, files: 17 } as const;

test("no file and no folder outgrows a newcomer", () => {
  const long = files.filter((file) => readFileSync(file, "utf8").split("\n").length > MOST.lines);
  const full = Map.groupBy(files, (file) => dirname(file))
    .entries()
    .filter(([, inside]) => inside.length > MOST.files);
  expect([...long, ...full.map(([folder]) => folder)]).toEqual([]);
});
