// `qkm completion`: what a shell needs to complete the commands and options of `qkm`.

import { Argument, type Command } from "commander";
import { SCRIPTS, type Shell } from "./scripts.ts";
import { treeOf } from "./tree.ts";

/** Adds `qkm completion`. */
export function registerCompletionCommand(program: Command): void {
  program
    .command("completion")
    .addArgument(new Argument("<shell>", "the shell").choices(Object.keys(SCRIPTS)))
    .summary("print what a shell needs to complete qkm")
    .description("Prints a script that completes the commands and options of qkm in a shell.")
    .addHelpText(
      "after",
      `
Examples:
  qkm completion zsh > "\${fpath[1]}/_qkm"
  qkm completion fish > ~/.config/fish/completions/qkm.fish
  source <(qkm completion bash)       # in this shell; as a line of ~/.bashrc in every one`,
    )
    .action(async (shell: Shell) => {
      // Only here all commands are loaded.
      const { programFor } = await import("../common/program.ts");
      process.stdout.write(SCRIPTS[shell](treeOf(await programFor(""))));
    });
}
