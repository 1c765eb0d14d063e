// What a reload takes of two configurations: the rest of the file is as it was.

import { parse } from "smol-toml";
import * as v from "valibot";
import { expect, test } from "vitest";
import { mergeConfig, RELOADED } from "../../src/config/reload.ts";
import { SCHEMA, type Written } from "../../src/config/schema.ts";

const TLS = 'certificate = "c"\nkey = "k"\ntrust = "t"';
const BASE = `
[node]
id = "km-a"
[token]
module = "m"
label = "l"
[ak]
listen = "127.0.0.1:1"
${TLS}
[etsi014]
listen = "127.0.0.1:2"
${TLS}
[kx]
listen = "127.0.0.1:3"
${TLS}
[metrics]
listen = "127.0.0.1:4"
[[peers]]
id = "km-b"
address = "127.0.0.1:5"
[[apps]]
id = "app-a1"
home = "km-a"
[[apps]]
id = "app-b1"
home = "km-b"
`;

const written = (text: string): Written => v.parse(SCHEMA, parse(text));
const merge = (next: string) => mergeConfig(written(BASE), written(next));
const told = (next: string) =>
  merge(next).changes.map(({ key, what, isTaken }) => `${key} ${what}${isTaken ? "" : ", at a restart"}`);

test("of the same file nothing differs", () => {
  expect(merge(BASE)).toEqual({ written: written(BASE), changes: [] });
});

test("entries of lists are the same by their ID, wherever they stand", () => {
  const next = BASE.replace('[[apps]]\nid = "app-a1"\nhome = "km-a"\n', "").concat(
    '[[apps]]\nid = "app-a1"\nhome = "km-b"\n[[apps]]\nid = "app-a2"\nhome = "km-a"\n',
  );
  expect(told(next)).toEqual(["apps.app-a1.home changed", "apps.app-a2 added"]);
  expect(merge(next).written).toEqual(written(next));
});

test("what takes a restart stays as it was, beside what is taken", () => {
  const next = BASE.replace("[etsi014]", "max_connections = 9\nrequire_hybrid = true\n[etsi014]")
    .replace('label = "l"', 'label = "other"\nepoch_s = 60')
    .replace('trust = "t"', 'trust = "u"');
  expect(told(next)).toEqual([
    "token.label changed, at a restart",
    "token.epoch_s changed",
    "ak.trust changed",
    "ak.require_hybrid changed, at a restart",
    "ak.max_connections changed",
  ]);
  const { ak, token } = merge(next).written;
  expect([ak.trust, ak.max_connections, token.label, token.epoch_s]).toEqual(["u", 9, "l", 60]);
});

test("a table that comes takes a restart, and so does another dialect of a peer; a strict peer comes at once", () => {
  const next = `${BASE}[[peers]]\nid = "km-c"\naddress = "127.0.0.1:6"\ndialect = "strict"\n[monitoring]\nlisten = "127.0.0.1:7"\n${TLS}\n`;
  const other = next.replace('id = "km-b"\n', 'id = "km-b"\ndialect = "strict"\n');
  expect(told(other)).toEqual([
    "peers.km-b.dialect changed, at a restart",
    "peers.km-c added",
    "monitoring added, at a restart",
  ]);
  expect(merge(other).written.peers.map(({ id, dialect }) => [id, dialect])).toEqual([
    ["km-b", "extended"],
    ["km-c", "strict"],
  ]);
});

test("every key that a reload takes is one of the schema", () => {
  const known = (pattern: string): boolean => {
    const [table = "", key] = pattern.split(".");
    const entry = Reflect.get(SCHEMA.entries, table.replace("[]", ""));
    const inner = entry?.wrapped ?? entry;
    return key === undefined ? inner !== undefined : Object.hasOwn(inner?.item?.entries ?? inner?.entries ?? {}, key);
  };
  expect([...RELOADED].filter((pattern) => !known(pattern))).toEqual([]);
});
