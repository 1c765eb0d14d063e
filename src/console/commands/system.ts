// What an operator does to the whole node: destroy its key, update it, start it again, look whether it is sound.

import { randomInt } from "node:crypto";
import type { Session } from "../session.ts";
import { Ended } from "../terminal/keyboard.ts";
import type { Command } from "./command.ts";
import { checkLines, nodeChecks } from "./self-test.ts";
import { countOf } from "./show.ts";

const CONFIRM_MS = 30_000;
const LOG_SHOWN = 20;
const LOG_MOST = 1_000;

/** Shows a code that must be typed within 30 s; false when something else was typed, or nothing. */
async function isConfirmed({ print, keyboard, signal, clock }: Session, what: string): Promise<boolean> {
  const code = String(randomInt(1_000_000)).padStart(6, "0");
  await print([`This ${what}. To go on, type ${code} within ${CONFIRM_MS / 1000} s.`]);
  keyboard.forget();
  const late = new AbortController();
  const stopTimer = clock.after(CONFIRM_MS, () => late.abort(new Ended("interrupt")));
  try {
    const typed = await keyboard.readLine({ prompt: "code: ", signal: AbortSignal.any([signal, late.signal]) });
    return typed.trim() === code && !late.signal.aborted;
  } catch (thrown) {
    if (!late.signal.aborted) throw thrown;
    return false;
  } finally {
    stopTimer();
  }
}

async function zeroise(session: Session): Promise<void> {
  const { node, user, print } = session;
  const id = node.id ?? "this node";
  if (!(await isConfirmed(session, `destroys all key of ${id}, in token and store, for good`))) {
    await print(["Nothing was done."]);
    return;
  }
  await node.note(user.name, "zeroise, confirmed").catch(() => {});
  await print([`${id} is zeroised: ${await node.zeroise()}`]);
}

/** What an operator begins anew, at the cost of the key that there is. */
interface Anew {
  readonly what: string;
  readonly done: string;
  readonly note: string;
  run(): Promise<void>;
}

async function beginAnew(session: Session, { what, done, note, run }: Anew): Promise<void> {
  const { node, user, print } = session;
  if (!(await isConfirmed(session, what))) {
    await print(["Nothing was done."]);
    return;
  }
  await node.note(user.name, `${note}, confirmed`);
  await run();
  await print([done]);
}

const forget = (session: Session, [peer = ""]: readonly string[]): Promise<void> =>
  beginAnew(session, {
    what: `destroys all key that is shared with ${peer}, here; the same has to be done there`,
    done: `Begun anew with ${peer}.`,
    note: `peer forget ${peer}`,
    run: () => session.node.km.forget(peer),
  });

const acceptModule = (session: Session, [link = ""]: readonly string[]): Promise<void> =>
  beginAnew(session, {
    what: `destroys all blocks of ${link} and the keys made of them, here; the same has to be done at its other end`,
    done: `The link ${link} takes what its module brings from now on.`,
    note: `link accept ${link}`,
    run: () => session.node.km.acceptModule(link),
  });

async function reboot(session: Session): Promise<void> {
  const { node, user, print } = session;
  if (!(await isConfirmed(session, "starts the machine again"))) {
    await print(["Nothing was done."]);
    return;
  }
  await node.note(user.name, "reboot, confirmed");
  node.reboot();
  await print(["The machine starts again."]);
}

async function update(session: Session, [wanted]: readonly string[]): Promise<void> {
  const { node, user, print, ask, screen, signal } = session;
  const files = node.updates();
  const [only] = files;
  const file = wanted ?? (files.length === 1 ? only : undefined);
  if (file === undefined || !files.includes(file)) {
    const found = files.length === 0 ? ["none"] : files;
    await print(["Updates on the config medium:", ...found.map((name) => `  ${name}`)]);
    return;
  }
  await print(await node.updateContents(file));
  const answer = await ask(`Install ${file}? [y/N] `);
  if (!/^y(es)?$/i.test(answer.trim())) {
    await print(["Nothing was done."]);
    return;
  }
  await node.note(user.name, `update ${file}, confirmed`);
  await node.update(file, (line) => screen.say(line), signal);
  await print([
    "Installed. It is used from the next start on: reboot. If it does not come up, the one before returns.",
  ]);
}

async function selftest(session: Session): Promise<void> {
  const checks = await nodeChecks(session.node);
  const failed = checks.filter(({ passed }) => !passed).length;
  await session.print([...checkLines(checks), failed === 0 ? "PASS" : `FAIL: ${failed} of ${checks.length}`]);
}

/** Commands that concern the machine: self-test, update, restart. */
export const SYSTEM: readonly Command[] = [
  {
    words: ["selftest"],
    args: [],
    role: "auditor",
    about: "look whether token, store, links, peers and certificates are sound",
    more: "Uses up no key.",
    run: selftest,
  },
  {
    words: ["audit", "verify"],
    args: [],
    role: "auditor",
    about: "verify the audit log, from its first byte to its last",
    more: "The token confirms the seals, so it takes a while for a long log.",
    run: async ({ node, print, signal }) => await print(await node.verifyAudit(signal)),
  },
  {
    words: ["logs"],
    args: [{ name: "N", about: "how many lines", optional: true }],
    role: "auditor",
    about: "the end of the key manager's log",
    run: async ({ node, print }, [count]) => await print(await node.logs(countOf(count, LOG_SHOWN, LOG_MOST))),
  },
  {
    words: ["update"],
    args: [
      {
        name: "FILE",
        about: "one of the config medium's *.raucb",
        optional: true,
        names: async ({ node }) => node.updates(),
      },
    ],
    role: "operator",
    about: "install an update from the config medium",
    more: "Without FILE it is the only one that is there, or a list. Shows what would change, and asks before it begins. Its signature must be good.",
    changes: true,
    run: update,
  },
  {
    words: ["peer", "forget"],
    args: [
      { name: "PEER", about: "its ID", names: async ({ node }) => (await node.km.status()).peers.map(({ id }) => id) },
    ],
    role: "operator",
    about: "begin anew with another key manager, after a code",
    more: "All key that is shared with it is destroyed. It has to be done at both ends.",
    changes: true,
    run: forget,
  },
  {
    words: ["link", "accept"],
    args: [
      { name: "LINK", about: "its ID", names: async ({ node }) => (await node.km.status()).links.map(({ id }) => id) },
    ],
    role: "operator",
    about: "accept a new module pair on a link, after a code",
    more: "All blocks of the link are destroyed, and the keys made of them. It has to be done at both ends.",
    changes: true,
    run: acceptModule,
  },
  {
    words: ["reboot"],
    args: [],
    role: "operator",
    about: "start the machine again, after a code",
    changes: true,
    run: reboot,
  },
  {
    words: ["zeroise"],
    args: [],
    role: "operator",
    about: "destroy all key of this node, after a code",
    more: "The code is shown and must be typed within 30 s. Works while the key manager is down, too.",
    changes: "urgent",
    run: zeroise,
  },
];
