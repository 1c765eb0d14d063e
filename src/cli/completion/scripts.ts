// Completion scripts for bash, zsh and fish, made from the tree of the commands. Each finds the command in the words typed so far,
// and offers what may follow it; where nothing is known, the names of files.

import { allOf, type CommandNode, type OptionNode } from "./tree.ts";

/** Makes a script. */
type Script = (root: CommandNode) => string;

const pathOf = ({ path }: CommandNode): string => ["qkm", ...path].join(" ");
const HEAD = "made by `qkm completion`: do not edit";

/** In single quotes of bash and zsh. */
const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
const firstLine = (text: string): string => text.split("\n")[0] ?? "";
const wordsOf = ({ commands, options, choices }: CommandNode): readonly string[] => [
  ...commands.map(({ path }) => path.at(-1) ?? ""),
  ...choices,
  ...options.flatMap(({ names }) => names),
];

/** Shared by bash and zsh: the command that the words lead to. `next` is the word, `at` what was found before. */
function cases(nodes: readonly CommandNode[]): string {
  const paths = nodes.slice(1).map((node) => quoted(pathOf(node)));
  return `case "$at $next" in ${paths.join("|")}) at="$at $next" ;; esac`;
}

/** Values of options that have a list of them. */
const valued = (nodes: readonly CommandNode[]): readonly (readonly [CommandNode, OptionNode])[] =>
  nodes.flatMap((node) =>
    node.options.filter(({ choices }) => choices.length > 0).map((option) => [node, option] as const),
  );

const bash: Script = (root) => {
  const nodes = allOf(root);
  const values = valued(nodes).map(([node, { names, choices }]) => {
    const places = names.map((name) => quoted(`${pathOf(node)} ${name}`));
    return `    ${places.join("|")}) offered=${quoted(choices.join(" "))} ;;`;
  });
  const offers = nodes.map((node) => `      ${quoted(pathOf(node))}) offered=${quoted(wordsOf(node).join(" "))} ;;`);
  return `# qkm for bash, ${HEAD}
_qkm() {
  local at=qkm next offered='' current="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}"
  for next in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    ${cases(nodes)}
  done
  case "$at $before" in
${values.join("\n")}
    *) case "$at" in
${offers.join("\n")}
    esac ;;
  esac
  COMPREPLY=($(compgen -W "$offered" -- "$current"))
}
complete -o default -F _qkm qkm
`;
};

/** `word:meaning`, as _describe takes it. */
const described = (word: string, meaning: string): string =>
  quoted(`${word.replaceAll(":", "\\:")}:${firstLine(meaning)}`);

const zsh: Script = (root) => {
  const nodes = allOf(root);
  const values = valued(nodes).map(([node, { names, choices }]) => {
    const places = names.map((name) => quoted(`${pathOf(node)} ${name}`));
    return `    ${places.join("|")}) offered=(${choices.map(quoted).join(" ")}) ;;`;
  });
  const offers = nodes.map((node) => {
    const words = [
      ...node.commands.map(({ path, meaning }) => described(path.at(-1) ?? "", meaning)),
      ...node.choices.map((choice) => quoted(choice)),
      ...node.options.flatMap(({ names, meaning }) => names.map((name) => described(name, meaning))),
    ];
    return `      ${quoted(pathOf(node))}) offered=(${words.join(" ")}) ;;`;
  });
  return `#compdef qkm
# qkm for zsh, ${HEAD}
_qkm() {
  local at=qkm next before="\${words[CURRENT-1]}"
  local -a offered
  for next in "\${(@)words[2,CURRENT-1]}"; do
    ${cases(nodes)}
  done
  case "$at $before" in
${values.join("\n")}
    *) case "$at" in
${offers.join("\n")}
    esac ;;
  esac
  _describe qkm offered || _files
}
compdef _qkm qkm
`;
};

/** In single quotes of fish. */
const fishQuoted = (text: string): string => `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;

const fish: Script = (root) => {
  const nodes = allOf(root);
  const lines = nodes.flatMap((node) => {
    const here = `complete -c qkm -n ${fishQuoted(`__qkm_at "${pathOf(node)}"`)}`;
    return [
      // Where a command is wanted, no file is.
      ...(node.commands.length > 0 ? [`${here} -f`] : []),
      ...node.commands.map(
        ({ path, meaning }) => `${here} -a ${fishQuoted(path.at(-1) ?? "")} -d ${fishQuoted(firstLine(meaning))}`,
      ),
      ...node.choices.map((choice) => `${here} -a ${fishQuoted(choice)}`),
      ...node.options.map((option) => `${here} ${fishOption(option)}`),
    ];
  });
  return `# qkm for fish, ${HEAD}
function __qkm_at
  set -l at qkm
  for next in (commandline -opc)[2..-1]
    contains -- "$at $next" ${nodes
      .slice(1)
      .map((node) => fishQuoted(pathOf(node)))
      .join(" ")}
    and set at "$at $next"
  end
  test "$at" = "$argv[1]"
end
${lines.join("\n")}
`;
};

function fishOption({ names, meaning, takesValue, choices }: OptionNode): string {
  const flags = names.map((name) => (name.startsWith("--") ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`));
  const value = choices.length > 0 ? [`-x -a ${fishQuoted(choices.join(" "))}`] : takesValue ? ["-r"] : [];
  return [...flags, ...value, `-d ${fishQuoted(firstLine(meaning))}`].join(" ");
}

/** By the name of the shell. */
export const SCRIPTS = { bash, zsh, fish } as const satisfies Record<string, Script>;

/** A shell that can complete `qkm`. */
export type Shell = keyof typeof SCRIPTS;
