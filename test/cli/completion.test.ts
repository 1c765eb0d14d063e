// Completion: the scripts offer every command and option, and bash does so when it is asked.

import { spawnSync } from "node:child_process";
import { beforeAll, describe, expect, test } from "vitest";
import { programFor } from "../../src/cli/common/program.ts";
import { SCRIPTS } from "../../src/cli/completion/scripts.ts";
import { allOf, type CommandNode, treeOf } from "../../src/cli/completion/tree.ts";

let root: CommandNode;
beforeAll(async () => {
  root = treeOf(await programFor(""));
});

/** What bash offers behind these words; the last is what is being typed. */
function offered(...words: readonly string[]): readonly string[] {
  const quoted = words.map((word) => `'${word}'`).join(" ");
  const ask = `COMP_WORDS=(qkm ${quoted}); COMP_CWORD=${words.length}; _qkm; printf '%s\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr } = spawnSync("bash", ["-c", `${SCRIPTS.bash(root)}\n${ask}`], { encoding: "utf8" });
  expect(stderr).toBe("");
  return stdout.split("\n").filter((word) => word !== "");
}

describe("bash", () => {
  test("offers commands, those below them, and options", () => {
    expect(offered("co")).toEqual(expect.arrayContaining(["completion", "console", "controller"]));
    expect(offered("app", "")).toEqual(expect.arrayContaining(["get-key", "session", "--help"]));
    expect(offered("status", "--j")).toEqual(["--json"]);
    expect(offered("status", "node.toml", "--j")).toEqual(["--json"]);
  });

  test("offers the values of an argument, and nothing of its own where it knows nothing", () => {
    expect(offered("completion", "z")).toEqual(["zsh"]);
    expect(offered("run", "no")).toEqual([]);
  });
});

test.each(Object.entries(SCRIPTS))("%s knows every command and option", (shell, script) => {
  const text = script(root);
  for (const { path, options } of allOf(root)) {
    expect(text).toContain(path.at(-1) ?? "qkm");
    for (const name of options.flatMap(({ names }) => names)) {
      expect(text).toContain(shell === "fish" ? name.replace(/^--?/, "") : name);
    }
  }
});

test("what is in quotes stays in quotes, whatever a help says", () => {
  const node = { path: ["it's"], meaning: "it's a \\ test: `x` $(y)", commands: [], options: [], choices: [] };
  const tree: CommandNode = { path: [], meaning: "", commands: [node], options: [], choices: [] };
  for (const shell of ["bash", "zsh"] as const) expect(SCRIPTS[shell](tree)).toContain("it'\\''s");
  expect(SCRIPTS.fish(tree)).toContain("it\\'s a \\\\ test");
});
