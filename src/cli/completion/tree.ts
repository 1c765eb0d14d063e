// The commands of `qkm` as a shell completes them: words, options and what they take.

import type { Argument, Command, Option } from "commander";

/** An option of a command. */
export interface OptionNode {
  /** As they are typed, such as `-V` and `--version`. */
  readonly names: readonly string[];
  readonly meaning: string;
  readonly takesValue: boolean;
  readonly choices: readonly string[];
}

/** A command with what may follow it. */
export interface CommandNode {
  /** The words that lead to it, behind `qkm`; none for `qkm` itself. */
  readonly path: readonly string[];
  readonly meaning: string;
  readonly commands: readonly CommandNode[];
  readonly options: readonly OptionNode[];
  /** What its first arguments may be, where that is a list. */
  readonly choices: readonly string[];
}

/** The tree of a program of commander. */
export function treeOf(command: Command, path: readonly string[] = []): CommandNode {
  const shown = command.createHelp();
  const helps = new Set(["help"]);
  return {
    path,
    meaning: command.summary() || command.description(),
    commands: shown
      .visibleCommands(command)
      .filter((one) => !helps.has(one.name()))
      .map((one) => treeOf(one, [...path, one.name()])),
    options: shown.visibleOptions(command).map(optionOf),
    choices: command.registeredArguments.flatMap(({ argChoices }: Argument) => argChoices ?? []),
  };
}

const optionOf = ({ short, long, description, required, optional, argChoices }: Option): OptionNode => ({
  names: [short, long].filter((name) => name !== undefined),
  meaning: description,
  takesValue: required || optional,
  choices: argChoices ?? [],
});

/** All commands, the first before those below it. */
export const allOf = (node: CommandNode): readonly CommandNode[] => [node, ...node.commands.flatMap(allOf)];
