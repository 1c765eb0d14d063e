// Text for the console line: nothing but what prints, at most as wide as the screen, in ASCII where the line is.

/** Columns in use: one less than a screen has, for some go to the next line after the last. */
export const WIDTH = 79;

/** The console's own signs beyond ASCII, with what stands for each on a line that has ASCII alone. */
const SIGNS: Readonly<Record<string, string>> = {
  ...{ "▁": "_", "▂": ".", "▃": ":", "▄": "-", "▅": "=", "▆": "+", "▇": "*", "█": "#" },
  ...{ "–": "-", "…": "~", "═": "=", "·": "." },
};

/** `utf8` shows the signs as they are. */
export type Charset = "utf8" | "ascii";

/** With every character that is neither printable ASCII nor one of the console's own signs written as its code. */
export const printable = (text: string): string =>
  Array.from(text, (one) => (/^[\x20-\x7e]$/.test(one) || Object.hasOwn(SIGNS, one) ? one : codeOf(one))).join("");

function codeOf(character: string): string {
  const code = (character.codePointAt(0) ?? 0).toString(16);
  return code.length <= 2 ? `\\x${code.padStart(2, "0")}` : `\\u{${code}}`;
}

/** What goes out on a line of this character set: as many columns as before. */
export const encoded = (text: string, charset: Charset): string =>
  charset === "utf8" ? text : Array.from(text, (one) => SIGNS[one] ?? one).join("");

/** Cut to a number of columns. */
export const cut = (text: string, width = WIDTH): string =>
  text.length <= width ? text : `${text.slice(0, width - 1)}…`;

/** In lines that fit, broken at spaces where there are some; further lines begin with `indent` blanks. */
export function wrapped(text: string, indent = 0): string[] {
  const lines: string[] = [];
  let rest = text;
  while (rest.length > WIDTH) {
    const space = rest.lastIndexOf(" ", WIDTH);
    const isWord = space > indent && rest.slice(0, space).trim() !== "";
    const at = isWord ? space : WIDTH;
    lines.push(rest.slice(0, at).trimEnd());
    rest = " ".repeat(indent) + rest.slice(isWord ? at + 1 : at);
  }
  return [...lines, rest];
}
