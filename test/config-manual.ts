// Makes docs/configuration.md from the schema; `npx vitest run test/config.test.ts -u` writes it.

import { RELOADED } from "../src/config/reload.ts";
import { SCHEMA } from "../src/config/schema.ts";

const INTRO = `# Configuration

One TOML file per node. \`qkm init\` writes one, \`qkm check NODE.toml\` tells everything that is wrong with it, with line and key.
Paths are relative to the file's folder. Unknown names are errors; units are in the names (\`_ms\`, \`_s\`, \`_bits\`, \`_bytes\`).
A listener on port 0 takes any free port, which is of use in tests only.

\`qkm reload NODE.toml\` (SIGHUP, \`reload\` at the console) lets a running KM take a changed file, and every file that it names: all of it
is checked, and all of it or nothing is taken. Keys with **yes** in the column *reload* are taken then; all others take a restart, and the
answer names them. Requests under way go on. \`qkm check NEW.toml --against NODE.toml\` tells before what a reload would change. Certificates,
trust anchors and revocation lists are also taken by themselves, within a minute after their files have changed.

This page is made from the schema in \`src/config/schema.ts\` and \`src/config/schema/\`; a test notices when it is stale.
`;

const NOTES: Readonly<Record<string, string>> = {
  token: "The PIN is tried once: after a wrong one the KM stays up without a token until it is started again.",
  memory:
    "Slab and ring are locked, 5 MiB unless said otherwise, which the usual limit of 8 MiB allows; for more raise `ulimit -l` or `LimitMEMLOCK=`.",
  watchdog:
    "It resets the machine when this KM hangs: see [operations.md](operations.md#the-hardware-watchdog). Its timeout is that of its kernel module.",
  cluster:
    "Leave it out where this KM is one machine. With it, several machines are one KM, of which one is active: see [cluster.md](cluster.md).",
  supply:
    "A KMA-key of 32 KiB holds 1,021 keys of 256 bits. Stock is what is ready before anyone asks: `stock_high = 1000` keeps about a million keys per destination, if the links bring them and `keep_blocks` and `store_max_bytes` leave room.",
  audit: "What became of each byte of key; see [audit.md](audit.md).",
  sessions:
    "Of the proactive mode (Q.4161 8.2); see [ak.md](ak.md). They hold for the applications at home here, as initiators and as destinations each; the other KM has its own.",
  links:
    "One per QKD link; block size and share must be the same at both ends, or the link stays unused with an alarm. Name a port by what is plugged in, which stays when others come and go: see [operations.md](operations.md#where-modules-are-plugged-in). When a link comes or goes, or its share or `keep_blocks` change, the connection with its other KM is made anew.",
  "links.box":
    'For `driver = "etsi014"` and `"etsi004"`: who this KM is to the vendor\'s box here, and how the boxes name the KM at the other end. See [sources.md](sources.md).',
  controller:
    "Leave it out where no QKDN controller tells routes. Its trust anchor is for controllers alone; see [controller.md](controller.md).",
  syslog:
    "Leave it out where no syslog server gets a copy of the log and the audit log; see [monitoring.md](monitoring.md#syslog).",
  monitoring:
    "Leave it out where Prometheus scrapes the plain listener. Its trust anchor is for monitors alone; see [monitoring.md](monitoring.md).",
  etsi015:
    "Leave it out where no SDN controller reads this KM over ETSI GS QKD 015. Its trust anchor is for controllers alone; see [doors.md](doors.md#etsi-gs-qkd-015).",
  skip: "Leave it out where no encryptor speaks Cisco SKIP: the door is closed then. See [doors.md](doors.md#cisco-skip).",
  etsi020:
    "Leave it out where no other network is reached from here: the border is closed then. See [etsi-020.md](etsi-020.md).",
  "etsi020.borders":
    "The key managers of other networks: each may come here, and is reached at `url`. Each is known by the one URI `urn:qkm:km:<id>`, or by its `certificates`.",
  "etsi020.borders.certificates":
    "The key manager's certificates where they are of another make, each by `uri`, `dns`, `sha256`, or `cn` with `issuer`; any of them will do. No certificate may fit two borders.",
  etsi004:
    "Leave it out where no application reads key streams: the door is closed then. See [doors.md](doors.md#etsi-gs-qkd-004-key-streams).",
  "skip.remotes":
    "The other key providers, in the order in which their patterns are tried; `/capabilities` names them. Each stands for one application: keys asked for it are shared with that one, keys by ID are those that it asked for.",
  "skip.psk": "Encryptors that have a pre-shared key in place of a certificate.",
  topology:
    "One per link of the network that is not this node's own, so that keys find their way over other KMs. Every KM is told the same links, or those of its part of the network.",
  peers: "One per other KM that has a link with this one or serves applications that ours talk to.",
  "apps.certificates":
    "The application's certificates where they are of another make, each by `uri`, `dns`, `sha256`, or `cn` with `issuer`; any of them will do. Without this table it is known by the one URI `urn:qkm:app:<id>`. No certificate may fit two applications. `[ak] trust` and that of each other door must have signed them.",
  apps: "One per application of the network, here and elsewhere, at every KM.",
};

