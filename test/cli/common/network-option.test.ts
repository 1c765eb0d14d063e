// A network is named by its file or by its folder, whatever the command.

import { expect, test } from "vitest";
import { USUAL_NETWORK } from "../../../src/cli/common/network.ts";
import { programFor } from "../../../src/cli/common/program.ts";

const ASKING = [
  ...["status", "selftest", "bench", "view", "controller", "cluster status", "cluster hand-over"],
  ...["app get-key --as a --with b", "app get-key-by-id --as a --from b ID", "app session --from a --to b"],
  ...["app listen --as a"],
];

/** What the action of a command is given as options; it is not run. */
async function optionsOf(line: string): Promise<{ readonly dir?: string; readonly network?: string }> {
  const words = line.split(" ");
  let options = {};
  const program = await programFor(words[0] ?? "");
  const first = program.commands.find((one) => one.name() === words[0]);
  for (const command of [first, ...(first?.commands ?? [])]) {
    command?.exitOverride().configureOutput({ writeErr: () => {} });
    if (command?.commands.length !== 0) continue;
    command.action(() => {
      options = command.opts();
    });
  }
  await program.parseAsync(words, { from: "user" });
  return options;
}

test.each(ASKING)("%s finds network.json by its path and by its folder", async (line) => {
  expect(await optionsOf(`${line} --network /net/network.json`)).toMatchObject({ network: "/net/network.json" });
  expect(await optionsOf(`${line} --dir /net`)).toMatchObject({ network: "/net/network.json" });
  await expect(optionsOf(`${line} --dir /net --network /other.json`)).rejects.toThrow("cannot be used with");
});

test.each(["up", "init"])("%s finds its folder likewise", async (line) => {
  expect(await optionsOf(`${line} --dir /net`)).toMatchObject({ dir: "/net" });
  expect(await optionsOf(`${line} --network /net/network.json`)).toMatchObject({ dir: "/net" });
  await expect(optionsOf(`${line} --dir /net --network /other.json`)).rejects.toThrow("cannot be used with");
});

test("the usual network is asked when neither is given", async () => {
  expect(await optionsOf("status")).toMatchObject({ network: USUAL_NETWORK });
});
