// `qkm init`: provisions the reference network, or a single node and its applications.

import { existsSync } from "node:fs";
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
}

function membersOf(text: string): number {
  if (/^[1-9]$/.test(text)) return Number(text);
  throw new InvalidArgumentError("It must be a number from 1 to 9.");
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
    .option("--members <n>", "machines that are one KM together: km-b of the reference network", membersOf, 1)
    .addHelpText(
      "after",
      "\nExamples:\n  qkm init --dir /tmp/net\n  qkm init --id km-x --dir /etc/qkm --host 192.0.2.7 --app app-x1",
    )
    .action(init);
}

async function init(options: InitOptions): Promise<void> {
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
  provisionConfig(
    {
      ...{ id, dir, board, host: listen, ports: NODE_PORTS, ...token },
      ...{ trust: { apps: trust("apps"), kms: trust("kms"), ...controllers }, links: [], peers: [], apps },
      notes: examples(board),
    },
    say,
  );
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
  return ["", "What to do next:", ...steps.map((step, at) => `  ${at + 1}. ${step}`)];
}