const TAKEN = new Set([...RELOADED].map((pattern) => pattern.replaceAll("[]", "")));

interface Entry {
  readonly type: string;
  readonly wrapped?: Entry;
  readonly default?: unknown;
  readonly pipe?: readonly unknown[];
  readonly entries?: Readonly<Record<string, Entry>>;
  readonly item?: Entry;
  readonly items?: readonly Entry[];
}

export function configurationManual(): string {
  const tables = Object.entries<Entry>(SCHEMA.entries).flatMap(([name, entry]) => tablesOf(name, entry));
  return [INTRO, ...tables].join("\n");
}

/** A table, and behind it the lists of tables in it. */
function tablesOf(name: string, entry: Entry): readonly string[] {
  const inner = entry.wrapped ?? entry;
  const heading = inner.item ? `[[${name}]]` : `[${name}]`;
  const all = Object.entries(inner.item?.entries ?? inner.entries ?? {});
  const pattern = inner.item ? `${name}[]` : name;
  const rows = all.filter(([, value]) => !isTables(value)).map(([key, value]) => row(pattern, key, value));
  const comeAndGo = RELOADED.has(pattern) ? "A reload takes new entries and lets old ones go.\n\n" : "";
  const note = (NOTES[name] ? `${NOTES[name]}\n\n` : "") + comeAndGo;
  return [
    `## ${heading}\n\n${note}| key | value | default | reload | meaning |\n| --- | --- | --- | --- | --- |\n${rows.join("\n")}\n`,
    ...all.filter(([, value]) => isTables(value)).flatMap(([key, value]) => tablesOf(`${name}.${key}`, value)),
  ];
}

function isTables(entry: Entry): boolean {
  const inner = entry.wrapped ?? entry;
  return (inner.item ?? inner).entries !== undefined;
}

function row(table: string, key: string, entry: Entry): string {
  const inner = entry.wrapped ?? entry;
  const facts = factsOf(inner);
  const absent = entry.type === "optional" ? (entry.default === undefined ? "–" : code(entry.default)) : "**required**";
  // Tables within an entry are taken with it.
  const steps = `${table}.${key}`.replaceAll("[]", "").split(".");
  const isTaken = steps.some((_, at) => at > 0 && TAKEN.has(steps.slice(0, at + 1).join(".")));
  return `| \`${key}\` | ${allowed(facts, inner)} | ${absent} | ${isTaken ? "yes" : "–"} | ${facts.get("description")} |`;
}

const code = (value: unknown): string => {
  if (typeof value === "number") return `\`${value.toLocaleString("en").replaceAll(",", "_")}\``;
  return `\`${Array.isArray(value) ? `[${value.join(", ")}]` : JSON.stringify(value)}\``;
};

/** What the pipe of a value says of it: its base type, bounds and description by name, innermost first. */
function factsOf(entry: Entry): ReadonlyMap<string, unknown> {
  const facts = new Map<string, unknown>();
  for (const item of (entry.pipe ?? []) as readonly (Entry & Record<string, unknown>)[]) {
    if (item.pipe) for (const [name, fact] of factsOf(item)) facts.set(name, fact);
    if (item.type === "description") facts.set("description", item.description);
    else if ("requirement" in item) facts.set(item.type, item.requirement);
    else if ("options" in item) facts.set("picklist", item.options);
    if (item.type === "transform") facts.set("endpoint", true);
    if (item.message === "must be a power of two") facts.set("unit", "a power of two, ");
    if (item.message === "must be a multiple of 8") facts.set("unit", "a multiple of 8, ");
  }
  return facts;
}

function allowed(facts: ReadonlyMap<string, unknown>, entry: Entry): string {
  const options = facts.get("picklist");
  if (Array.isArray(options)) return options.map((option) => code(option)).join(", ");
  if (facts.get("endpoint")) return "`host:port`";
  if (facts.has("min_value")) {
    const [low, high] = [facts.get("min_value"), facts.get("max_value")].map((bound) =>
      Number(bound).toLocaleString("en"),
    );
    return `${facts.get("unit") ?? ""}${low} to ${high}`;
  }
  if (facts.has("regex")) return "ID";
  if (entry.type === "array") return "a list";
  return entry.type === "boolean" ? "`true`, `false`" : entry.type === "strict_tuple" ? pairOf(entry) : "text";
}

const pairOf = ({ items }: Entry): string =>
  items?.some((item) => factsOf(item).has("regex")) ? "two IDs" : "two numbers";
