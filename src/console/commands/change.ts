// What an operator changes while the key manager runs: settings, links in use, certificates.

import type { Session } from "../session.ts";
import type { Command } from "./command.ts";
import { countOf } from "./show.ts";

const MOST_IDLE_MINUTES = 1_440;
/** Characters of a pasted certificate with those that sign it. */
const LONGEST_PEM = 32_768;
const END = "-----END CERTIFICATE-----";

const SET: readonly Command[] = [
  {
    words: ["set", "log-level"],
    args: [{ name: "LEVEL", about: "the least that is logged", choice: ["debug", "info", "warn", "error"] }],
    role: "operator",
    about: "what the key manager logs, until its next start",
    changes: true,
    run: async ({ node, print }, [level]) => await print([`log level ${await node.km.logLevel(level)}`]),
  },
  {
    words: ["set", "idle"],
    args: [{ name: "MINUTES", about: `1 to ${MOST_IDLE_MINUTES}` }],
    role: "auditor",
    about: "after how long without a key you are logged out",
    run: async ({ settings, print }, [minutes]) => {
      settings.idleMinutes = countOf(minutes, 1, MOST_IDLE_MINUTES);
      await print([`idle end after ${settings.idleMinutes} min, until log-out`]);
    },
  },
  {
    words: ["set", "pager"],
    args: [{ name: "STATE", about: "on or off", choice: ["on", "off"] }],
    role: "auditor",
    about: "whether long output stops after each page",
    run: async ({ settings }, [state]) => {
      settings.pager = state === "on";
    },
  },
  {
    words: ["set", "charset"],
    args: [{ name: "CHARSET", about: "what the terminal shows", choice: ["utf8", "ascii"] }],
    role: "auditor",
    about: "how bars and dashes are drawn",
    run: async ({ screen }, [charset]) => {
      screen.charset = charset === "utf8" ? "utf8" : "ascii";
    },
  },
];

const LINK = {
  name: "LINK",
  about: "its ID",
  names: async ({ node }: Session) => (await node.km.status()).links.map(({ id }) => id),
};

const link = (use: boolean, about: string, more: string): Command => ({
  words: ["link", use ? "up" : "down"],
  args: [LINK],
  role: "operator",
  about,
  more,
  changes: true,
  run: async ({ node, print }, [id = ""]) => {
    const changed = await node.km.setLink(id, use);
    const state = use ? "in use" : "out of use";
    await print([changed ? `link ${id} is ${state} now` : `link ${id} was ${state} already`]);
  },
});

async function requestCertificates({ node, print }: Session): Promise<void> {
  const requests = await node.requests();
  if (requests.length === 0) await print(["There are no certificate requests here: provisioning makes them."]);
  for (const { name, pem } of requests) await print([`${name}:`, ...pem.trim().split("\n")]);
}

async function installCertificate({ node, print, ask }: Session): Promise<void> {
  await print(["Paste the certificate, and those that sign it if there are any; an empty line ends, Ctrl-C gives up."]);
  const lines: string[] = [];
  for (let line = await ask(""); line.trim() !== "" || !lines.includes(END); line = await ask("")) {
    if (line.trim() !== "") lines.push(line.trim());
    if (lines.join("\n").length > LONGEST_PEM) throw new Error(`more than ${LONGEST_PEM} characters: nothing was done`);
  }
  await print(await node.installCertificate(`${lines.join("\n")}\n`));
}

async function reload({ node, print }: Session): Promise<void> {
  const { changed, restart, renewed } = await node.km.reload();
  const lines = [
    ...changed.map(({ key, what }) => `${key} ${what}`),
    ...renewed.map((table) => `[${table}] uses renewed TLS files`),
    ...restart.map(({ key, what }) => `${key} ${what}: takes a restart`),
  ];
  await print(lines.length === 0 ? ["nothing differs"] : lines);
}

/** Commands that change something; operators of the role `operator` alone have them. */
export const CHANGE: readonly Command[] = [
  ...SET,
  {
    words: ["reload"],
    args: [],
    role: "operator",
    about: "take the configuration as its file has it now",
    more: "All of it is checked, and all of it or nothing is taken; what needs a restart is named. Requests under way go on.",
    changes: true,
    run: reload,
  },
  link(true, "use a link again", "Its blocks are taken in, relayed and accepted as before."),
  link(
    false,
    "take a link out of use",
    "Nothing is taken in from its module and no block of it serves, here or for the other end; an alarm shows it. It lasts until `link up` or the key manager's next start.",
  ),
  {
    words: ["certificate", "request"],
    args: [],
    role: "operator",
    about: "show the certificate requests of this node's keys",
    run: requestCertificates,
  },
  {
    words: ["certificate", "install"],
    args: [],
    role: "operator",
    about: "take a certificate that is pasted",
    more: "It must be for a key of this node and lead to its trust anchor. The key manager uses it from its next start.",
    changes: true,
    run: installCertificate,
  },
];
