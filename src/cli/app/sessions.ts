// `qkm app session` and `qkm app listen`: both ends of a session (Q.4161 8.2) on the command line.

import type { Command } from "commander";
import type { ConnectionState, IncomingSession, SessionOffer } from "../../ak/client.ts";
import { appId } from "../../core/ids.ts";
import { named, readNetwork } from "../common/network.ts";
import { withNetwork } from "../common/network-option.ts";
import { callerOf, connectApp } from "./connection.ts";
import { whole } from "./numbers.ts";
import { jsonObject, lines, print } from "./print.ts";

/** Adds `qkm app session …`. */
export function registerSessionCommands(app: Command): void {
  withNetwork(app.command("session"))
    .summary("open a session with another application, and get keys in it")
    .description(
      "Opens a session and gets keys in it. The other application has them already when they come: it has to be connected " +
        "and to accept (qkm app listen). There may be fewer keys than asked for, if it does not take them all.",
    )
    .requiredOption("--from <app>", "the application that opens the session")
    .requiredOption("--to <app>", "the application that the keys are pushed to")
    .option("--number <n>", "how many keys", whole, 1)
    .option("--size <bits>", "size of each in bits; the KM's default size if left out", whole)
    .option(
      "--max-keys <n>",
      "the most keys that the session may ever have; as many as the KM allows if left out",
      whole,
    )
    .option("--session <id>", "go on with a session that was opened before, instead of opening one")
    .option("--name <text>", "a name for people, which the other application is told")
    .option("--table", "one line per key: ID, key in base64")
    .addHelpText(
      "after",
      "\nExamples:\n  qkm app session --from app-a1 --to app-b1 --number 4 --size 512\n" +
        "  qkm app session --from app-a1 --to app-b1 --session SESSION-ID",
    )
    .action(session);
  withNetwork(app.command("listen"))
    .summary("accept sessions, and take the keys that are pushed in them")
    .description(
      "Accepts sessions that other applications open with this one, and takes their keys: one line each, the session and " +
        "the key's ID. Ends with Ctrl-C, or after --number keys. Connects again by itself.",
    )
    .requiredOption("--as <app>", "the application that listens")
    .option("--from <app...>", "accept sessions of these applications only")
    .option("--session <id...>", "go on with sessions that were accepted before")
    .option("--number <n>", "end after so many keys", whole)
    .option("--keys", "print the keys too, in base64")
    .addHelpText(
      "after",
      "\nExamples:\n  qkm app listen --as app-b1\n  qkm app listen --as app-b1 --from app-a1 --number 4 --keys",
    )
    .action(listen);
}

interface SessionFlags {
  readonly from: string;
  readonly to: string;
  readonly number: number;
  readonly size?: number;
  readonly maxKeys?: number;
  readonly session?: string;
  readonly name?: string;
  readonly table?: true;
  readonly network: string;
}

async function session(flags: SessionFlags): Promise<void> {
  const { number: count, size, maxKeys, name, table } = flags;
  const network = readNetwork(flags.network);
  const destination = appId(named(network.apps, flags.to, "application").id);
  await using client = await connectApp(callerOf(network, flags.from));
  const wanted = { destination, ...(maxKeys && { maxKeys }), ...(name && { applicationName: name }) };
  const open = flags.session === undefined ? await client.openSession(wanted) : client.resumeSession(flags.session);
  const keys = await open.getKeys({ count, ...(size && { sizeBits: size }) });
  await print(keys, table ? lines() : jsonObject(`"session_ID":${JSON.stringify(open.sessionId)},`));
}

interface ListenFlags {
  readonly as: string;
  readonly from?: readonly string[];
  readonly session?: readonly string[];
  readonly number?: number;
  readonly keys?: true;
  readonly network: string;
}

/** What a `listen` does from its start to its end. */
class Listening {
  readonly #flags: ListenFlags;
  readonly #stop: AbortController;
  #taken = 0;

  constructor(flags: ListenFlags, stop: AbortController) {
    this.#flags = flags;
    this.#stop = stop;
  }

  offered(offer: SessionOffer): void {
    const { from } = this.#flags;
    const { sessionId, initiator, applicationName } = offer;
    const what = `session ${sessionId} of ${initiator}${applicationName === undefined ? "" : ` (${applicationName})`}`;
    if (from === undefined || from.includes(initiator)) {
      note(`${what} is accepted`);
      void this.take(offer.accept());
    } else {
      note(`${what} is refused`);
      offer.refuse(`it listens to ${from.join(", ")} only`);
    }
  }

  async take(session: IncomingSession): Promise<void> {
    const { keys, number = Number.POSITIVE_INFINITY } = this.#flags;
    for await (const pushed of session) {
      if (this.#taken >= number) continue;
      this.#taken += 1;
      const taken = pushed.take();
      const first = `${session.sessionId}  `;
      if (keys) {
        await print([taken], lines(first));
      } else {
        taken[Symbol.dispose]();
        process.stdout.write(`${first}${taken.keyId}\n`);
      }
      if (this.#taken >= number) this.#stop.abort();
    }
  }
}

async function listen(flags: ListenFlags): Promise<void> {
  const network = readNetwork(flags.network);
  for (const id of flags.from ?? []) named(network.apps, id, "application");
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort());
  const listening = new Listening(flags, stop);
  await using client = await connectApp(callerOf(network, flags.as), {
    signal: stop.signal,
    accepted: flags.session ?? [],
    onSession: (offer) => listening.offered(offer),
    onConnection: (state) => note(describe(flags.as, state)),
  });
  for (const id of flags.session ?? []) void listening.take(client.resumeIncoming(id));
  if (!stop.signal.aborted) await new Promise((resolve) => stop.signal.addEventListener("abort", resolve));
}

const note = (sentence: string): void => void process.stderr.write(`${sentence}\n`);

const describe = (app: string, state: ConnectionState): string =>
  state.connected ? `${app} listens` : `not connected, will be tried again: ${state.reason}`;
