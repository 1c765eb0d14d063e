// `qkm init`: provisions the reference network, or a single node and its applications.

import { existsSync } from "node:fs";
import { isIP } from "node:net";
import { join, resolve } from "node:path";
import { type Command, InvalidArgumentError } from "commander";
import type { Board } from "../../boards/board.ts";
import { BOARDS } from "../../boards/index.ts";
import { ID_PATTERN } from "../core/ids.ts";
import { boardOf } from "./board.ts";
import { CommandError, EXIT } from "./common/exit.ts";
import { USUAL_DIR, usualDir } from "./common/network.ts";
import { withNetworkDir } from "./common/network-option.ts";
import { quoted } from "./common/shell.ts";
import { clientAddress } from "./provision/etcd.ts";
import { type MembersMade, provisionMembers } from "./provision/members.ts";
import type { NodeFile } from "./provision/node-toml.ts";
import {
  type AuthorityName,
  appFiles,
  authorityFiles,
  controllerFiles,
  NODE_PORTS,
  nodePlaces,
} from "./provision/plan.ts";
import { USUAL_BASE } from "./provision/ports.ts";
import {
  authoritiesIn,
  type Progress,
  provisionApp,
  provisionConfig,
  provisionController,
  provisionIdentity,
  provisionMonitor,
  provisionToken,
} from "./provision/provision.ts";
import { provisionReference } from "./provision/reference.ts";

interface InitOptions {
  readonly dir?: string;
  readonly id?: string;
  readonly ca?: string;
  readonly board: string;
  readonly module?: string;
  readonly label?: string;
  readonly host: readonly string[];
  readonly app: readonly string[];
  readonly controller?: string;
  readonly monitor?: string;
  readonly members: number;
  readonly etcd: readonly string[];
}

function membersOf(text: string): number {
  if (/^[1-9]$/.test(text)) return Number(text);
  throw new InvalidArgumentError("It must be a number from 1 to 9.");
}

function voterOf(value: string, before: readonly string[]): readonly string[] {
  if (isIP(value) !== 0) return [...before, value];
  throw new InvalidArgumentError("It must be an IP address: etcd listens on no name.");
}

const several = (value: string, before: readonly string[]): readonly string[] => [...before, value];

/** Adds `qkm init`. */
export function registerInitCommand(program: Command): void {
  withNetworkDir(program.command("init"), `folder to provision (default: ${USUAL_DIR}, or the node's ID)`)
    .summary("provision a reference network, or a single node")
    .description(
      "Without --id: makes certificates, tokens and configuration of the reference network of `qkm up`.\n" +
        "With --id: the same for one real node. What is there already is never overwritten.",
    )
    .option("--id <km>", "ID of a single node")
    .option("--ca <dir>", "folder of the network's certificate authorities (default: ca in --dir)")
    .option("--board <board>", `one of ${Object.keys(BOARDS).join(", ")}`, "host")
    .option("--module <library>", "PKCS#11 library of a token that is there already, in place of SoftHSM; with --id")
    .option("--label <label>", "label of that token")
    .option("--host <name or address>", "what applications know the node by; may be given several times", several, [])
    .option("--app <app>", "an application served here; may be given several times", several, [])
    .option("--controller <id>", "a QKDN controller that may set the node's routes: makes its certificate")
    .option("--monitor <id>", "a Prometheus that may read the node's metrics over TLS: makes its certificate")
    .option("--members <n>", "machines that are one KM together: the node of --id, or km-b", membersOf, 1)
    .option("--etcd <address>", "a voter of etcd of those machines, three or five; default: three here", voterOf, [])
    .addHelpText(
      "after",
      "\nExamples:\n  qkm init --dir /tmp/net\n  qkm init --id km-x --dir /etc/qkm --host 192.0.2.7 --app app-x1",
    )
    .action(init);
}

async function init(options: InitOptions): Promise<void> {
  checkMembers(options);
  const board = withToken(boardOf(options.board), options);
  const say = (line: string) => process.stdout.write(`${line}\n`);
  if (options.id !== undefined) return initNode(options.id, board, options, say);
  const { members } = options;
  const dir = resolve(options.dir ?? usualDir(members));
  const basePort = options.dir === undefined ? USUAL_BASE : undefined;
  await provisionReference(dir, { board, basePort, doors: [], members }, say);
  const more = members > 1 ? ` --cluster ${members}` : "";
  say(`the reference network is in ${dir}; run it with: qkm up --dir ${quoted(dir)}${more}`);
}

/** @throws CommandError */
function checkMembers({ id, dir, members, etcd }: InitOptions): void {
  if (etcd.length > 0 && (id === undefined || members === 1))
    throw new CommandError(EXIT.usage, "--etcd belongs to --id with --members 2 or more.");
  if (etcd.length > 0 && (etcd.length < 3 || etcd.length % 2 === 0))
    throw new CommandError(EXIT.usage, "give --etcd for three voters, or five: a majority must survive a loss.");
  const single = id === undefined ? undefined : nodePlaces(resolve(dir ?? id)).config;
  if (members > 1 && single !== undefined && existsSync(single))
    throw new CommandError(EXIT.config, `${single} is a KM of one machine; name another folder with --dir.`);
}

/** The board as it is with another token than its own. @throws CommandError */
function withToken(board: Board, { id, module, label }: InitOptions): Board {
  if (module === undefined && label === undefined) return board;
  if (module === undefined || label === undefined || id === undefined)
    throw new CommandError(EXIT.usage, "--module, --label and --id belong together: a node with a token of its own.");
  if (!existsSync(module)) throw new CommandError(EXIT.usage, `there is no library ${module}.`);
  return { ...board, token: { module: resolve(module), softhsm: false } };
}

