// The node's configuration as the config medium has it: completed by what the board knows, checked, then taken.

import { createHash } from "node:crypto";
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { parse, stringify, TomlError } from "smol-toml";
import type { Board } from "../../../boards/board.ts";
import { BOARDS } from "../../../boards/index.ts";
import { lineFinder } from "../../config/lines.ts";
import { ConfigError, loadConfig, parseConfig } from "../../config/read.ts";
import type { NodeConfig } from "../../config.ts";
import { CommandError, EXIT } from "../common/exit.ts";
import { endpointText } from "../provision/node-toml.ts";
import { NODE_PORTS, tokenLabel } from "../provision/plan.ts";
import { moveWhole, readText, writeWhole } from "./files.ts";
import type { Medium } from "./medium.ts";
import { type AppliancePlaces, ON_MEDIUM } from "./places.ts";
import type { Screen } from "./screen.ts";

const KNOWN = { boards: Object.keys(BOARDS) };
/** On an appliance, where nothing that is on the disk can be mistaken for it. */
const CONTROL_SOCKET = "/run/qkm/control.sock";
const ANYWHERE = "0.0.0.0";

type Table = Record<string, unknown>;
const isTable = (value: unknown): value is Table =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);

/** The configuration that is there, whether or not the files that it names are. @throws ConfigError */
export function configIn(places: AppliancePlaces): NodeConfig | undefined {
  const text = readText(places.config);
  return text === undefined ? undefined : parseConfig(text, places.config, KNOWN);
}

/** The same with its files. @throws ConfigError with every complaint */
export const completeConfig = (path: string): NodeConfig => loadConfig(path, KNOWN);

/**
 * Takes the medium's configuration unless it is the one taken last, whatever was changed in it here since.
 * @throws ConfigError with the medium's lines, CommandError when it would make another node of a provisioned one
 */
export function takeConfig(places: AppliancePlaces, board: Board, medium: Medium, screen: Screen): void {
  const written = medium.text(ON_MEDIUM.config);
  const present = readText(places.config);
  if (written === undefined || present?.includes(markOf(written))) return;
  const named = (thrown: unknown) => asWritten(thrown, written, join(medium.dir, ON_MEDIUM.config));
  try {
    const text = completed(written, board);
    const config = parseConfig(text, places.config, KNOWN);
    const running = runningConfig(places);
    if (running !== undefined) checkSameNode(running, config);
    writeWhole(places.candidate, text);
    if (running !== undefined) completeConfig(places.candidate);
  } catch (thrown) {
    rmSync(places.candidate, { force: true });
    throw named(thrown);
  }
  if (present !== undefined) writeWhole(places.before, present);
  moveWhole(places.candidate, places.config);
  screen.say(
    present === undefined
      ? "configuration taken from the medium"
      : "configuration taken from the medium, for the next start; the one before is node.toml.before",
  );
}

/** What a provisioned node has now, unless it was spoilt: then any right one is better. */
function runningConfig(places: AppliancePlaces): NodeConfig | undefined {
  if (!existsSync(places.provisioned)) return undefined;
  try {
    return configIn(places);
  } catch (thrown) {
    if (thrown instanceof ConfigError) return undefined;
    throw thrown;
  }
}

/** Its token, certificates and peers know the node by its ID. */
function checkSameNode({ node: { id } }: NodeConfig, { node }: NodeConfig): void {
  if (id === node.id) return;
  throw new CommandError(
    EXIT.config,
    `this appliance is ${id}, and the medium's node.toml is for ${node.id}: take the medium of ${id}.`,
  );
}

const markOf = (written: string): string =>
  `# sha256 of the medium's node.toml: ${createHash("sha256").update(written).digest("hex")}`;

/** The text of the node's own file. @throws TomlError, ConfigError */
function completed(written: string, board: Board): string {
  const tables: Table = parse(written);
  const { node } = tables;
  const id = isTable(node) && typeof node.id === "string" ? node.id : "";
  if (isTable(node) && node.board !== undefined && node.board !== board.name) {
    const sentence = `this appliance is board "${board.name}"; leave the key out`;
    throw new ConfigError(ON_MEDIUM.config, [{ line: 1, key: "node.board", sentence }]);
  }
  for (const [name, values] of Object.entries(knownOf(board, id))) {
    const own = tables[name];
    if (own === undefined || isTable(own)) tables[name] = { ...values, ...own };
  }
  if (isTable(tables.controller)) tables.controller = { ...doorOf("controller"), ...tables.controller };
  const head = ["# From the config medium, with what it left out. Keys: docs/configuration.md.", markOf(written), ""];
  return `${head.join("\n")}\n${stringify(tables)}\n`;
}

/** What the medium may leave out. */
const knownOf = (board: Board, id: string): Record<string, Table> => ({
  node: { board: board.name, ...(board.image === undefined ? {} : { control_socket: CONTROL_SOCKET }) },
  token: {
    module: board.token.module,
    label: tokenLabel(id),
    pin_file: "pin",
    ...(board.token.softhsm ? { softhsm_conf: "token/softhsm2.conf" } : {}),
  },
  memory: {
    slab_bytes: board.memory.slabBytes,
    ring_bytes: board.memory.ringBytes,
    ...(board.memory.allowUnlocked ? { allow_unlocked: true } : {}),
  },
  ak: doorOf("ak"),
  etsi014: doorOf("etsi014"),
  kx: doorOf("kx"),
  metrics: { listen: endpointText("127.0.0.1", NODE_PORTS.metrics) },
});

const ANCHORS = { ak: "apps", etsi014: "apps", kx: "kms", controller: "controllers" } as const;

function doorOf(door: keyof typeof ANCHORS): Table {
  const own = door === "kx" ? "kx" : "server";
  return {
    listen: endpointText(ANYWHERE, NODE_PORTS[door]),
    certificate: `tls/${own}.pem`,
    key: `tls/${own}.key`,
    trust: `trust/${ANCHORS[door]}.pem`,
  };
}

/** Complaints with the file and the lines that the person wrote. */
function asWritten(thrown: unknown, written: string, file: string): unknown {
  if (thrown instanceof TomlError) {
    const sentence = `${thrown.message.split("\n")[0]} (column ${thrown.column})`;
    return new ConfigError(file, [{ line: thrown.line, key: "", sentence }]);
  }
  if (!(thrown instanceof ConfigError)) return thrown;
  const lineOf = lineFinder(written);
  const pathOf = (key: string) =>
    [...key.matchAll(/\[(\d+)\]|[^.[\]]+/g)].map(([part, index]) => (index === undefined ? part : Number(index)));
  return new ConfigError(
    file,
    thrown.complaints.map((one) => ({ ...one, line: lineOf(pathOf(one.key)) })),
  );
}