async function initNode(id: string, board: Board, options: InitOptions, say: Progress): Promise<void> {
  for (const name of [
    id,
    ...options.app,
    ...[options.controller, options.monitor].filter((one) => one !== undefined),
  ]) {
    if (!ID_PATTERN.test(name))
      throw new CommandError(EXIT.usage, `"${name}" is no ID: use 1 to 64 of A-Z a-z 0-9 . _ : @ -`);
  }
  const dir = resolve(options.dir ?? id);
  const authorities = authoritiesIn(resolve(options.ca ?? join(dir, "ca")), say);
  const trust = (name: AuthorityName) => authorityFiles(authorities.dir, name).cert;
  await Promise.all([authorities.get("apps"), authorities.get("kms")]);
  for (const app of options.app) await provisionApp(authorities, app, appFiles(join(dir, "apps"), app), say);
  if (options.controller !== undefined) {
    const files = controllerFiles(join(dir, "controllers"), options.controller);
    await provisionController(authorities, options.controller, files, say);
  }
  if (options.monitor !== undefined) {
    const files = controllerFiles(join(dir, "monitors"), options.monitor);
    await provisionMonitor(authorities, options.monitor, files, say);
  }
  const controllers = existsSync(trust("controllers")) ? { controllers: trust("controllers") } : {};
  const hosts = options.host.length > 0 ? options.host : ["127.0.0.1", "localhost"];
  await provisionIdentity(authorities, { id, dir, hosts }, say);
  const made = provisionToken(id, dir, board, say);
  const token = { ...made, tokenLabel: options.label ?? made.tokenLabel };
  const apps = options.app.map((app) => ({ id: app, home: id }));
  const listen = options.host.length > 0 ? "0.0.0.0" : "127.0.0.1";
  const node: NodeFile = {
    ...{ id, dir, board, host: listen, ports: NODE_PORTS, ...token },
    ...{ trust: { apps: trust("apps"), kms: trust("kms"), ...controllers }, links: [], peers: [], apps },
    notes: examples(board),
  };
  if (options.members > 1) {
    const plan = { count: options.members, voters: options.etcd, samePorts: options.host.length > 0, node };
    for (const line of memberSteps(dir, await provisionMembers(authorities, plan, say), board)) say(line);
    return;
  }
  provisionConfig(node, say);
  const given = options.label !== undefined;
  for (const line of nextSteps(dir, { ca: authorities.dir, softhsm: board.token.softhsm, given })) say(line);
}

const examples = (board: Board): string[] => [
  "# For each QKD module:",
  "# [[links]]",
  '# id = "xy"                    # the same at both ends',
  '# peer = "km-y"',
  '# driver = "serial"',
  `# port = "${board.modulePorts[0] ?? "/dev/ttyUSB0"}"`,
  "#",
  "# For each link of the network that is not this node's own, so that keys find their way over other KMs:",
  "# [[topology]]",
  '# link = "yz"',
  '# kms = ["km-y", "km-z"]',
  "#",
  "# For each KM that has a link with this one, or serves applications that ours talk to:",
  "# [[peers]]",
  '# id = "km-y"',
  '# address = "192.0.2.8:4163"',
  "#",
  "# For each application, here and elsewhere:",
  "# [[apps]]",
  '# id = "app-y1"',
  '# home = "km-y"',
];

interface Made {
  readonly ca: string;
  readonly softhsm: boolean;
  /** The token was there before. */
  readonly given: boolean;
}

function nextSteps(dir: string, { ca, softhsm, given }: Made): string[] {
  const { config, pin } = nodePlaces(dir);
  const make = `Make the token named in ${config} with your security module's tools and write its user PIN to ${pin} (chmod 600).`;
  const token = given ? `Write the token's user PIN to ${pin} (chmod 600).` : make;
  const steps = [
    ...(softhsm ? [] : [token]),
    `Edit ${config}: add [[links]], [[peers]] and [[apps]]; examples are at its end.`,
    `Give the folder ${ca} to whoever provisions the other nodes (qkm init --id … --ca …), then keep its .key files offline.`,
    `Look it over:  qkm check ${quoted(config)}`,
    `Run it:        qkm run ${quoted(config)}`,
  ];
  return numbered(steps);
}

const numbered = (steps: readonly string[]): string[] => [
  ...["", "What to do next:"],
  ...steps.map((step, at) => `  ${at + 1}. ${step}`),
];

function memberSteps(dir: string, { members, voters }: MembersMade, board: Board): string[] {
  const token = board.token.softhsm
    ? `Only this machine reaches the SoftHSM token in ${dir}: for members on several machines use --module and --label.`
    : `Make one token that all members reach, and write its user PIN to pin (chmod 600) in each member's folder.`;
  return numbered([
    token,
    `Take each folder etcd-N to its machine (${voters.map(clientAddress).join(", ")}), to the same path there.`,
    "Give it to etcd's user, put its etcd.env in place of /etc/default/etcd, and start etcd-server.",
    `Take each member's folder to its machine: ${members.join(", ")}.`,
    "Edit node.toml of each alike: add [[links]], [[peers]] and [[apps]]; examples are at its end.",
    "Tell the peers the addresses of all members: address and further_addresses; see docs/cluster.md.",
    ...members.map((member) => `Run it there:  qkm run ${quoted(nodePlaces(member).config)}`),
  ]);
}
